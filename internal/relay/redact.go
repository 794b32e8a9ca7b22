package relay

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

// redactor passes an answer on with asterisks in place of a token, however that
// is spelled. It holds back at most redactorSize.
type redactor struct {
	from  io.Reader
	token []byte
	buf   []byte // what has been read and is not passed on yet
	ready int    // of buf
	err   error
}

const redactorSize = 32 << 10

func (r *redactor) Read(p []byte) (int, error) {
	for r.ready == 0 && r.err == nil {
		r.fill()
	}
	if r.ready == 0 {
		return 0, r.err
	}
	n := copy(p, r.buf[:r.ready])
	r.buf = r.buf[:copy(r.buf, r.buf[n:])]
	r.ready -= n
	return n, nil
}

// fill reads a piece. Its end is held back while it could be the beginning of a
// token.
func (r *redactor) fill() {
	if r.buf == nil {
		r.buf = make([]byte, 0, redactorSize)
	}
	var n int
	n, r.err = r.from.Read(r.buf[len(r.buf):cap(r.buf)])
	r.buf = r.buf[:len(r.buf)+n]
	r.ready = redact(r.buf, r.token, r.err != nil)
	if r.ready == 0 && len(r.buf) == cap(r.buf) {
		// The beginning of a token fills the buffer, which takes hundreds of characters
		// that are each escaped three times. What is left of it is no token.
		mask(r.buf)
		r.ready = len(r.buf)
	}
}

// redact puts asterisks in place of a token and returns how much of text is done:
// what follows could be the beginning of a token, unless text is the end.
func redact(text, token []byte, isEnd bool) (done int) {
	// First, or a token's first letter could be taken for a digit of its escape.
	done = redactEscaped(text, token, isEnd)
	for from := 0; ; from += len(token) {
		i := bytes.Index(text[from:], token)
		if i < 0 {
			break
		}
		from += i
		mask(text[from : from+len(token)])
	}
	if isEnd {
		return done
	}
	return min(done, len(text)-overlap(text, token))
}

func mask(text []byte) {
	for i := range text {
		text[i] = '*'
	}
}

// redactEscaped does the same for a token of which at least one character is
// escaped. It looks at nothing but escapes, and what stands before the first one of
// a token is plain.
func redactEscaped(text, token []byte, isEnd bool) (done int) {
	for next, p := escapesOf(text), 0; ; p++ {
		if p = next(p); p == len(text) {
			return p
		}
		c, after, enough := unescapeOne(text, p, maxLayers)
		switch {
		case !enough && !isEnd:
			return p - overlap(text[:p], token)
		case !enough || c >= 0x80:
			continue
		}
		for k := nextIndex(token, 0, c); k >= 0 && k <= p; k = nextIndex(token, k+1, c) {
			if !bytes.HasSuffix(text[:p], token[:k]) {
				continue
			}
			end, found, enough := match(text, after, token[k+1:])
			switch {
			case found:
				mask(text[p-k : end])
			case !enough && !isEnd:
				return p - overlap(text[:p], token)
			}
		}
	}
}

// escapesOf returns a function that returns the first place at or after p where an
// escape may begin, the end of text if there is none.
func escapesOf(text []byte) func(p int) int {
	backslash, percent := -1, -1
	return func(p int) int {
		if backslash < p {
			backslash = indexOrEnd(text, p, '\\')
		}
		if percent < p {
			percent = indexOrEnd(text, p, '%')
		}
		return min(backslash, percent)
	}
}

func indexOrEnd(text []byte, from int, c byte) int {
	if i := nextIndex(text, from, c); i >= 0 {
		return i
	}
	return len(text)
}

func nextIndex(text []byte, from int, c byte) int {
	if from >= len(text) {
		return -1
	}
	if i := bytes.IndexByte(text[from:], c); i >= 0 {
		return from + i
	}
	return -1
}

