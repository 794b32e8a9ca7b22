package wechat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/transport"
	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

// W6: Go would follow, with a Referer that has the secret in it.
func TestRedirectIsNotFollowed(t *testing.T) {
	var visited atomic.Bool
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visited.Store(true) }))
	defer target.Close()
	client := serve(t, http.RedirectHandler(target.URL, http.StatusFound))
	_, err := client.Code2Session(t.Context(), account, theCode)
	wantOutcome(t, "redirect", err, provider.ErrBadAnswer)
	if visited.Load() {
		t.Error("the redirect was followed")
	}
}

// W5: whatever does not come to an end is ended, and leaves nothing behind.
func TestSlowAnswersEndInTime(t *testing.T) {
	before := runtime.NumGoroutine()
	for name, handler := range map[string]http.HandlerFunc{
		"hangs": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"drips": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte(" "))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Millisecond)
			}
		},
		"1xx for ever": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				w.WriteHeader(http.StatusEarlyHints)
				time.Sleep(time.Millisecond)
			}
		},
	} {
		server := httptest.NewServer(handler)
		client := newClient(t, 100*time.Millisecond, server.URL)
		_, err := client.Code2Session(t.Context(), account, theCode)
		if name == "1xx for ever" && errors.Is(err, provider.ErrBadAnswer) {
			err = provider.ErrTimeout // net/http may count them first
		}
		wantOutcome(t, name, err, provider.ErrTimeout)
		if errors.Is(err, provider.ErrNotSent) {
			t.Errorf("%s: counts as not sent", name)
		}
		client.Close()
		server.CloseClientConnections()
		server.Close()
	}
	for range 1_000_000 {
		if runtime.NumGoroutine() <= before+2 {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
}

// A server that takes a kept connection's next request and hangs up. net/http
// sends a GET again then, and the code would be used twice.
func TestRequestIsSentOnceWhenAKeptConnectionDies(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var mu sync.Mutex
	var seen []string
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for first := true; ; first = false {
					buf := make([]byte, 4096)
					n, err := conn.Read(buf)
					if err != nil {
						return
					}
					mu.Lock()
					seen = append(seen, string(buf[:n]))
					mu.Unlock()
					if !first {
						return // hangs up without an answer
					}
					body := fmt.Sprintf(`{"openid":%q,"session_key":%q}`, openID, wechattest.SessionKey)
					fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
				}
			}()
		}
	}()
	client := newClient(t, 5*time.Second, "http://"+ln.Addr().String(), "http://"+ln.Addr().String())
	if _, err := client.Code2Session(t.Context(), account, "first"); err != nil {
		t.Fatal(err)
	}
	_, err = client.Code2Session(t.Context(), account, "second")
	wantOutcome(t, "hung up", err, provider.ErrUnavailable)
	if errors.Is(err, provider.ErrNotSent) {
		t.Error("counts as not sent")
	}
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Count(strings.Join(seen, ""), "js_code=second"); got != 1 {
		t.Errorf("the code was sent %d times", got)
	}
	if all := strings.ToLower(strings.Join(seen, "")); strings.Contains(all, "transfer-encoding") || strings.Contains(all, "content-length") {
		t.Errorf("the GET has a body:\n%s", all)
	}
}

func TestNextBaseIsTriedOnlyWhenNothingWasSent(t *testing.T) {
	fake := wechattest.New(appID, theSecret)
	fake.AddCode(theCode, wechattest.User{OpenID: openID})
	good := httptest.NewServer(fake)
	defer good.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + ln.Addr().String()
	ln.Close()
	if _, err := newClient(t, 5*time.Second, closed, good.URL).Code2Session(t.Context(), account, theCode); err != nil {
		t.Errorf("no failover: %v", err)
	}
	_, err = newClient(t, 5*time.Second, closed, closed).Code2Session(t.Context(), account, theCode)
	wantOutcome(t, "nobody there", err, provider.ErrUnavailable)
	if !errors.Is(err, provider.ErrNotSent) {
		t.Errorf("the code counts as used: %v", err)
	}
	hangsUp := httptest.NewServer(hijack(""))
	defer hangsUp.Close()
	calls := fake.Calls()
	_, err = newClient(t, 5*time.Second, hangsUp.URL, good.URL).Code2Session(t.Context(), account, theCode)
	wantOutcome(t, "hung up", err, provider.ErrUnavailable)
	if fake.Calls() != calls {
		t.Error("the code was sent to a second base")
	}
	notTLS := "https" + strings.TrimPrefix(hangsUp.URL, "http")
	_, err = newClient(t, 5*time.Second, notTLS).Code2Session(t.Context(), account, theCode)
	wantOutcome(t, "no TLS", err, provider.ErrUnavailable)
	if !errors.Is(err, provider.ErrNotSent) {
		t.Error("a failed TLS handshake counts as sent")
	}
}

