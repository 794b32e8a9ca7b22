package caddymodule_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// exchange is a request and, once it was made, what arrived of it.
type exchange struct {
	name    string
	method  string
	path    string
	headers []string
	body    func() io.Reader
	length  int64 // -1: chunked
	trailer http.Header
	refused bool
	h1      bool // makes sense on HTTP/1.1 only
	private bool // public to nobody, whatever it begins with
}

func hugeBody() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{7}), 3<<20) }

func text(s string) func() io.Reader { return func() io.Reader { return strings.NewReader(s) } }

var exchanges = []exchange{
	{name: "GET", method: "GET", path: "/"},
	{name: "query", method: "GET", path: "/a%20b/%E4%B8%AD?x=1&&y=%zz;c=%20&z"},
	{name: "odd paths", method: "GET", path: "/a//b/./c/../d;p=1/%2e%2e/%2F/", private: true},
	{name: "HEAD", method: "HEAD", path: "/"},
	{name: "OPTIONS", method: "OPTIONS", path: "/", headers: []string{"Origin: https://other.example", "Access-Control-Request-Method: PUT"}},
	{name: "DELETE with a body", method: "DELETE", path: "/", body: text("why"), length: 3},
	{name: "PUT", method: "PUT", path: "/", body: text("hello"), length: 5},
	{name: "PATCH", method: "PATCH", path: "/", body: text("{}"), length: 2, headers: []string{"Content-Type: application/merge-patch+json"}},
	{name: "PROPFIND", method: "PROPFIND", path: "/", headers: []string{"Depth: 1"}},
	{name: "own method", method: "BREW", path: "/"},
	{name: "empty POST", method: "POST", path: "/"},
	{name: "chunked", method: "POST", path: "/", body: text("chunked"), length: -1},
	{name: "huge", method: "POST", path: "/", body: hugeBody, length: 3 << 20},
	{name: "huge and chunked", method: "POST", path: "/", body: hugeBody, length: -1},
	{name: "odd headers", method: "GET", path: "/", headers: []string{
		"X-Empty: ", "X-Twice: a", "X-Twice: b, c", "X-Utf8: 中文", "X.Dot: 1", "X!bang~: 2", "X-Long: " + strings.Repeat("x", 8000),
		"Accept-Encoding: br;q=1.0, gzip;q=0.5", "User-Agent: MicroMessenger/8.0 (odd; \"quoted\")", "Referer: https://servicewechat.com/wx/0/page.html",
		"Cookie: a=1; b=\"2\"; a=3", "Accept-Language: zh-CN", "Priority: u=1", "Sec-Fetch-Site: cross-site", "X-Request-Id: {uuid}", "X-Requested-With: XMLHttpRequest",
		"X-Http-Method-Override: PUT", "Via: 1.0 somebody", "Max-Forwards: 3", "Dnt: 1", "X-Openidx: kept", "Xopenid: kept", "Grpc-Timeout: 1S",
	}},
	{name: "forged", method: "GET", path: "/", headers: []string{"X-UnionID: forged", "X.UnionID: forged", "X-Real-IP: 1.2.3.4", "Forwarded: for=1.2.3.4", "X-Forwarded-User: root"}},
	{name: "forwarded", method: "GET", path: "/", headers: []string{"X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: http", "X-Forwarded-Host: evil.example"}},
	{name: "TE", method: "GET", path: "/", headers: []string{"Te: trailers"}},
	{name: "Connection", method: "GET", path: "/", headers: []string{"X-Hop: here", "Connection: X-Hop, keep-alive"}, h1: true},
	{name: "Upgrade", method: "GET", path: "/", headers: []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "Http2-Settings: AAMAAABkAAQ"}, h1: true},
	{name: "request trailers", method: "POST", path: "/", body: text("hello"), length: -1, trailer: http.Header{"X-Checksum": {"1"}}},
	{name: "expect", method: "POST", path: "/", body: text("hello"), length: 5, headers: []string{"Expect: 100-continue"}},
	{name: "TRACE", method: "TRACE", path: "/", refused: true},
	{name: "range", method: "GET", path: "/file", headers: []string{"Range: bytes=3-7"}},
	{name: "ranges", method: "GET", path: "/file", headers: []string{"Range: bytes=0-1,5-6", "If-Range: \"v1\""}},
	{name: "range too far", method: "GET", path: "/file", headers: []string{"Range: bytes=900-"}},
	{name: "not modified", method: "GET", path: "/file", headers: []string{"If-None-Match: \"v1\""}},
	{name: "modified since", method: "GET", path: "/file", headers: []string{"If-Modified-Since: Wed, 01 Jan 2020 00:00:00 GMT"}},
	{name: "precondition", method: "PUT", path: "/file", headers: []string{"If-Match: \"v2\""}},
	{name: "HEAD of a file", method: "HEAD", path: "/file"},
	{name: "early hints", method: "GET", path: "/hints"},
	{name: "trailers", method: "GET", path: "/trailers", headers: []string{"Te: trailers"}},
	{name: "huge answer", method: "GET", path: "/huge"},
	{name: "stream", method: "GET", path: "/stream"},
	{name: "no content", method: "GET", path: "/204"},
	{name: "redirect", method: "GET", path: "/redirect"},
	{name: "challenge", method: "GET", path: "/challenge"},
	{name: "own caching", method: "GET", path: "/cache"},
	{name: "varies already", method: "GET", path: "/vary"},
	{name: "odd answer", method: "GET", path: "/odd"},
	{name: "teapot", method: "GET", path: "/teapot"},
}

