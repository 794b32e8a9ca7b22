package caddymodule_test

import (
	"slices"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

// Whoever looks at what has happened sees by which kind of account.
func TestLogsEventsAndMetricsNameTheKindOfAccount(t *testing.T) {
	seenEvents.Lock()
	seenEvents.events = nil
	seenEvents.Unlock()
	logged, read := withLog(t, "INFO")
	g := newGateway(t, logged, withAdmin, withBrowsers("", "respond hello"), func(g *gatewayTest) {
		g.extra += "\nevents {\non wechat_login wechat_test\non wechat_login_refused wechat_test\n}"
	})
	g.surfer(userAgentWeChat).logIn("/", userA)
	g.surfer(userAgentDesktop).logIn("/", userA)
	g.login(userA)
	g.wechat.Next(wechattest.Errcode(40029))
	g.post("/wechat/login", `{"code":"`+freshCode()+`"}`)
	g.post("/wechat/login", `{"code":"`+freshCode()+`","appid":"`+otherApp+`"}`)

	log := read()
	for app, kind := range map[string]string{testApp: "mini_program", officialApp: "official_account", websiteApp: "website"} {
		if lines := linesWith(log, `"msg":"login"`, `"app":"`+app+`","kind":"`+kind+`"`); len(lines) != 1 {
			t.Errorf("%s: logins of kind %s: %q\n%s", app, kind, lines, log)
		}
		if got := g.metric(`caddy_wechat_auth_account_info{app="` + app + `",kind="` + kind + `"}`); got != "1" {
			t.Errorf("%s: metric of kind %s: %q", app, kind, got)
		}
	}
	if lines := linesWith(log, `"login refused"`, `"app":"`+testApp+`","kind":"mini_program"`, "code_rejected"); len(lines) != 1 {
		t.Errorf("refused: %q\n%s", lines, log)
	}
	if lines := linesWith(log, `"login refused"`, `"app":"","outcome"`); len(lines) != 1 {
		t.Errorf("of no account: %q\n%s", lines, log)
	}
	seenEvents.Lock()
	defer seenEvents.Unlock()
	var got []any
	for _, e := range seenEvents.events {
		got = append(got, e.Name(), e.Data["app"], e.Data["kind"])
	}
	want := []any{
		"wechat_login", officialApp, "official_account", "wechat_login", websiteApp, "website", "wechat_login", testApp, "mini_program",
		"wechat_login_refused", testApp, "mini_program", "wechat_login_refused", "", nil,
	}
	if !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}
