package simulator

import (
	"embed" // the pages
	"net/http"
	"path"
	"strings"

	"github.com/caddy-wechat/gateway/client"
)

//go:embed playground connect
var pages embed.FS

// pagePolicy lets the page run its own scripts and style and the client, talk to
// this simulator, and show pictures of the gateway. Nothing else gets in, also through
// a hostile answer.
func (s *Site) pagePolicy() string {
	pictures := "img-src data:"
	if s.Gateway != nil {
		pictures += " " + s.Gateway.Scheme + "://" + s.Gateway.Host
	}
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		"connect-src 'self'",
		pictures,
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
	}, "; ")
}

func (s *Site) servePage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", s.pagePolicy())
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
	text, _ := pages.ReadFile("playground/index.html") // it is embedded
	serveText(w, r, "text/html; charset=utf-8", text)
}

// fileKinds are the content types of what pages consist of.
var fileKinds = map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}

// servePart serves a script or a style of a page.
func servePart(w http.ResponseWriter, r *http.Request) {
	kind := fileKinds[path.Ext(r.URL.Path)]
	text, err := pages.ReadFile(strings.TrimPrefix(r.URL.Path, "/simulator/"))
	if kind == "" || err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
	serveText(w, r, kind, text)
}

func serveClient(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
	serveText(w, r, "text/javascript; charset=utf-8", client.Script)
}

func serveText(w http.ResponseWriter, r *http.Request, kind string, text []byte) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-cache")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(text) //nolint:gosec // an embedded file; a client that left is no error of ours
}
