package caddymodule_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

// metric returns the value of a line of Caddy's metrics, "" if there is none.
func (g *gatewayTest) metric(line string) string {
	g.t.Helper()
	_, body := g.operate(http.MethodGet, "/metrics", "")
	for got := range strings.Lines(body) {
		if value, found := strings.CutPrefix(got, line+" "); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func TestMetricsCountWhatHappens(t *testing.T) {
	g := newGateway(t, withAdmin, withSite("wechat_auth {\npublic /open\n}"))
	before := g.metric(`caddy_wechat_auth_logins_total{app="` + testApp + `",outcome="ok"}`)
	if before != "0" {
		t.Errorf("logins before the first: %q, want 0", before)
	}
	token := g.login(userA)
	for range 3 {
		g.do(http.MethodGet, "/", "", bearerHeader(token))
	}
	g.do(http.MethodGet, "/open", "")
	g.do(http.MethodGet, "/", "")
	g.wechat.Next(wechattest.Errcode(40029))
	code := freshCode()
	g.post("/wechat/login", `{"code":"`+code+`"}`)
	g.post("/wechat/login", `{"code":"`+code+`"}`)
	g.post("/wechat/login", `no JSON`)
	g.post("/wechat/login", `{"code":"x","appid":"`+otherApp+`"}`)
	g.wechat.Next(wechattest.Errcode(87654))
	g.post("/wechat/login", `{"code":"`+freshCode()+`"}`)
	app := `{app="` + testApp + `"}`
	for line, want := range map[string]string{
		`logins_total{app="` + testApp + `",outcome="ok"}`:                                     "1",
		`logins_total{app="` + testApp + `",outcome="code_rejected"}`:                          "1",
		`logins_total{app="` + testApp + `",outcome="code_used"}`:                              "1",
		`logins_total{app="` + testApp + `",outcome="invalid_request"}`:                        "1",
		`logins_total{app="",outcome="invalid_request"}`:                                       "1",
		`logins_total{app="` + testApp + `",outcome="wechat_error"}`:                           "1",
		`requests_total{outcome="authenticated"}`:                                              "3",
		`requests_total{outcome="anonymous"}`:                                                  "2",
		`requests_total{outcome="refused:login_required"}`:                                     "1",
		`requests_total{outcome="refused:code_used"}`:                                          "1",
		`token_cache_lookups_total{result="miss"}`:                                             "1",
		`token_cache_lookups_total{result="hit"}`:                                              "2",
		`duplicate_codes_total` + app:                                                          "1",
		`sessions` + app:                                                                       "1",
		`users` + app:                                                                          "1",
		`store_up`:                                                                             "1",
		`breaker_state{app="` + testApp + `",state="closed"}`:                                  "1",
		`breaker_state{app="` + testApp + `",state="open"}`:                                    "0",
		`wechat_errcodes_total{app="` + testApp + `",endpoint="code2session",errcode="40029"}`: "1",
		`wechat_errcodes_total{app="` + testApp + `",endpoint="code2session",errcode="other"}`: "1",
		`wechat_request_duration_seconds_count{app="` + testApp + `",endpoint="code2session"}`: "3",
		`rate_limited_logins_total` + app:                                                      "0",
		// Alerts on an increase miss the first event of what does not begin at 0.
		`logins_total{app="` + testApp + `",outcome="gateway_misconfigured"}`: "0",
		`logins_total{app="` + testApp + `",outcome="rate_limited"}`:          "0",
		`logins_total{app="` + testApp + `",outcome="wechat_timeout"}`:        "0",
		`logins_total{app="` + testApp + `",outcome="store_unavailable"}`:     "0",
		`logins_total{app="` + testApp + `",outcome="user_blocked"}`:          "0",
		`requests_total{outcome="refused:session_expired"}`:                   "0",
		`requests_total{outcome="refused:internal_error"}`:                    "0",
	} {
		if got := g.metric("caddy_wechat_auth_" + line); got != want {
			t.Errorf("%s is %q, want %q", line, got, want)
		}
	}
	if g.metric("caddy_wechat_auth_signing_key_age_seconds") == "" {
		t.Error("the age of the key is missing")
	}
}

func init() { caddy.RegisterModule(testEvents{}) }

// testEvents is a handler of events that writes them down.
type testEvents struct{}

var seenEvents struct {
	sync.Mutex
	events []caddy.Event
}

func (testEvents) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.wechat_test", New: func() caddy.Module { return new(testEvents) }}
}
func (*testEvents) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

func (*testEvents) Handle(_ context.Context, e caddy.Event) error {
	if !strings.HasPrefix(e.Name(), "wechat_") {
		return nil
	}
	seenEvents.Lock()
	defer seenEvents.Unlock()
	seenEvents.events = append(seenEvents.events, e)
	return nil
}

func TestEventsNameNobody(t *testing.T) {
	seenEvents.Lock()
	seenEvents.events = nil
	seenEvents.Unlock()
	g := newGateway(t, withAdmin, func(g *gatewayTest) {
		for _, name := range []string{"wechat_login", "wechat_login_refused", "wechat_logout", "wechat_session_ended", "wechat_breaker_opened", "wechat_breaker_closed", "wechat_configuration_error"} {
			g.extra += "on " + name + " wechat_test\n"
		}
		g.extra = "events {\n" + g.extra + "}"
	})
	token := g.login(userA)
	g.post("/wechat/logout", "", bearerHeader(token))
	g.login(userA)
	g.must(http.MethodPost, "/wechat/sessions/end", targetA, &struct{}{})
	g.wechat.Next(wechattest.Errcode(40125))
	g.post("/wechat/login", `{"code":"`+freshCode()+`"}`)
	for range 5 {
		g.wechat.Next(wechattest.Errcode(-1))
		g.post("/wechat/login", `{"code":"`+freshCode()+`"}`)
	}
	seenEvents.Lock()
	defer seenEvents.Unlock()
	var names []string
	for _, e := range seenEvents.events {
		names = append(names, e.Name())
		if e.Data["app"] != testApp || e.Origin().CaddyModule().ID != "wechat" {
			t.Errorf("%s: %v from %s", e.Name(), e.Data, e.Origin().CaddyModule().ID)
		}
		for key, value := range e.Data {
			text, _ := value.(string)
			if strings.Contains(text, openIDA) || strings.Contains(text, unionIDA) || key == "user_hash" && len(text) != 16 {
				t.Errorf("%s: %s is %q", e.Name(), key, text)
			}
		}
	}
	want := []string{
		"wechat_login", "wechat_logout", "wechat_login", "wechat_session_ended", "wechat_login_refused", "wechat_configuration_error",
	}
	if len(names) < len(want) || !slices.Equal(names[:len(want)], want) || !slices.Contains(names, "wechat_breaker_opened") {
		t.Errorf("events %q, want first %q and then a breaker that opens", names, want)
	}
}

func TestReadinessFollowsTheStore(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	g := newGateway(t, withAdmin, withGlobal(redisGlobal(server, "timeout 500ms")), withSite(`
		@ready {
			path /healthz
			wechat_ready
		}
		handle @ready {
			respond ok
		}
		handle /healthz {
			respond "not ready" 503
		}
		handle {
			wechat_auth
			respond hello
		}`))
	ready := func() (site, admin int) {
		resp, _ := g.do(http.MethodGet, "/healthz", "")
		status, _ := g.operate(http.MethodGet, "/wechat/ready", "")
		return resp.StatusCode, status
	}
	if site, admin := ready(); site != 200 || admin != 200 {
		t.Fatalf("at the start: %d, %d", site, admin)
	}
	server.Kill()
	eventually(t, "not ready without Redis", func() bool { site, admin := ready(); return site == 503 && admin == 503 })
	server.Run()
	eventually(t, "ready with Redis", func() bool { site, admin := ready(); return site == 200 && admin == 200 })
}

// A wrong secret fails every login; one line a minute is enough to wake somebody.
func TestLogsOfLogins(t *testing.T) {
	log := filepath.Join(t.TempDir(), "caddy.log")
	g := newGateway(t, func(g *gatewayTest) { g.extra = "log {\noutput file " + log + "\n}" })
	token := g.login(userA)
	g.post("/wechat/logout", "", bearerHeader(token))
	g.do(http.MethodGet, "/", "", bearerHeader(token))
	for range 3 {
		g.wechat.Next(wechattest.Errcode(40125))
		g.post("/wechat/login", `{"code":"`+freshCode()+`"}`)
	}
	for range 2 {
		g.wechat.Next(wechattest.Answer{Body: `{"errcode":40164,"errmsg":"invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist"}`})
		g.post("/wechat/login", `{"code":"`+freshCode()+`"}`)
	}
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	count := func(parts ...string) (n int) {
		for line := range strings.Lines(string(data)) {
			if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
				n++
			}
		}
		return n
	}
	for _, tc := range []struct {
		want  int
		parts []string
	}{
		{1, []string{`"level":"info"`, `"msg":"login"`, `"outcome":"ok"`, `"app":"` + testApp, `"user_hash":"`, `"duration":`}},
		{3, []string{`"level":"info"`, `"msg":"login refused"`, `"outcome":"gateway_misconfigured"`, `"errcode":40125`, `"rid":"`, `"duration":`}},
		{1, []string{`"level":"error"`, `"errcode":40125`, `the AppSecret is wrong, or was reset`}},
		{1, []string{`"level":"error"`, `"errcode":40164`, `203.0.113.7`}}, // news, although within the minute
		{1, []string{`"level":"info"`, `"msg":"request refused"`, `"outcome":"session_ended"`, `"app":"` + testApp, `"user_hash":"`}},
	} {
		if got := count(tc.parts...); got != tc.want {
			t.Errorf("%d lines with %q, want %d:\n%s", got, tc.parts, tc.want, data)
		}
	}
}
