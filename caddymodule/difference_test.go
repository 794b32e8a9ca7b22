package caddymodule_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-wechat/gateway/internal/identity"
)

// A difference is something that wechat_auth changes on purpose in what stock
// reverse_proxy would pass on. All others are faults.
type difference struct {
	text  string // as SECURITY.md has it
	holds func(d diff) bool
}

// diff is one header of one message, as it arrives behind stock reverse_proxy
// and behind the gateway.
type diff struct {
	side     string // "app" or "client"
	proto    string
	public   bool
	name     string // canonical name of the header, or of another property
	stock    []string
	gateway  []string
	upgrades bool // whether the request asks for something else than a WebSocket
}

func (d diff) removed() bool { return len(d.stock) > 0 && len(d.gateway) == 0 }
func (d diff) added() bool   { return len(d.stock) == 0 && len(d.gateway) > 0 }

// differences are all that the gateway changes.
var differences = []difference{
	{"the identity headers are added", func(d diff) bool {
		return d.side == "app" && !d.public && d.added() && slices.Contains([]string{"X-Openid", "X-Appid"}, d.name)
	}},
	{"the gateway's token is removed", func(d diff) bool {
		return d.side == "app" && d.name == "Authorization" && d.removed()
	}},
	{"every spelling of an identity header is removed", func(d diff) bool {
		return d.side == "app" && d.removed() && slices.Contains(protectedFolds, identity.Fold(d.name))
	}},
	{"headers that apps trust by habit are removed", func(d diff) bool {
		return d.side == "app" && d.removed() && slices.Contains([]string{"X-Real-Ip", "Forwarded", "X-Forwarded-User"}, d.name)
	}},
	{"request trailers are removed", func(d diff) bool {
		return d.side == "app" && d.removed() && (d.name == "trailers" || d.name == "Trailer")
	}},
	{"`TE` is removed on HTTP/1.1", func(d diff) bool {
		return d.side == "app" && d.name == "Te" && d.removed() && d.proto == "HTTP/1.1"
	}},
	{"`Connection` cannot remove a header", func(d diff) bool {
		return d.side == "app" && d.name == "X-Hop" && d.added()
	}},
	{"`Upgrade` to anything but a WebSocket is removed", func(d diff) bool {
		return d.side == "app" && d.upgrades && d.removed() && slices.Contains([]string{"Upgrade", "Connection", "Http2-Settings"}, d.name)
	}},
	{"`TRACE` and `CONNECT` are refused", func(d diff) bool {
		return d.name == "refused"
	}},
	{"the answer to a user is `Cache-Control: private` unless the app says otherwise", func(d diff) bool {
		return d.side == "client" && !d.public && d.name == "Cache-Control" && d.added() && slices.Equal(d.gateway, []string{"private"})
	}},
	{"the answer has the place of the token in `Vary`", func(d diff) bool {
		return d.side == "client" && !d.public && d.name == "Vary" && slices.Equal(d.gateway, append(slices.Clone(d.stock), "Authorization"))
	}},
}

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

var altSvcPort = regexp.MustCompile(`:\d+"`)

