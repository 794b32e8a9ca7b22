package caddymodule_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"regexp"
	"slices"
	"strings"
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
			found = append(
				found,
				diff{side: side, proto: proto, public: public, name: name, stock: stock[name], gateway: gateway[name], upgrades: x.name == "Upgrade"},
			)
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
	lines := []string{
		bearerHeader(g.login(userA)), "Sec-WebSocket-Protocol: chat, v2", "Sec-WebSocket-Extensions: permessage-deflate",
		"Origin: https://other.example",
	}
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
