package simulator

import (
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/caddy-wechat/gateway/client"
)

//go:embed playground.html
var page string

// pagePolicy lets the page run its own script and style and the client, and
// talk to this simulator. Nothing else gets in, also through a hostile answer.
var pagePolicy = strings.Join([]string{
	"default-src 'none'",
	"script-src 'self' " + inlineHash(page, "<script>", "</script>"),
	"style-src " + inlineHash(page, "<style>", "</style>"),
	"connect-src 'self'",
	"img-src data:",
	"base-uri 'none'",
	"form-action 'none'",
	"frame-ancestors 'none'",
	"require-trusted-types-for 'script'",
}, "; ")

// inlineHash is the source expression for what stands between two tags.
func inlineHash(page, open, end string) string {
	_, rest, _ := strings.Cut(page, open)
	text, _, _ := strings.Cut(rest, end)
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func servePage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
	serveText(w, r, "text/html; charset=utf-8", page)
}

func serveClient(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
	serveText(w, r, "text/javascript; charset=utf-8", string(client.Script))
}

func serveText(w http.ResponseWriter, r *http.Request, kind, text string) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-cache")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write([]byte(text)) // a client that left is no error of ours
}
