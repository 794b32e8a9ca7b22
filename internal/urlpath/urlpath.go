// Package urlpath decides what a request path means when servers disagree
// about its spelling: whether a raw path has only one reading, what its most
// forgiving reading is, and whether a pattern covers it.
package urlpath

import (
	"strings"
	"unicode/utf8"
)

// Canonical reports whether the raw (still escaped) path can be read in one way
// only, so that the gateway and the app cannot disagree about which page it
// names: it begins with one slash, has no empty, "." or ".." segment in up to
// two rounds of decoding, no backslash, semicolon, control or non-ASCII byte,
// and no escape of a separator, of a character that needs none, of one that
// becomes a separator when it is normalised, or of anything that is not UTF-8.
// (Oathkeeper CVE-2026-33494, Traefik CVE-2025-66490,
// Authelia CVE-2021-32637.)
func Canonical(raw string) bool {
	if raw == "" || raw[0] != '/' {
		return false
	}
	escaped := false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c <= ' ' || c >= 0x7f || c == '\\' || c == ';' || c == '?' || c == '#':
			return false
		case c == '/' && i+1 < len(raw) && raw[i+1] == '/':
			return false
		case c == '%':
			decoded, ok := unescapeAt(raw, i)
			if !ok || forbiddenEscape(decoded) {
				return false
			}
			escaped = true
			i += 2
		}
	}
	if hasDotSegment(raw) {
		return false
	}
	if !escaped {
		return true
	}
	// %25 is forbidden above, so one round decodes all there is.
	decoded := unescape(raw)
	return utf8.ValidString(decoded) && !hidesSeparator(decoded)
}

// forbiddenEscape reports whether writing c as an escape gives a path a second
// spelling or hides a separator from one of the servers on the way.
func forbiddenEscape(c byte) bool {
	if c < ' ' || c == 0x7f {
		return true
	}
	return isUnreserved(c) || strings.IndexByte(separators, c) >= 0
}

// isUnreserved: RFC 3986 section 2.3, escaping these is never needed.
func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

func hasDotSegment(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

func unescapeAt(s string, i int) (byte, bool) {
	if i+2 >= len(s) {
		return 0, false
	}
	high, low := hexValue(s[i+1]), hexValue(s[i+2])
	if high < 0 || low < 0 {
		return 0, false
	}
	return byte(high<<4 | low), true //nolint:gosec // two hex digits
}

func hexValue(c byte) int {
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

// unescape decodes every valid escape once and leaves the others as they are.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' {
			if c, ok := unescapeAt(s, i); ok {
				out = append(out, c)
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// foldRounds is how often [Fold] decodes. Two rounds cover a proxy in front and
// an app that decodes again; the third is for whoever decodes in between.
const foldRounds = 3

// Fold returns the most forgiving reading of a raw path: decoded, normalised, lower case,
// backslashes as slashes, parameters (";…"), empty segments and dot segments
// resolved, white space at the ends of segments and a trailing slash removed.
// Two paths with one fold may be one page to some server.
func Fold(raw string) string {
	path := raw
	for range foldRounds {
		decoded := plainForm(unescape(path))
		if decoded == path {
			break
		}
		path = decoded
	}
	// A lower-case letter may join with a mark that its upper case leaves alone
	// (y and a ring above), so the plain form is taken again.
	path = strings.ReplaceAll(plainForm(strings.ToLower(path)), `\`, "/")
	var segments []string
	for segment := range strings.SplitSeq(path, "/") {
		segment, _, _ = strings.Cut(segment, ";")
		segment, _, _ = strings.Cut(segment, "\x00") // C strings end here
		segment = strings.Trim(segment, " \t\r\n\v\f\u00a0")
		switch segment {
		case "", ".":
		case "..":
			segments = segments[:max(len(segments)-1, 0)]
		default:
			segments = append(segments, segment)
		}
	}
	return "/" + strings.Join(segments, "/")
}

// Below reports whether the raw path, as it stands or in its most forgiving
// reading, lies below the folded prefix. The prefix itself does not, unless it
// is spelled so that a server may see a slash at its end.
func Below(raw, foldedPrefix string) bool {
	n := len(foldedPrefix)
	if len(raw) > n && raw[n] == '/' && strings.EqualFold(raw[:n], foldedPrefix) {
		return true
	}
	if isPlain(raw) { // the usual path: BenchmarkBelow takes 0.3 µs, with Fold 4.6 µs
		return false
	}
	folded := Fold(raw)
	return folded == foldedPrefix || isBelow(folded, foldedPrefix)
}

func isBelow(folded, foldedPrefix string) bool {
	n := len(foldedPrefix)
	return len(folded) > n && folded[n] == '/' && folded[:n] == foldedPrefix
}

// isPlain reports whether the path is its own fold but for upper case letters
// and a slash at its end.
func isPlain(raw string) bool {
	if raw == "" || raw[0] != '/' {
		return false
	}
	for i := range len(raw) {
		switch c := raw[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '~':
		case c == '/':
			if i > 0 && raw[i-1] == '/' {
				return false
			}
		case c == '.':
			if raw[i-1] == '/' { // may be a dot segment
				return false
			}
		default:
			return false
		}
	}
	return true
}

// Unescape decodes every valid escape once and leaves the others as they are.
func Unescape(s string) string { return unescape(s) }
