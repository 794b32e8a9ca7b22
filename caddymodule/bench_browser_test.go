package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

// benchSite is a site for Mini Programs and browsers, without a network between the
// benchmark and Caddy's server.
type benchSite struct {
	b      *testing.B
	wechat *wechattest.Server
	server *caddyhttp.Server
}

func newBenchSite(b *testing.B) *benchSite {
	b.Helper()
	s := &benchSite{b: b, wechat: wechattest.New(testApp, testSecret)}
	s.wechat.AddApp(officialApp, testSecret)
	api := httptest.NewServer(s.wechat)
	b.Cleanup(api.Close)
	text := fmt.Sprintf("{\nadmin off\npersist_config off\nauto_https off\nstorage file_system %q\nlog {\noutput discard\n}\nwechat {\napp %s %s\napp %s %s official_account\napi %s\nlogin_limit off\n}\n}\n"+
		"http://gated.localhost:0 {\nbind 127.0.0.1\nwechat_auth {\napp %s %s\n}\nrespond hello\n}\n",
		b.TempDir(), testApp, testSecret, officialApp, testSecret, api.URL, testApp, officialApp)
	if err := load(text); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = caddy.Stop() })
	module, err := caddy.ActiveContext().App("http")
	if err != nil {
		b.Fatal(err)
	}
	s.server = module.(*caddyhttp.App).Servers["srv0"]
	return s
}

// page is what a browser in WeChat sends for a page.
func (s *benchSite) page(path, cookies string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://gated.localhost"+path, nil)
	r.Header = http.Header{
		"Accept": {"text/html,*/*;q=0.8"}, "Accept-Encoding": {"gzip"}, "User-Agent": {strings.TrimPrefix(userAgentWeChat, "User-Agent: ")},
	}
	if cookies != "" {
		r.Header["Cookie"] = []string{cookies}
	}
	return r
}

func (s *benchSite) serve(r *http.Request, status int) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.server.ServeHTTP(w, r)
	if w.Code != status {
		s.b.Fatalf("%s: %d %s", r.URL, w.Code, w.Body)
	}
	return w
}

// authorize sends a browser to WeChat, and returns its cookie of the state and the
// callback with a fresh code.
func (s *benchSite) authorize() (cookie, callback string) {
	w := s.serve(s.page("/wechat/authorize?to=/orders", ""), http.StatusFound)
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil {
		s.b.Fatal(err)
	}
	back, err := url.Parse(to.Query().Get("redirect_uri"))
	if err != nil {
		s.b.Fatal(err)
	}
	code := freshCode()
	s.wechat.AddCode(code, wechattest.User{OpenID: openIDA, UnionID: unionIDA, AppID: officialApp, Scope: "snsapi_base"})
	query := back.Query()
	query.Set("code", code)
	query.Set("state", to.Query().Get("state"))
	set := w.Result().Cookies()[0]
	return set.Name + "=" + set.Value, back.Path + "?" + query.Encode()
}

// BenchmarkCarriers is a request from Caddy's server to its answer, by the token in a
// header and by a browser's cookie, and both with two more cookies, of the app. They take
// turns within an op, so that all meet the same machine; figures are medians.
func BenchmarkCarriers(b *testing.B) {
	s := newBenchSite(b)
	s.wechat.AddCode("code-of-carriers", userA)
	r := httptest.NewRequest(
		http.MethodPost, "http://gated.localhost/wechat/login", strings.NewReader(`{"code":"code-of-carriers","appid":"`+testApp+`"}`),
	)
	r.Header.Set("Content-Type", "application/json")
	var granted tokenGrant
	if err := json.Unmarshal(s.serve(r, http.StatusOK).Body.Bytes(), &granted); err != nil {
		b.Fatal(err)
	}
	state, callback := s.authorize()
	cookie := ""
	for _, set := range s.serve(s.page(callback, state), http.StatusSeeOther).Result().Cookies() {
		if set.Name == "wechat_session" {
			cookie = set.Name + "=" + set.Value
		}
	}
	requests := map[string]func() *http.Request{
		"header": func() *http.Request {
			r := s.page("/page", "")
			r.Header["Authorization"] = []string{"Bearer " + granted.Token}
			return r
		},
		"cookie": func() *http.Request { return s.page("/page", cookie) },
		"header+2": func() *http.Request {
			r := s.page("/page", "theme=dark; lang=zh")
			r.Header["Authorization"] = []string{"Bearer " + granted.Token}
			return r
		},
		"cookie+2": func() *http.Request { return s.page("/page", "theme=dark; "+cookie+"; lang=zh") },
	}
	spent := make(map[string][]time.Duration)
	for b.Loop() {
		for name, request := range requests {
			r := request()
			start := time.Now()
			s.serve(r, http.StatusOK)
			spent[name] = append(spent[name], time.Since(start))
		}
	}
	for name, request := range requests {
		b.ReportMetric(median(spent[name]), name+"-ns")
		b.ReportMetric(testing.AllocsPerRun(100, func() { s.serve(request(), http.StatusOK) }), name+"-allocs")
	}
}

// median is in nanoseconds.
func median(times []time.Duration) float64 {
	slices.Sort(times)
	return float64(times[len(times)/2].Nanoseconds())
}

// BenchmarkAuthorize is a browser's way to WeChat.
func BenchmarkAuthorize(b *testing.B) {
	s := newBenchSite(b)
	var spent []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		s.serve(s.page("/wechat/authorize?to=/orders", ""), http.StatusFound)
		spent = append(spent, time.Since(start))
	}
	b.ReportMetric(median(spent), "median-ns/op")
}

// BenchmarkCallback is its way back, a session and a cookie included. An op is a hundred
// of them; gateway-ns is the time of one without that of the call of WeChat, which the
// gateway's own metric has: the median over the ops.
func BenchmarkCallback(b *testing.B) {
	s := newBenchSite(b)
	var requests [100]*http.Request
	var spent []time.Duration
	for b.Loop() {
		for i := range requests {
			state, callback := s.authorize()
			requests[i] = s.page(callback, state)
		}
		called, start := s.wechatTime(), time.Now()
		for _, r := range requests {
			s.serve(r, http.StatusSeeOther)
		}
		took := time.Since(start)
		spent = append(spent, (took-(s.wechatTime()-called))/time.Duration(len(requests)))
	}
	b.ReportMetric(median(spent), "gateway-ns")
}

// wechatTime is how long all calls of WeChat together have taken.
func (s *benchSite) wechatTime() time.Duration {
	s.b.Helper()
	ctx := caddy.ActiveContext()
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		s.b.Fatal(err)
	}
	seconds := 0.0
	for _, family := range families {
		if family.GetName() == "caddy_wechat_auth_wechat_request_duration_seconds" {
			for _, metric := range family.GetMetric() {
				seconds += metric.GetHistogram().GetSampleSum()
			}
		}
	}
	return time.Duration(seconds * float64(time.Second))
}
