package caddymodule_test

import (
	"fmt"
	"testing"

	"github.com/caddy-wechat/gateway/internal/doctor"
	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

// withPages are the accounts of pages, with placeholders, as the doctor wants them.
func withPages(scheme, addr, options string) func(*gatewayTest) {
	return func(g *gatewayTest) {
		g.wechat.AddApp(officialApp, testSecret)
		g.wechat.AddApp(websiteApp, testSecret)
		g.scheme, g.addr = scheme, addr
		g.global += fmt.Sprintf(
			"signing_key {env.WECHAT_TEST_KEY}\n%s\napp %s {env.WECHAT_TEST_SECRET} official_account\napp %s {env.WECHAT_TEST_SECRET} website\n",
			oneApp, officialApp, websiteApp,
		)
		g.site = fmt.Sprintf("%s\nwechat_auth {\napp %s %s %s\n}\nreverse_proxy 127.0.0.1:1", options, testApp, officialApp, websiteApp)
	}
}

func TestDoctorFollowsBrowsers(t *testing.T) {
	for name, tc := range map[string]struct {
		patient func(*gatewayTest)
		status  doctor.Status
		texts   []string
	}{
		"well":           {withPages("https", "example.com", ""), doctor.OK, []string{officialApp, "example.com", "网页授权域名"}},
		"well, website":  {withPages("https", "example.com", ""), doctor.OK, []string{websiteApp, "example.com", "授权回调域"}},
		"this machine":   {withPages("http", "127.0.0.1:8080", ""), doctor.OK, []string{officialApp, "127.0.0.1"}},
		"plain http":     {withPages("http", "example.com", ""), doctor.Warn, []string{officialApp, "http://example.com", "trusted_proxies"}},
		"an address":     {withPages("https", "192.0.2.1", ""), doctor.Warn, []string{websiteApp, "IP address"}},
		"callback taken": {withPages("https", "example.com", "redir /wechat/callback* /elsewhere"), doctor.Fail, []string{officialApp, "not answered by the gateway", "no matcher"}},
		"authorize away": {withPages("https", "example.com", "redir /wechat/authorize* /elsewhere"), doctor.Fail, []string{websiteApp, "not sent to WeChat"}},
		"behind a proxy that is trusted": {func(g *gatewayTest) {
			withPages("http", "example.com", "")(g)
			g.servers = "trusted_proxies static 127.0.0.1/8"
		}, doctor.OK, []string{officialApp, "example.com"}},
	} {
		_, findings := newPatient(t, tc.patient).examine()
		wantFinding(t, name, findings, "callback", tc.status, tc.texts...)
	}
}

func TestDoctorAsksForTheKindOfAnAccount(t *testing.T) {
	p := newPatient(t, withPages("https", "example.com", ""))
	_, findings := p.examine()
	for _, app := range []string{officialApp, websiteApp} {
		wantFinding(t, app, findings, doctor.CheckCredentials, doctor.OK, app, "kind")
	}
	refusal := wechattest.Errcode(48001)
	p.wechat.Always(&refusal)
	_, findings = p.examine()
	wantFinding(t, "another kind", findings, doctor.CheckCredentials, doctor.Fail, websiteApp, "of kind website", "errcode 48001")
}
