package relay

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/caddy-wechat/gateway/internal/provider/wechat"
)

// finder looks for WeChat's errcode in an answer, piece by piece. Answers of
// relays and mocks differ from the documentation: numbers as strings, a byte
// order mark, text around the JSON, the error inside of another object. So it
// looks at the text: a member errcode on top counts; without one, a refused
// token below does.
type finder struct {
	depth     int
	inString  bool
	escaped   bool
	text      []byte // of the string or number that is being read, its beginning
	isErrcode bool   // the last string is the name errcode
	wantValue bool   // errcode and a colon came before

	found    bool // errcode on top
	top      int
	below    int
	finished bool
}

// maxText is longer than the name and values of errcode in any spelling.
const maxText = 64

// Write scans the next piece. It never fails.
func (f *finder) Write(piece []byte) (int, error) {
	for _, c := range piece {
		f.next(c)
	}
	return len(piece), nil
}

func (f *finder) next(c byte) {
	if f.inString {
		f.nextInString(c)
		return
	}
	switch c {
	case ' ', '\t', '\r', '\n':
		f.endNumber()
	case '"':
		f.endNumber()
		f.inString, f.text = true, f.text[:0]
	case ':':
		f.wantValue, f.isErrcode = f.isErrcode, false
		f.text = f.text[:0]
	case '{', '[':
		f.depth++
		f.wantValue, f.isErrcode, f.text = false, false, f.text[:0]
	case '}', ']':
		f.endNumber()
		f.depth--
		f.wantValue, f.isErrcode = false, false
	case ',':
		f.endNumber()
		f.wantValue, f.isErrcode = false, false
	default:
		if f.wantValue {
			f.collect(c)
		}
	}
}

func (f *finder) nextInString(c byte) {
	switch {
	case f.escaped:
		f.escaped = false
	case c == '\\':
		f.escaped = true
	case c == '"':
		f.inString = false
		f.endString()
		return
	}
	f.collect(c)
}

func (f *finder) collect(c byte) {
	if len(f.text) < maxText {
		f.text = append(f.text, c)
	}
}

func (f *finder) endString() {
	text := string(f.text)
	f.text = f.text[:0]
	if strings.Contains(text, `\`) && json.Unmarshal([]byte(`"`+text+`"`), &text) != nil {
		text = ""
	}
	if f.wantValue {
		f.value(text)
		return
	}
	f.isErrcode = strings.EqualFold(text, "errcode")
}

func (f *finder) endNumber() {
	if f.wantValue && len(f.text) > 0 {
		f.value(string(f.text))
	}
	f.text = f.text[:0]
}

func (f *finder) value(text string) {
	f.wantValue = false
	number, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	code := int(number)
	if err != nil || float64(code) != number {
		return // null is absent; anything else is no errcode
	}
	switch {
	case f.depth <= 1:
		// Readers could take either of two: the one with a consequence counts.
		if !f.found || wechat.RefusesToken(code) || f.top == 0 {
			f.top = code
		}
		f.found = true
	case wechat.RefusesToken(code):
		f.below = code
	}
}

// end is to be called after the last piece.
func (f *finder) end() {
	f.endNumber()
	f.finished = true
}

// errcode returns what was found, 0 for none. One below counts only when all has
// been seen, as one on top may follow.
func (f *finder) errcode() int {
	if f.found || !f.finished {
		return f.top
	}
	return f.below
}

// mayBeJSON reports whether an answer that begins like this is worth waiting for;
// unsure is for a beginning too short to tell.
func mayBeJSON(start []byte) (worth, unsure bool) {
	const byteOrderMark = "\xef\xbb\xbf"
	if len(start) < len(byteOrderMark) && strings.HasPrefix(byteOrderMark, string(start)) {
		return false, true
	}
	start = bytes.TrimLeft(bytes.TrimPrefix(start, []byte(byteOrderMark)), " \t\r\n")
	if len(start) == 0 {
		return false, true
	}
	return start[0] == '{' || start[0] == '[', false
}
