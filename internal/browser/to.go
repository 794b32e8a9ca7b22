package browser

import (
	"strings"
	"unicode"

	"github.com/caddy-wechat/gateway/internal/urlpath"
)

const (
	// Home is where a browser goes when there is no better place.
	Home = "/"
	// MaxTo is the length of the longest place to go.
	MaxTo = 512
	// decodeRounds is how often proxies on the way may decode a path.
	decodeRounds = 2
)

// To returns where a browser may be sent after a login or logout: a path of the
// site itself that is not below the gateway's prefix, with its query and
// fragment. What may be read as anything else becomes [Home], and what is too long
// loses its query first. The result is ASCII and fit for a Location header; To of
// it is the same again.
func To(to, foldedPrefix string) string {
	path, query, fragment := split(to)
	if !safePath(path) || hasControl(query) || hasControl(fragment) || urlpath.Below(path, foldedPrefix) {
		return Home
	}
	path, query, fragment = escape(path), escape(query), escape(fragment)
	if len(path)+len(query)+len(fragment) > MaxTo {
		query = ""
	}
	if len(path)+len(fragment)+len(query) > MaxTo {
		return Home
	}
	return path + query + fragment
}

// split cuts a reference into its path, "?query" and "#fragment".
func split(to string) (path, query, fragment string) {
	path = to
	if i := strings.IndexByte(path, '#'); i >= 0 {
		path, fragment = path[:i], path[i:]
	}
	if i := strings.IndexByte(path, '?'); i >= 0 {
		path, query = path[:i], path[i:]
	}
	return path, query, fragment
}

// safePath reports whether a path stays a path of the site however often it is
// decoded on the way, and whatever becomes of its dot segments.
func safePath(path string) bool {
	for range decodeRounds {
		if !isPath(path) {
			return false
		}
		path = decode(path)
	}
	return isPath(path)
}

// isPath refuses what browsers take for another host's address: they read a
// backslash as a slash, and skip tabs and line breaks.
func isPath(path string) bool {
	if path == "" || path[0] != '/' || hasControl(path) || strings.ContainsRune(path, ' ') {
		return false
	}
	rest := path[1:]
	for dots := true; dots; {
		// "/.//host" and "/..//host" are "//host" to whoever resolves them.
		rest, dots = cutDots(rest)
	}
	return rest == "" || rest[0] != '/' && rest[0] != '\\'
}

// cutDots removes one leading dot segment together with its separator.
func cutDots(rest string) (string, bool) {
	for _, dots := range []string{"./", `.\`, "../", `..\`} {
		if cut, found := strings.CutPrefix(rest, dots); found {
			return cut, true
		}
	}
	return rest, false
}

// hasControl reports whether the text has a control character, C1 included.
func hasControl(text string) bool { return strings.ContainsFunc(text, unicode.IsControl) }

// decode replaces valid escapes and leaves others as they are, as servers that do
// not refuse them do.
func decode(text string) string {
	if strings.IndexByte(text, '%') < 0 {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			high, low := hexDigit(text[i+1]), hexDigit(text[i+2])
			if high >= 0 && low >= 0 {
				out = append(out, byte(high<<4|low)) //nolint:gosec // two hex digits
				i += 2
				continue
			}
		}
		out = append(out, text[i])
	}
	return string(out)
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// escape writes what has no place in a header as escapes.
func escape(text string) string {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, len(text))
	for i := range len(text) {
		switch c := text[i]; {
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0:
			out = append(out, '%', digits[c>>4], digits[c&15])
		default:
			out = append(out, c)
		}
	}
	return string(out)
}
