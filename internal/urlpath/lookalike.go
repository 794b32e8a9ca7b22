package urlpath

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// separators are the characters that give a path its structure.
const separators = `/\.;%?#`

// bestFits are characters that Windows replaces by a separator when it converts
// a text to one of its code pages, and that have no compatibility form.
var bestFits = strings.NewReplacer(
	"\u2044", "/", // fraction slash
	"\u2215", "/", // division slash
	"\u0337", "/", "\u0338", "/", // solidus overlays
	"\u2571", "/", // box drawings light diagonal
	"\u2216", `\`, // set minus
	"\u20e5", `\`, // reverse solidus overlay
	"\u2572", `\`, // box drawings light diagonal
	"\u00a5", `\`, // yen sign, in code page 932
	"\u20a9", `\`, // won sign, in code page 949
	"\u066a", "%", // Arabic percent sign
)

// plainForm returns what servers make of a decoded text that normalise it
// (NFKC) or convert it to an old code page.
func plainForm(decoded string) string {
	if isASCII(decoded) {
		return decoded
	}
	return bestFits.Replace(norm.NFKC.String(decoded))
}

// hidesSeparator reports whether a character of the decoded text becomes a
// separator, white space or a control character in its plain form: a full-width
// dot, a two dot leader, "a/c" as one character.
func hidesSeparator(decoded string) bool {
	if isASCII(decoded) {
		return false
	}
	for _, r := range decoded {
		if r < utf8.RuneSelf {
			continue
		}
		for _, c := range []byte(plainForm(string(r))) {
			if c <= ' ' || c == 0x7f || strings.IndexByte(separators, c) >= 0 {
				return true
			}
		}
	}
	return false
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
