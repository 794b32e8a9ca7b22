package wechatapp

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/memory"
	"github.com/caddy-wechat/gateway/internal/token"
)

// BenchmarkAuthenticateStripInject is what the gateway adds to a request of a
// known token, without the rest of Caddy: strip, clean, find the token,
// authenticate, remove it, inject. Requests are in the processor's cache, as they
// have just come from a connection; what the gateway keeps of a million sessions
// is not. An op is a hundred requests; ns/request is the time of that alone.
func BenchmarkAuthenticateStripInject(b *testing.B) {
	for _, sessions := range []int{1, 10_000, 1_000_000} {
		var gw *gateway.Gateway
		var headers [][]string
		for _, fields := range []int{5, 20, 100} {
			b.Run(fmt.Sprintf("%d sessions, %d headers", sessions, fields), func(b *testing.B) {
				if gw == nil {
					gw, headers = filledGateway(b, sessions)
				}
				benchmarkPasses(b, gw, headers, fields)
			})
		}
	}
}

// filledGateway returns a gateway with sessions whose tokens it knows, and their
// Authorization headers.
func filledGateway(b *testing.B, sessions int) (*gateway.Gateway, [][]string) {
	b.Helper()
	store := memory.New(sessions, time.Hour)
	one, err := key.Parse(testKey)
	if err != nil {
		b.Fatal(err)
	}
	ring, err := key.NewSet(one)
	if err != nil {
		b.Fatal(err)
	}
	gw := gateway.New(gateway.Config{
		TokenLifetime: time.Hour, MaxLifetime: time.Hour, MaxPerUser: 5,
		Store: store, Keys: func() *key.Set { return ring }, State: gateway.NewState(),
	})
	now := time.Now().Truncate(time.Second)
	headers := make([][]string, sessions)
	for i := range headers {
		user := identity.User{AppID: testApp, OpenID: fmt.Sprintf("o%027d", i), UnionID: unionIDA, SessionID: fmt.Sprintf("s%021d", i)}
		_, err := store.Put(b.Context(), session.Login{
			Ref:     session.Ref{AppID: user.AppID, OpenID: user.OpenID, SessionID: user.SessionID},
			UnionID: user.UnionID, Ends: now.Add(time.Hour),
		}, 5)
		if err != nil {
			b.Fatal(err)
		}
		text, err := token.Mint(ring, token.Claims{User: user, IssuedAt: now, Expires: now.Add(time.Hour)})
		if err != nil {
			b.Fatal(err)
		}
		headers[i] = []string{"Bearer " + text}
		if _, err := gw.Authenticate(b.Context(), text, gateway.Apps{testApp}); err != nil {
			b.Fatal(err)
		}
	}
	return gw, headers
}

// benchmarkPasses times requests by the hundred, so that the benchmark's own look at
// the clock is no part of it. Their tokens are any of those in headers.
func benchmarkPasses(b *testing.B, gw *gateway.Gateway, headers [][]string, fields int) {
	guard, err := identity.NewGuard(identity.DefaultNames())
	if err != nil {
		b.Fatal(err)
	}
	apps := gateway.Apps{testApp}
	var requests [100]*http.Request
	for i := range requests {
		r := &http.Request{Method: http.MethodGet, ProtoMajor: 1, Header: http.Header{"Connection": {"keep-alive"}}}
		for n := range fields - 2 {
			r.Header[http.CanonicalHeaderKey(fmt.Sprintf("X-Some-Header-%d", n))] = []string{"value"}
		}
		requests[i] = r
	}
	var spent time.Duration
	order := rand.New(rand.NewPCG(1, 2))
	passes, read := 0, byte(0)
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range requests {
			header := headers[order.IntN(len(headers))]
			for i := range len(header[0]) {
				read ^= header[0][i]
			}
			for _, name := range []string{identity.DefaultOpenID, identity.DefaultUnionID, identity.DefaultAppID} {
				delete(r.Header, name)
			}
			r.Header["Authorization"] = header
		}
		start := time.Now()
		for _, r := range requests {
			guard.Strip(r.Header, func() bool { return false })
			identity.CleanHop(r)
			text, err := bearerCarrier{}.credential(r)
			if err != nil {
				b.Fatal(err)
			}
			user, err := gw.Authenticate(b.Context(), text, apps)
			if err != nil {
				b.Fatal(err)
			}
			bearerCarrier{}.remove(r)
			guard.Inject(r.Header, user)
		}
		spent += time.Since(start)
		passes += len(requests)
	}
	if read == 1 && passes == 0 {
		b.Fatal("never")
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(passes), "ns/request")
}