// W7: a certificate that nobody vouches for is no WeChat.
func TestUnknownCertificateIsRefused(t *testing.T) {
	fake := wechattest.New(appID, theSecret)
	server := httptest.NewTLSServer(fake)
	defer server.Close()
	_, err := newClient(t, 5*time.Second, server.URL).Code2Session(t.Context(), account, theCode)
	wantOutcome(t, "unknown certificate", err, provider.ErrUnavailable)
	if fake.Calls() != 0 {
		t.Error("the request was sent")
	}
}

// W11: the environment of a server is no place to take a proxy from.
func TestEnvironmentProxyIsIgnored(t *testing.T) {
	var asked atomic.Bool
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	t.Setenv("ALL_PROXY", proxy.URL)
	_, err := newClient(t, time.Second, "https://wechat.invalid").Code2Session(t.Context(), account, theCode)
	wantOutcome(t, "a name that does not exist", err, provider.ErrUnavailable)
	if asked.Load() {
		t.Error("the environment's proxy was asked")
	}
}

func TestConfiguredProxyIsUsed(t *testing.T) {
	fake := wechattest.New(appID, theSecret)
	fake.AddCode(theCode, wechattest.User{OpenID: openID})
	proxy := httptest.NewServer(fake) // an HTTP proxy gets the whole URL and may as well answer
	defer proxy.Close()
	client, err := New(transport.Options{Bases: []string{"http://127.0.0.1:1"}, Timeout: 5 * time.Second, Proxy: proxy.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Code2Session(t.Context(), account, theCode); err != nil || fake.Calls() != 1 {
		t.Errorf("%d calls through the proxy, %v", fake.Calls(), err)
	}
}

func TestCancelledContextIsReturned(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	client := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() }))
	if _, err := client.Code2Session(ctx, account, theCode); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	const parallel, rounds = 20, 10
	var opened atomic.Int32
	fake := wechattest.New(appID, theSecret)
	server := httptest.NewUnstartedServer(fake)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	client := newClient(t, 5*time.Second, server.URL)
	for round := range rounds {
		release := fake.Hold() // so that all of a round are under way at once
		var group sync.WaitGroup
		for n := range parallel {
			code := fmt.Sprintf("code-%d-%d", round, n)
			fake.AddCode(code, wechattest.User{OpenID: openID})
			group.Go(func() {
				if _, err := client.Code2Session(t.Context(), account, code); err != nil {
					t.Error(err)
				}
			})
		}
		for fake.Calls() < (round+1)*parallel {
			runtime.Gosched()
		}
		release()
		group.Wait()
	}
	if got := opened.Load(); got > 2*parallel {
		t.Errorf("%d connections for %d logins, %d at once", got, parallel*rounds, parallel)
	}
}

func TestBaseURLs(t *testing.T) {
	for base, want := range map[string]bool{
		"https://api.weixin.qq.com": true, "https://api.weixin.qq.com/": true, "https://proxy.example/wechat": true,
		"http://127.0.0.1:9080": true, "http://localhost:9080": true, "http://[::1]:9080": true, "http://127.9.9.9": true,
		"http://api.weixin.qq.com": false, "http://127.0.0.1.example.com": false, "http://localhost.example.com": false, "http://10.0.0.1": false,
		"ftp://127.0.0.1": false, "api.weixin.qq.com": false, "": false, "https://": false, "https://u:p@api.weixin.qq.com": false,
		"https://api.weixin.qq.com?a=b": false, "https://api.weixin.qq.com#x": false, "http://0.0.0.0": false,
	} {
		if err := transport.CheckBase(base); (err == nil) != want {
			t.Errorf("transport.CheckBase(%q): %v", base, err)
		}
	}
	for proxy, want := range map[string]bool{
		"http://127.0.0.1:3128": true, "https://p.example": true, "socks5://127.0.0.1:1080": true, "ftp://x": false, "": false, "x:y": false,
	} {
		if err := transport.CheckProxy(proxy); (err == nil) != want {
			t.Errorf("transport.CheckProxy(%q): %v", proxy, err)
		}
	}
	if err := transport.CheckProxy("http://user:pa ss@proxy"); err == nil || strings.Contains(err.Error(), "pa ss") {
		t.Errorf("the proxy's password is shown: %v", err)
	}
}