// make sends the request and returns what the app and the client got.
func (x exchange) make(t *testing.T, app *differenceApp, transport http.RoundTripper, addr, prefix, token string) (atApp, atClient http.Header) {
	t.Helper()
	var informational []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		informational = append(informational, fmt.Sprint(code, " ", h.Values("Link")))
		return nil
	}})
	var body io.Reader
	if x.body != nil {
		body = io.NopCloser(x.body())
	}
	req, err := http.NewRequestWithContext(ctx, x.method, "https://"+addr, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "localhost" // without the port, which tells the two apart
	path, query, _ := strings.Cut(prefix+x.path, "?")
	req.URL.Opaque, req.URL.RawQuery = path, query // as it stands
	if x.body != nil {
		req.ContentLength = x.length
	}
	req.Trailer = x.trailer
	req.Header.Set("Authorization", "Bearer "+token)
	for _, line := range x.headers {
		name, value, _ := strings.Cut(line, ": ")
		req.Header[name] = append(req.Header[name], value)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s: %v", x.name, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	atClient = resp.Header.Clone()
	delete(atClient, "Date")
	for i, value := range atClient["Alt-Svc"] {
		atClient["Alt-Svc"][i] = altSvcPort.ReplaceAllString(value, `:PORT"`)
	}
	// ServeContent draws a boundary for each answer.
	if _, boundary, multipart := strings.Cut(resp.Header.Get("Content-Type"), "multipart/byteranges; boundary="); multipart {
		answer = bytes.ReplaceAll(answer, []byte(boundary), []byte("BOUNDARY"))
		atClient.Set("Content-Type", "multipart/byteranges")
	}
	atClient["status"] = []string{resp.Proto + " " + resp.Status}
	atClient["body"] = []string{fmt.Sprintf("%x %v, length %d, %v", sha256.Sum256(answer), err, resp.ContentLength, resp.TransferEncoding)}
	// Go's server sends 100 by itself, and the app's is passed on if it is faster.
	atClient["informational"] = slices.Compact(informational)
	for _, name := range slices.Sorted(maps.Keys(resp.Trailer)) {
		atClient["trailers"] = append(atClient["trailers"], fmt.Sprint(name, resp.Trailer[name]))
	}
	switch seen := app.take(); len(seen) {
	case 0:
	case 1:
		atApp = seen[0]
	default:
		t.Fatalf("%s: the app got %d requests", x.name, len(seen))
	}
	return atApp, atClient
}

// diffs lists the headers that differ.
func diffs(side, proto string, public bool, x exchange, stock, gateway http.Header) []diff {
	names := slices.Collect(maps.Keys(stock))
	names = slices.AppendSeq(names, maps.Keys(gateway))
	slices.Sort(names)
	var found []diff
	for _, name := range slices.Compact(names) {
		if !slices.Equal(stock[name], gateway[name]) {
			found = append(found, diff{side: side, proto: proto, public: public, name: name, stock: stock[name], gateway: gateway[name], upgrades: x.name == "Upgrade"})
		}
	}
	return found
}

// The same requests to stock reverse_proxy and to the gateway, looked at where
// they arrive and where their answers do: they differ by the list above only.
func TestProxyChangesNothingElse(t *testing.T) {
	app := new(differenceApp)
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	upstream := "reverse_proxy " + strings.TrimPrefix(server.URL, "http://")
	certificate := "tls " + selfSigned(t)
	stock := strings.Replace(freeAddr(t), "127.0.0.1", "localhost", 1)
	g := newGateway(t, func(g *gatewayTest) {
		g.scheme = "https"
		g.addr = strings.Replace(g.addr, "127.0.0.1", "localhost", 1)
		g.site = certificate + "\nwechat_auth {\npublic /public/*\n}\n" + upstream
		g.sites = "https://" + stock + " {\n" + certificate + "\n" + upstream + "\n}\n"
	})
	h1 := &http.Transport{TLSClientConfig: insecure(), DisableCompression: true, ExpectContinueTimeout: time.Minute}
	h2 := &http.Transport{TLSClientConfig: insecure(), DisableCompression: true, ForceAttemptHTTP2: true, ExpectContinueTimeout: time.Minute}
	h3 := &http3.Transport{TLSClientConfig: insecure(), DisableCompression: true, Logger: slog.New(slog.DiscardHandler)}
	t.Cleanup(func() { h1.CloseIdleConnections(); h2.CloseIdleConnections(); h3.Close() })
	token := g.tlsLogin(t, h1)
	occurred := make([]bool, len(differences))
	judge := func(t *testing.T, x exchange, d diff) {
		t.Helper()
		allowed := false
		for i, difference := range differences {
			if difference.holds(d) {
				allowed, occurred[i] = true, true
			}
		}
		if !allowed {
			t.Errorf("%s: %s differs at the %s: stock %.300q, gateway %.300q", x.name, d.name, d.side, d.stock, d.gateway)
		}
	}
	for proto, transport := range map[string]http.RoundTripper{"HTTP/1.1": h1, "HTTP/2.0": h2, "HTTP/3.0": h3} {
		for _, prefix := range []string{"", "/public"} {
			t.Run(proto+prefix, func(t *testing.T) {
				for _, x := range exchanges {
					if x.h1 && proto != "HTTP/1.1" {
						continue
					}
					appStock, clientStock := x.make(t, app, transport, stock, prefix, token)
					appGateway, clientGateway := x.make(t, app, transport, g.addr, prefix, token)
					if status := clientStock["status"][0]; !strings.HasPrefix(status, proto) {
						t.Fatalf("%s over %s", x.name, status)
					}
					if x.refused {
						if appGateway == nil && strings.Contains(clientGateway["status"][0], "405") {
							judge(t, x, diff{name: "refused"})
							continue
						}
						t.Errorf("%s: %v", x.name, clientGateway)
					}
					if appStock == nil || appGateway == nil {
						t.Errorf("%s: the app got nothing: %v, %v", x.name, clientStock, clientGateway)
						continue
					}
					public := prefix != "" && !x.private
					found := append(diffs("app", proto, public, x, appStock, appGateway), diffs("client", proto, public, x, clientStock, clientGateway)...)
					for _, d := range found {
						judge(t, x, d)
					}
				}
			})
		}
	}
	security, err := os.ReadFile("../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Join(strings.Fields(string(security)), " ")
	for i, d := range differences {
		if !occurred[i] {
			t.Errorf("nothing differs like this: %s", d.text)
		}
		if !strings.Contains(words, d.text) {
			t.Errorf("SECURITY.md does not name the difference: %s", d.text)
		}
	}
}

// A WebSocket is the one protocol that may take over a connection; what the app
// and the client say to each other in it passes as it is.
func TestProxyPassesWebSocketsAsStockDoes(t *testing.T) {
	stock := freeAddr(t)
	g := newGateway(t, func(g *gatewayTest) {
		g.sites = "http://" + stock + " {\nreverse_proxy " + g.app.addr() + "\n}\n"
	})
	g.echoUpgrades()
	lines := []string{bearerHeader(g.login(userA)), "Sec-WebSocket-Protocol: chat, v2", "Sec-WebSocket-Extensions: permessage-deflate", "Origin: https://other.example"}
	var answers [2]http.Header
	var seen [2]recorded
	for i, addr := range []string{stock, g.addr} {
		g.addr = addr
		conn, reader, resp := g.webSocket(t, lines...)
		if resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("status %d", resp.StatusCode)
		}
		sent := bytes.Repeat([]byte{0x81, 0, 0xff, '\n'}, 10000)
		go func() { _, _ = conn.Write(sent) }()
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(reader, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%s: %v", addr, err)
		}
		answers[i], seen[i] = resp.Header, g.only(t)
		delete(answers[i], "Date")
	}
	for _, name := range []string{"X-Openid", "X-Appid"} {
		delete(seen[1].Header, name)
	}
	for _, header := range []http.Header{seen[0].Header, answers[0], answers[1]} {
		for _, name := range []string{"Authorization", "X-Seen"} {
			delete(header, name)
		}
	}
	for _, s := range seen {
		delete(s.Header, "X-Forwarded-Host")
	}
	if fmt.Sprint(seen[0].Header) != fmt.Sprint(seen[1].Header) || fmt.Sprint(answers[0]) != fmt.Sprint(answers[1]) {
		t.Errorf("stock %v\n%v\ngateway %v\n%v", seen[0].Header, answers[0], seen[1].Header, answers[1])
	}
}
