// Package netfault puts failures of HTTP calls into words that hold nothing of what was
// received: the text of an error of net/http quotes the part of an answer that it cannot
// read, and that may be a session_key, an openid or a token.
package netfault

import "strings"

// Text is the text of an error of an [net/http.Transport], up to what it quotes.
func Text(err error) string {
	text, _, _ := strings.Cut(err.Error(), `"`)
	return strings.TrimRight(text, " :;,(")
}

// Quotes reports whether an error of an [net/http.Transport] quotes an answer, so that
// something answered, though not in HTTP.
func Quotes(err error) bool { return strings.Contains(err.Error(), `"`) }
