package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

// L8, B4: what another site's page can do with the user's cookie: nothing that changes
// something, at the gateway or at the app. Requests that the cookie does not identify
// are none of this check's business.
func TestB4CookieIdentifiesOnlyTheSitesOwnRequests(t *testing.T) {
	g := newGateway(t, func(g *gatewayTest) {
		g.site = "wechat_auth {\ntoken cookie sid\noptional /optional\npublic /public\n}"
		g.servers = "trusted_proxies static 127.0.0.1/32"
	})
	token := g.login(userA)
	cookie, evil := "Cookie: sid="+token, "Origin: https://evil.example"
	for _, tc := range []struct {
		method, path string
		lines        []string
		status       int
		code         string
	}{
		{"POST", "/", []string{cookie, evil}, 403, "cross_site"},
		{"POST", "/", []string{cookie, "Sec-Fetch-Site: cross-site"}, 403, "cross_site"},
		{"DELETE", "/optional", []string{cookie, evil}, 403, "cross_site"},
		{"POST", "/wechat/logout", []string{cookie, evil}, 403, "cross_site"},
		{"POST", "/wechat/renew", []string{cookie, evil}, 403, "cross_site"},
		{"POST", "/wechat/login", []string{evil}, 403, "cross_site"},
		{"POST", "/wechat/logout", []string{evil}, 401, "login_required"},
		{"POST", "/", []string{evil}, 401, "login_required"},
		{"POST", "/optional", []string{evil}, 200, ""},
		{"POST", "/public", []string{cookie, evil}, 200, ""},
		{"GET", "/", []string{cookie, evil}, 200, ""},
		{"GET", "/wechat/session", []string{cookie, evil}, 200, ""},
		{"POST", "/", []string{cookie}, 200, ""},
		{"POST", "/", []string{cookie, "Origin: http://" + g.addr, "Sec-Fetch-Site: same-origin"}, 200, ""},
		{"POST", "/", []string{cookie, "Origin: https://shop.example", "X-Forwarded-Host: shop.example:443", "X-Forwarded-Proto: https, https"}, 200, ""},
	} {
		g.app.requests()
		resp, body := g.do(tc.method, tc.path, "", tc.lines...)
		if resp.StatusCode != tc.status || tc.code != "" && (errorCode(body) != tc.code || resp.Header.Get("X-WeChat-Gateway") != tc.code) {
			t.Errorf("%s %s %.60q: %d %s", tc.method, tc.path, tc.lines, resp.StatusCode, body)
		}
		if tc.status != 200 {
			g.wantUntouched(t, tc.path)
		}
	}
	// A Mini Program on Windows says cross-site with its Bearer.
	g = newGateway(t)
	if resp, body := g.do("POST", "/", "", bearerHeader(g.login(wechattest.User{OpenID: openIDB})), evil, "Sec-Fetch-Site: cross-site"); resp.StatusCode != 200 {
		t.Errorf("no cookie: %d %s", resp.StatusCode, body)
	}
}

// J15: a token in the URL is nowhere behind the gateway.
func TestJ15QueryTokenIsInNoPlaceholder(t *testing.T) {
	g := newGateway(t, func(g *gatewayTest) {
		g.site = "wechat_auth {\ntoken query tk\n}\n@page path /page*\nhandle @page {\nrespond \"{http.request.orig_uri}|{http.request.orig_uri.query}|{http.request.uri}|{http.request.orig_uri.path}\"\n}\n" +
			"@bad path /bad*\nhandle @bad {\nerror 418\n}\nhandle_errors {\nrespond \"{http.request.orig_uri}|{http.request.uri}\" 418\n}"
	})
	token := g.login(userA)
	for path, want := range map[string]string{
		"/page?tk=TOKEN":           "/page||/page|/page",
		"/page?a=1&tk=TOKEN&b=%20": "/page?a=1&b=%20|a=1&b=%20|/page?a=1&b=%20|/page",
		"/page?t%6b=TOKEN&c":       "/page?c|c|/page?c|/page",
		"/bad?tk=TOKEN&a=1":        "/bad?a=1|/bad?a=1",
	} {
		if _, body := g.do(http.MethodGet, strings.ReplaceAll(path, "TOKEN", token), ""); body != want {
			t.Errorf("%s: %s, want %s", path, body, want)
		}
	}
}
