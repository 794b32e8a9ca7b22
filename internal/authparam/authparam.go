// Package authparam reads the parameters of an Authorization header (RFC 9110,
// section 11) as they must be sent, and refuses whatever two readers could understand
// differently.
package authparam

import (
	"errors"
	"strings"
)

// ErrSyntax says that a text is no list of parameters, or names one twice. It never
// quotes the text.
var ErrSyntax = errors.New("malformed parameters")

// Cut returns what follows a scheme in the value of an Authorization header, and
// whether the value is of that scheme, in any case. A value that only begins like the
// scheme, as `Basic` does `Basics`, is not; one without or with malformed parameters is.
func Cut(value, scheme string) (params string, ok bool) {
	value = strings.Trim(value, " \t")
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", false
	}
	params = value[len(scheme):]
	return params, params == "" || !isTokenChar(params[0])
}

// Parse reads what [Cut] returns: `code="abc", nonce=def`, where names count in any
// case and are returned in lower case. Each comes once at most.
func Parse(text string) (map[string]string, error) {
	rest := strings.TrimLeft(text, " ")
	if len(rest) == len(text) {
		return nil, ErrSyntax // at least one space is between the scheme and the rest
	}
	params := make(map[string]string)
	for {
		name, after := token(rest)
		after, assigned := strings.CutPrefix(skip(after), "=")
		value, after, ok := value(skip(after))
		name = strings.ToLower(name)
		if _, again := params[name]; name == "" || !assigned || !ok || again {
			return nil, ErrSyntax
		}
		params[name] = value
		if after = skip(after); after == "" {
			return params, nil
		}
		if rest, ok = strings.CutPrefix(after, ","); !ok {
			return nil, ErrSyntax
		}
		rest = skip(rest)
	}
}

// skip leaves out white space.
func skip(text string) string { return strings.TrimLeft(text, " \t") }

// value reads a token or a quoted string.
func value(text string) (value, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		value, rest = token(text)
		return value, rest, value != ""
	}
	var read strings.Builder
	for i := 1; i < len(text); i++ {
		c := text[i]
		if c == '"' {
			return read.String(), text[i+1:], true
		}
		if c == '\\' {
			if i++; i == len(text) {
				break
			}
			c = text[i]
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			break
		}
		read.WriteByte(c)
	}
	return "", "", false
}

// token reads a token, which may be empty.
func token(text string) (token, rest string) {
	for i := range len(text) {
		if !isTokenChar(text[i]) {
			return text[:i], text[i:]
		}
	}
	return text, ""
}

func isTokenChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
