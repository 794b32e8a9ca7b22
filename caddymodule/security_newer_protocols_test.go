package caddymodule_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/caddy-wechat/gateway/internal/identity"
)

// H7, and with it H1–H6 and P2 over HTTP/2 and HTTP/3, which have no case, no
// Connection and other ways to spell a request.
func TestH7NewerProtocolsAreNoWayAround(t *testing.T) {
	g := newTLSGateway(t)
	for name, transport := range tlsTransports(t) {
		t.Run(name, func(t *testing.T) {
			token := g.tlsLogin(t, transport)
			for _, forgery := range forgeries {
				for path, want := range map[string]identity.User{"/": isA, "/public": {}} {
					resp := g.tlsDo(t, transport, "GET", path, nil, forgery, bearerHeader(token))
					if resp.StatusCode != http.StatusOK || resp.Proto != name {
						t.Fatalf("%d over %s", resp.StatusCode, resp.Proto)
					}
					wantHonest(t, g.only(t), want)
				}
			}
			// Trailers, declared and sent behind the body.
			resp := g.tlsDo(t, transport, "POST", "/", http.Header{"X-Openid": {"forged"}, "X-Unionid": {"forged"}}, bearerHeader(token))
			if resp.StatusCode != http.StatusOK {
				t.Errorf("trailers: %d", resp.StatusCode)
			}
			wantHonest(t, g.only(t), isA)
			for path, want := range map[string]int{"/": http.StatusUnauthorized, "/wechat/login/": http.StatusNotFound, "/public/../x": http.StatusUnauthorized, "/public": http.StatusOK} {
				if resp := g.tlsDo(t, transport, "GET", path, nil, "X-OpenID: forged"); resp.StatusCode != want {
					t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
				}
				for _, got := range g.app.requests() {
					wantHonest(t, got, identity.User{})
				}
			}
			if resp := g.tlsDo(t, transport, "TRACE", "/public", nil, bearerHeader(token)); resp.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("TRACE: %d", resp.StatusCode)
			}
			g.wantUntouched(t, "TRACE")
		})
	}
}

// P2 over HTTP/2: a plain CONNECT, and one for another protocol.
func TestP2ConnectOverHTTP2IsRefused(t *testing.T) {
	g := newTLSGateway(t)
	conn, err := tls.Dial("tcp", g.addr, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{{":method", "CONNECT"}, {":authority", "localhost"}, {"x-openid", "forged"}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			t.Fatal(err)
		}
	}
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true}); err != nil {
		t.Fatal(err)
	}
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if headers, ok := frame.(*http2.MetaHeadersFrame); ok {
			if status := headers.PseudoValue("status"); status != "405" {
				t.Errorf("status %s", status)
			}
			break
		}
		if reset, ok := frame.(*http2.RSTStreamFrame); ok {
			t.Logf("refused with %v", reset.ErrCode)
			break
		}
	}
	g.wantUntouched(t, "CONNECT")
}

// selfSigned makes a certificate for localhost and returns its files.
func selfSigned(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := [2]string{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	for i, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: der}, {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(files[i], pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files[0] + " " + files[1]
}

func insecure() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}
}

// tlsTransports are clients by protocol.
func tlsTransports(t *testing.T) map[string]http.RoundTripper {
	t.Helper()
	h1 := &http.Transport{TLSClientConfig: insecure(), DisableCompression: true}
	h2 := &http.Transport{TLSClientConfig: insecure(), DisableCompression: true, ForceAttemptHTTP2: true}
	h3 := &http3.Transport{TLSClientConfig: insecure(), DisableCompression: true, Logger: slog.New(slog.DiscardHandler)}
	t.Cleanup(func() { h1.CloseIdleConnections(); h2.CloseIdleConnections(); h3.Close() })
	return map[string]http.RoundTripper{"HTTP/1.1": h1, "HTTP/2.0": h2, "HTTP/3.0": h3}
}

// newTLSGateway is a gateway with TLS, and so HTTP/2 and HTTP/3.
func newTLSGateway(t *testing.T, handlers ...string) *gatewayTest {
	t.Helper()
	return newGateway(t, func(g *gatewayTest) { g.overTLS("", strings.Join(handlers, "\n")) })
}

// overTLS makes the site one with a certificate and a public path.
func (g *gatewayTest) overTLS(options, handlers string) {
	g.scheme = "https"
	g.addr = strings.Replace(g.addr, "127.0.0.1", "localhost", 1)
	g.site = "tls " + selfSigned(g.t) + "\nwechat_auth {\npublic /public\n" + options + "}\n" + handlers
}

func (g *gatewayTest) tlsDo(t *testing.T, transport http.RoundTripper, method, path string, trailer http.Header, lines ...string) *http.Response {
	t.Helper()
	var body io.Reader
	if trailer != nil {
		body = strings.NewReader("hello")
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, "https://"+g.addr+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if trailer != nil {
		req.Trailer, req.ContentLength = trailer, -1
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		req.Header[name] = append(req.Header[name], strings.TrimSpace(value))
	}
	if strings.HasSuffix(path, "/wechat/login") {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s %v: %v", method, path, lines, err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func (g *gatewayTest) tlsLogin(t *testing.T, transport http.RoundTripper) string {
	t.Helper()
	code := freshCode()
	g.wechat.AddCode(code, userA)
	req, err := http.NewRequestWithContext(
		t.Context(), http.MethodPost, "https://"+g.addr+"/wechat/login", strings.NewReader(`{"code":"`+code+`"}`),
	)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("login: %d %s %v", resp.StatusCode, body, err)
	}
	return grantOf(t, string(body)).Token
}
