package caddymodule_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

// connectWebSocket opens a WebSocket as RFC 8441 and RFC 9220 do it over HTTP/2 and
// HTTP/3, by CONNECT with a protocol.
func connectWebSocket(t *testing.T, transport http.RoundTripper, proto, addr string, lines ...string) (*http.Response, io.Writer, error) {
	t.Helper()
	body, client := io.Pipe()
	req := &http.Request{
		Method: http.MethodConnect, Host: addr, Body: body, ContentLength: -1, Header: make(http.Header),
		URL: &url.URL{Scheme: "https", Host: addr, Path: "/socket"},
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	if proto == "HTTP/3.0" {
		req.Proto = "websocket" // where quic-go takes it from
	} else {
		req.Header[":protocol"] = []string{"websocket"}
	}
	resp, err := transport.RoundTrip(req.WithContext(context.WithoutCancel(t.Context())))
	t.Cleanup(func() {
		client.Close()
		if err == nil { // until reverse_proxy is done: it has a race between an open socket and a stop
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
	return resp, client, err
}

// connectingHTTP2 is a client that sends :protocol, which http.Transport takes for a bad header.
func connectingHTTP2(t *testing.T) http.RoundTripper {
	t.Helper()
	h2 := &http2.Transport{TLSClientConfig: insecure()} //nolint:staticcheck // see above
	t.Cleanup(h2.CloseIdleConnections)                  //nolint:staticcheck // see above
	return h2
}

// WebSockets over the newer protocols pass as behind stock reverse_proxy, which offers
// them over HTTP/3 and, as Go's server does, not over HTTP/2: browsers use HTTP/1.1 there.
func TestProxyPassesConnectedWebSocketsAsStockDoes(t *testing.T) {
	stock := strings.Replace(freeAddr(t), "127.0.0.1", "localhost", 1)
	g := newGateway(t, func(g *gatewayTest) {
		g.overTLS("", "reverse_proxy "+g.app.addr())
		g.sites = "https://" + stock + " {\ntls " + selfSigned(t) + "\nreverse_proxy " + g.app.addr() + "\n}\n"
	})
	g.echoUpgrades()
	transports := tlsTransports(t)
	token := g.tlsLogin(t, transports["HTTP/1.1"])
	lines := []string{bearerHeader(token), "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: chat, v2", "Origin: https://other.example"}

	var answers [2]*http.Response
	var seen [2]recorded
	for i, addr := range []string{stock, g.addr} {
		resp, client, err := connectWebSocket(t, transports["HTTP/3.0"], "HTTP/3.0", addr, lines...)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v %v", addr, resp, err)
		}
		sent := bytes.Repeat([]byte{0x81, 0, 0xff, '\n'}, 10000)
		go func() { _, _ = client.Write(sent) }()
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(resp.Body, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%s: %v", addr, err)
		}
		answers[i], seen[i] = resp, g.only(t)
		if i == 1 && seen[i].Header.Get("X-Openid") != openIDA {
			t.Errorf("the app sees %v", seen[i].Header)
		}
		for _, name := range []string{"X-Openid", "X-Appid", "Authorization", "X-Forwarded-Host", "Sec-Websocket-Key"} {
			delete(seen[i].Header, name)
		}
		for _, name := range []string{"X-Seen", "Date"} {
			delete(resp.Header, name)
		}
	}
	for _, name := range []string{"Cache-Control", "Vary"} { // unlike a 101 it has them, as every answer to a user
		delete(answers[1].Header, name)
	}
	if fmt.Sprint(seen[0].Header) != fmt.Sprint(seen[1].Header) || fmt.Sprint(answers[0].Header) != fmt.Sprint(answers[1].Header) {
		t.Errorf("stock %v\n%v\ngateway %v\n%v", seen[0].Header, answers[0].Header, seen[1].Header, answers[1].Header)
	}
	// The gateway's ends with its session, and nobody gets one without.
	if resp := g.tlsDo(t, transports["HTTP/1.1"], http.MethodPost, "/wechat/logout", nil, bearerHeader(token)); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("logout: %d", resp.StatusCode)
	}
	_, _ = io.Copy(io.Discard, answers[1].Body)
	if resp, _, err := connectWebSocket(t, transports["HTTP/3.0"], "HTTP/3.0", g.addr, lines...); err != nil ||
		resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the logout: %v %v", resp, err)
	}

	h2 := connectingHTTP2(t)
	for _, addr := range []string{stock, g.addr} {
		resp, _, err := connectWebSocket(t, h2, "HTTP/2.0", addr, lines...)
		if err == nil || !strings.Contains(err.Error(), "extended connect not supported") {
			t.Errorf("HTTP/2 at %s: %v, %v", addr, resp, err)
		}
	}
	if requests := g.app.requests(); len(requests) != 0 {
		t.Errorf("the app got %d more requests", len(requests))
	}
}

// Whoever turns WebSockets over HTTP/2 on has them judged as all requests are.
func TestP4WebSocketsOverHTTP2AreJudged(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	g := newGateway(t, withGlobal(redisGlobal(server, "")), func(g *gatewayTest) { g.overTLS("", "reverse_proxy "+g.app.addr()) })
	t.Setenv("GODEBUG", "http2xconnect=1")
	other := g.spawn(t.TempDir())
	g.echoUpgrades()
	token := g.tlsLogin(t, tlsTransports(t)["HTTP/1.1"])
	h2 := connectingHTTP2(t)
	if resp, _, err := connectWebSocket(t, h2, "HTTP/2.0", other.addr, "Sec-WebSocket-Version: 13"); err != nil ||
		resp.StatusCode != http.StatusUnauthorized {
		t.Fatalf("nobody: %v %v", resp, err)
	}
	resp, client, err := connectWebSocket(t, h2, "HTTP/2.0", other.addr, "Sec-WebSocket-Version: 13", "X-OpenID: forged", bearerHeader(token))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("somebody: %v %v", resp, err)
	}
	go func() { _, _ = io.WriteString(client, "hello") }()
	echo := make([]byte, 5)
	if _, err := io.ReadFull(resp.Body, echo); err != nil || string(echo) != "hello" {
		t.Errorf("echo %q, %v", echo, err)
	}
	if seen := g.only(t); seen.Header.Get("X-Openid") != openIDA || len(seen.Header.Values("X-Openid")) != 1 {
		t.Errorf("the app sees %v", seen.Header)
	}
	if resp := g.tlsDo(t, tlsTransports(t)["HTTP/1.1"], http.MethodPost, "/wechat/logout", nil, bearerHeader(token)); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("logout: %d", resp.StatusCode)
	}
	_, _ = io.Copy(io.Discard, resp.Body) // until it is cut
}
