package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// With thousands of apps a scrape has of each only what alerts need, and of those
// that are in use what is known of them.
func TestAScrapeHasFewSeriesOfAnIdleApp(t *testing.T) {
	const apps = 150
	var global strings.Builder
	fmt.Fprintf(&global, "app %s %s\n", testApp, testSecret)
	for i := range apps {
		fmt.Fprintf(&global, "app wx%016x %s\n", i, testSecret)
	}
	g := newGateway(t, withAdmin, withGlobal(global.String()), withSite("wechat_auth {\napp "+testApp+"\n}"))
	g.login(userA)
	_, body := g.operate(http.MethodGet, "/metrics", "")
	series := make(map[string][]string)
	for line := range strings.Lines(body) {
		if _, app, ok := strings.Cut(line, `app="`); ok && strings.HasPrefix(line, "caddy_wechat_auth_") {
			id, _, _ := strings.Cut(app, `"`)
			series[id] = append(series[id], line)
		}
	}
	if idle := series["wx0000000000000007"]; len(idle) == 0 || len(idle) > 6 {
		t.Errorf("%d series of an app that nobody uses:\n%s", len(idle), strings.Join(idle, ""))
	}
	for _, line := range []string{`logins_total{app="` + testApp + `",outcome="ok"}`, `sessions{app="` + testApp + `"}`, `users{app="` + testApp + `"}`} {
		if got := g.metric("caddy_wechat_auth_" + line); got != "1" {
			t.Errorf("%s is %q", line, got)
		}
	}
	if got := g.metric(`caddy_wechat_auth_logins_total{app="wx0000000000000007",outcome="gateway_misconfigured"}`); got != "0" {
		t.Errorf("what an alert needs does not begin at 0 but %q", got)
	}
}