// BenchmarkCallOfWeChat compares a call through wechat_api with the same call
// through reverse_proxy, both to a fake WeChat on this machine.
func BenchmarkCallOfWeChat(b *testing.B) {
	wechat := wechattest.New(testApp, testSecret)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cgi-bin/stable_token" {
			wechat.ServeHTTP(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"errcode":0,"errmsg":"ok"}`)
	}))
	defer api.Close()
	addrs := map[string]string{}
	for _, name := range []string{"reverse_proxy", "wechat_api"} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		addrs[name] = ln.Addr().String()
		ln.Close()
	}
	text := fmt.Sprintf("{\nadmin off\npersist_config off\nauto_https off\nstorage file_system %q\nlog {\noutput discard\n}\nwechat {\napp %s %s\napi %s\n}\n}\nhttp://%s {\nreverse_proxy %s\n}\nhttp://%s {\nbind 127.0.0.1\nwechat_api\n}\n",
		b.TempDir(), testApp, testSecret, api.URL, addrs["reverse_proxy"], strings.TrimPrefix(api.URL, "http://"), addrs["wechat_api"])
	if err := load(text); err != nil {
		b.Fatal(err)
	}
	defer caddy.Stop()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	body := `{"touser":"` + openIDA + `","msgtype":"text","text":{"content":"hello"}}`
	for _, name := range []string{"reverse_proxy", "wechat_api"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				resp, err := client.Post("http://"+addrs[name]+"/cgi-bin/message/custom/send", "application/json", strings.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Gateway-Error") != "" {
					b.Fatalf("%d %v", resp.StatusCode, resp.Header)
				}
			}
		})
	}
}

// BenchmarkSite is a request from Caddy's server to its answer, without a network:
// to a site that answers by itself, and to the same with wechat_auth before it and
// a known token. The difference is all that the handler costs, with the two
// headers that it adds to the answer.
func BenchmarkSite(b *testing.B) {
	wechat := wechattest.New(testApp, testSecret)
	wechat.AddCode("code-of-the-site", wechattest.User{OpenID: openIDA, UnionID: unionIDA, SessionKey: "AAAAAAAAAAAAAAAAAAAAAA=="})
	api := httptest.NewServer(wechat)
	defer api.Close()
	text := fmt.Sprintf("{\nadmin off\npersist_config off\nauto_https off\nstorage file_system %q\nlog {\noutput discard\n}\nwechat {\napp %s %s\napi %s\n}\n}\n"+
		"http://open.localhost:0, http://other.localhost:0 {\nbind 127.0.0.1\nrespond hello\n}\n"+
		"http://gated.localhost:0 {\nbind 127.0.0.1\nwechat_auth\nrespond hello\n}\n",
		b.TempDir(), testApp, testSecret, api.URL)
	if err := load(text); err != nil {
		b.Fatal(err)
	}
	defer caddy.Stop()
	module, err := caddy.ActiveContext().App("http")
	if err != nil {
		b.Fatal(err)
	}
	server := module.(*caddyhttp.App).Servers["srv0"]
	login := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "http://gated.localhost/wechat/login", strings.NewReader(`{"code":"code-of-the-site"}`))
	r.Header.Set("Content-Type", "application/json")
	server.ServeHTTP(login, r)
	var granted struct{ Token string }
	if err := json.Unmarshal(login.Body.Bytes(), &granted); err != nil || granted.Token == "" {
		b.Fatalf("login: %d", login.Code)
	}
	for _, site := range []string{"open", "gated"} {
		b.Run(site, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, "http://"+site+".localhost/page", nil)
				r.Header = http.Header{
					"Authorization": {"Bearer " + granted.Token}, "Accept": {"*/*"}, "User-Agent": {"benchmark"}, "Accept-Encoding": {"gzip"},
				}
				w := httptest.NewRecorder()
				server.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
