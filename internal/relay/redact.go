package relay

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// spellings returns the forms in which an answer could repeat a token.
func spellings(token string) []string {
	forms := []string{token}
	for _, form := range []string{url.QueryEscape(token), url.PathEscape(token)} {
		if form != forms[len(forms)-1] && form != token {
			forms = append(forms, form)
		}
	}
	return forms
}

// dropHeaders removes the headers that repeat a token.
func dropHeaders(h http.Header, forms []string) {
	for name, values := range h {
		if containsAny(strings.Join(values, "\n"), forms) {
			delete(h, name)
		}
	}
}

func containsAny(text string, forms []string) bool {
	for _, form := range forms {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

// hides reports whether a short answer spells the token with escapes of JSON or
// of URLs, which whoever reads it would undo.
func hides(answer []byte, token string) bool {
	if !bytes.ContainsAny(answer, `\%`) {
		return false
	}
	text := string(answer)
	for range 3 {
		plain := unescape(text)
		if strings.Contains(plain, token) {
			return true
		}
		if plain == text {
			return false
		}
		text = plain
	}
	return false
}

// unescape undoes \uXXXX, \/ and %XX once.
func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch rest := text[i:]; {
		case strings.HasPrefix(rest, `\u00`) && len(rest) >= 6 && isHex(rest[4:6]):
			b.WriteByte(unhex(rest[4:6]))
			i += 5
		case rest[0] == '%' && len(rest) >= 3 && isHex(rest[1:3]):
			b.WriteByte(unhex(rest[1:3]))
			i += 2
		case rest[0] == '\\' && len(rest) >= 2:
			b.WriteByte(rest[1])
			i++
		default:
			b.WriteByte(rest[0])
		}
	}
	return b.String()
}

func isHex(s string) bool { return strings.Trim(strings.ToLower(s), "0123456789abcdef") == "" }

func unhex(s string) (value byte) {
	for _, c := range []byte(strings.ToLower(s)) {
		value <<= 4
		if c <= '9' {
			value |= c - '0'
		} else {
			value |= c - 'a' + 10
		}
	}
	return value
}

// redactor passes an answer on with asterisks in place of a token.
type redactor struct {
	from  io.Reader
	forms []string
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
	redact(r.buf, r.forms)
	held := 0
	for _, form := range r.forms {
		if r.err == nil {
			held = max(held, overlap(r.buf, []byte(form)))
		}
	}
	r.ready = len(r.buf) - held
}

// redact puts asterisks in place of a token, as many as it has characters.
func redact(text []byte, forms []string) {
	for _, form := range forms {
		word := []byte(form)
		for from := 0; ; {
			i := bytes.Index(text[from:], word)
			if i < 0 {
				break
			}
			from += i + copy(text[from+i:], bytes.Repeat([]byte("*"), len(word)))
		}
	}
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