// differenceApp answers with every feature of HTTP, and remembers requests.
type differenceApp struct {
	mu   sync.Mutex
	seen []http.Header
}

// observe turns a request into headers, the rest of it under names of its own.
func observe(r *http.Request) http.Header {
	hash := sha256.New()
	n, err := io.Copy(hash, r.Body)
	seen := r.Header.Clone()
	seen["line"] = []string{r.Method + " " + r.RequestURI + " " + r.Proto}
	seen["host"] = []string{r.Host}
	seen["body"] = []string{fmt.Sprintf("%d %x %v, length %d, %v", n, hash.Sum(nil), err, r.ContentLength, r.TransferEncoding)}
	for name, values := range r.Trailer {
		seen["trailers"] = append(seen["trailers"], fmt.Sprint(name, values))
	}
	return seen
}

func (a *differenceApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen := observe(r)
	a.mu.Lock()
	a.seen = append(a.seen, seen)
	a.mu.Unlock()
	header := w.Header()
	control := http.NewResponseController(w)
	switch strings.TrimPrefix(r.URL.Path, "/public") {
	case "/file":
		header.Set("Etag", `"v1"`)
		http.ServeContent(w, r, "file.txt", time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC), strings.NewReader("0123456789"))
	case "/hints":
		header.Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		header.Set("X-Final", "yes")
		_, _ = io.WriteString(w, "hints")
	case "/trailers":
		header.Set("Trailer", "X-Declared")
		_, _ = io.WriteString(w, "body")
		header.Set("X-Declared", "1")
		header.Set(http.TrailerPrefix+"X-Undeclared", "2")
	case "/huge":
		_, _ = io.Copy(w, hugeBody())
	case "/stream":
		header.Set("Content-Type", "text/event-stream")
		for i := range 5 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = control.Flush()
		}
	case "/204":
		w.WriteHeader(http.StatusNoContent)
	case "/redirect":
		header.Set("Location", "/elsewhere?x=1#y")
		w.WriteHeader(http.StatusSeeOther)
	case "/challenge":
		header["Www-Authenticate"] = []string{"Bearer", `Basic realm="app"`}
		http.Error(w, "the app's own", http.StatusUnauthorized)
	case "/cache":
		header.Set("Cache-Control", "public, max-age=60")
		_, _ = io.WriteString(w, "cached")
	case "/vary":
		header["Vary"] = []string{"Accept", "Origin, accept-encoding"}
		_, _ = io.WriteString(w, "varies")
	case "/odd":
		header["Set-Cookie"] = []string{"a=1; Path=/", "b=2; HttpOnly"}
		header["X-Empty"] = []string{""}
		header["X.Dot"] = []string{"中文"}
		header["X-Openid"] = []string{"the app may say so"}
		header["Content-Encoding"] = []string{"br"}
		header["Content-Type"] = nil
		_, _ = io.WriteString(w, "not really br")
	case "/teapot":
		w.WriteHeader(http.StatusTeapot)
	default:
		fmt.Fprintf(w, "%s %s", r.Method, seen["body"][0])
	}
}

func (a *differenceApp) take() []http.Header {
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := a.seen
	a.seen = nil
	return seen
}