// match reports whether text spells word from i on, and where that ends; enough is
// false if text ends before that is known.
func match(text []byte, i int, word []byte) (end int, found, enough bool) {
	for _, c := range word {
		got, after, enough := unescapeOne(text, i, maxLayers)
		if !enough {
			return 0, false, false
		}
		if got != c {
			return 0, false, true
		}
		i = after
	}
	return i, true, true
}

// maxLayers is how often a text may be escaped: a URL that is percent-encoded, in
// JSON, in a string of JSON.
const maxLayers = 3

// unescapeOne returns the character that begins at text[i] when up to that many layers of
// \uXXXX, \x and %XX are undone, and where it ends; enough is false if text ends
// before that is known. A backslash or a percent sign that escapes nothing is
// itself. A token has neither, so that layers which are not there do no harm.
func unescapeOne(text []byte, i, layers int) (c byte, end int, enough bool) {
	if i >= len(text) {
		return 0, 0, false
	}
	c = text[i]
	if layers == 0 || c != '\\' && c != '%' {
		return c, i + 1, true
	}
	if c, end, ok := unescapePlain(text[i:]); ok {
		return c, i + end, true
	}
	c, end, enough = unescapeOne(text, i, layers-1)
	if !enough || c != '\\' && c != '%' {
		return c, end, enough
	}
	if c == '%' {
		if value, after, ok, enough := unescapeHex(text, end, layers-1, 2); ok || !enough {
			return value, after, enough
		}
		return c, end, true
	}
	escaped, after, enough := unescapeOne(text, end, layers-1)
	if enough && escaped == '%' {
		return c, end, true // no escape of JSON: the layer above it is percent-encoded
	}
	if !enough || escaped != 'u' {
		return escaped, after, enough
	}
	if value, after, ok, enough := unescapeHex(text, after, layers-1, 4); ok || !enough {
		return value, after, enough
	}
	return c, end, true
}

// unescapePlain undoes an escape of which nothing is escaped itself, and which spells
// no backslash or percent sign, so that more layers make no difference. It saves
// BenchmarkRedact of Chinese text two thirds of its time.
func unescapePlain(text []byte) (c byte, end int, ok bool) {
	var digits []byte
	switch {
	case text[0] == '%' && len(text) >= 3:
		digits, end = text[1:3], 3
	case text[0] == '\\' && len(text) >= 6 && text[1] == 'u':
		digits, end = text[2:6], 6
	default:
		return 0, 0, false
	}
	value := 0
	for _, c := range digits {
		digit, isHex := unhex(c)
		if !isHex {
			return 0, 0, false
		}
		value = value<<4 | digit
	}
	c = byte(min(value, 0x80))
	return c, end, c != '\\' && c != '%'
}

// unescapeHex reads the digits of a character. One that is not ASCII is 0x80, which no
// token has.
func unescapeHex(text []byte, i, layers, digits int) (c byte, end int, ok, enough bool) {
	value := 0
	for range digits {
		read, after, enough := unescapeOne(text, i, layers)
		if !enough {
			return 0, 0, false, false
		}
		digit, isHex := unhex(read)
		if !isHex {
			return 0, 0, false, true
		}
		value, i = value<<4|digit, after
	}
	return byte(min(value, 0x80)), i, true, true
}

func unhex(c byte) (digit int, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0'), true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10, true
	}
	return 0, false
}

// overlap returns the length of the longest end of text that begins word.
func overlap(text, word []byte) int {
	for n := min(len(text), len(word)-1); n > 0; n-- {
		if text[len(text)-n] == word[0] && bytes.HasPrefix(word, text[len(text)-n:]) {
			return n
		}
	}
	return 0
}

// dropHeaders removes the headers that repeat a token.
func dropHeaders(h http.Header, token []byte) {
	for name, values := range h {
		sent := strings.Join(values, "\n")
		text := []byte(sent)
		redact(text, token, true)
		if string(text) != sent {
			delete(h, name)
		}
	}
}
