package strictjson

import (
	"strings"
	"unicode/utf8"
)

// Member is one member of a flat object. Strings are without their quotes,
// integers as written.
type Member struct {
	Name, Value string
	IsString    bool
}

// Flat appends to members those of the one JSON object in text, in the order in
// which they stand. It is for the hot path, and narrower than [Object]: values are
// strings and whole numbers that are not negative, nothing is escaped, and there are
// no more members than the capacity of members, so that it allocates nothing. What
// it returns are parts of text. token's BenchmarkVerify takes 16 µs and 10 allocations
// with it, 115 µs and 234 with [Object].
func Flat(text string, members []Member) ([]Member, bool) {
	if !utf8.ValidString(text) {
		return nil, false
	}
	rest, ok := cutChar(text, '{')
	if !ok {
		return nil, false
	}
	if end, empty := cutChar(rest, '}'); empty {
		return members, skipSpace(end) == ""
	}
	for len(members) < cap(members) {
		var m Member
		if m.Name, rest, ok = quoted(skipSpace(rest)); !ok {
			return nil, false
		}
		for i := range members {
			if members[i].Name == m.Name {
				return nil, false
			}
		}
		if rest, ok = cutChar(rest, ':'); !ok {
			return nil, false
		}
		rest = skipSpace(rest)
		if m.IsString = strings.HasPrefix(rest, `"`); m.IsString {
			m.Value, rest, ok = quoted(rest)
		} else {
			m.Value, rest, ok = digits(rest)
		}
		if !ok {
			return nil, false
		}
		members = append(members, m)
		if end, closed := cutChar(rest, '}'); closed {
			return members, skipSpace(end) == ""
		}
		if rest, ok = cutChar(rest, ','); !ok {
			return nil, false
		}
	}
	return nil, false
}

// cutChar returns what follows the character c, which may have space before it.
func cutChar(text string, c byte) (string, bool) {
	text = skipSpace(text)
	if text == "" || text[0] != c {
		return "", false
	}
	return text[1:], true
}

func skipSpace(text string) string {
	for text != "" && (text[0] == ' ' || text[0] == '\t' || text[0] == '\n' || text[0] == '\r') {
		text = text[1:]
	}
	return text
}

// quoted returns what is between the quotes that text begins with.
func quoted(text string) (value, rest string, ok bool) {
	if text == "" || text[0] != '"' {
		return "", "", false
	}
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return text[1:i], text[i+1:], true
		case c == '\\' || c < ' ':
			return "", "", false
		}
	}
	return "", "", false
}

// digits returns the whole number that text begins with; what ends it is for the
// caller to judge, so that a fraction or an exponent is refused there.
func digits(text string) (value, rest string, ok bool) {
	n := 0
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	if n == 0 || n > 1 && text[0] == '0' {
		return "", "", false
	}
	return text[:n], text[n:], true
}
