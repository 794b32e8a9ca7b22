package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

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
	text := fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	storage file_system %q
	log {
		output discard
	}
	wechat {
		app %s %s
		api %s
	}
}
http://%s {
	reverse_proxy %s
}
http://%s {
	bind 127.0.0.1
	wechat_api
}
`,
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
	text := fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	storage file_system %q
	log {
		output discard
	}
	wechat {
		app %s %s
		api %s
	}
}
http://open.localhost:0, http://other.localhost:0 {
	bind 127.0.0.1
	respond hello
}
http://gated.localhost:0 {
	bind 127.0.0.1
	wechat_auth
	respond hello
}
`,
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
