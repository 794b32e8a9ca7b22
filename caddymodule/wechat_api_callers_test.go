package caddymodule_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

func TestFromAppIDChoosesTheApp(t *testing.T) {
	g, api := newAPI(t, "wechat_api "+testApp+" "+otherApp, withGlobal("app "+otherApp+" "+testSecret), func(g *gatewayTest) {
		g.global = "app " + testApp + " " + testSecret + "\n" + g.global
		g.wechat.AddApp(otherApp, testSecret)
	})
	g.do(http.MethodGet, "/wxa/x?from_appid="+otherApp, "")
	g.do(http.MethodGet, "/wxa/x", "")
	seen := api.seen()
	if len(seen) != 2 || seen[0].Query != "access_token="+wechattest.AccessToken(otherApp, 0) ||
		seen[1].Query != "access_token="+wechattest.AccessToken(testApp, 0) {
		t.Errorf("WeChat saw %+v", seen)
	}
}

// Of a gateway's accounts, one site's apps act for those that the site names (G3).
func TestG3OnlyNamedAppsAreCalledFor(t *testing.T) {
	for name, tc := range map[string]struct {
		line, query string
		app         string // whose token is used; empty: refused
	}{
		"the first":       {"wechat_api " + otherApp + " " + testApp, "", otherApp},
		"the second":      {"wechat_api " + otherApp + " " + testApp, "?from_appid=" + testApp, testApp},
		"the only one":    {"wechat_api " + otherApp, "?from_appid=" + otherApp, otherApp},
		"one not named":   {"wechat_api " + otherApp, "?from_appid=" + testApp, ""},
		"by placeholders": {"wechat_api {env.WECHAT_TEST_APP} " + testApp, "", otherApp},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("WECHAT_TEST_APP", otherApp)
			g, api := newAPI(t, tc.line, func(g *gatewayTest) {
				g.global += "app " + testApp + " " + testSecret + "\napp " + otherApp + " " + testSecret + "\n"
				g.wechat.AddApp(otherApp, testSecret)
			})
			resp, body := g.do(http.MethodGet, "/wxa/x"+tc.query, "")
			seen := api.seen()
			if tc.app == "" {
				wantCode(t, name, resp.StatusCode, body, "unknown_app", 400)
				if len(seen) != 0 {
					t.Errorf("WeChat saw %+v", seen)
				}
			} else if len(seen) != 1 || seen[0].Query != "access_token="+wechattest.AccessToken(tc.app, 0) {
				t.Errorf("%d %s; WeChat saw %+v", resp.StatusCode, body, seen)
			}
		})
	}
	two := "{\nauto_https off\nwechat {\napp " + testApp + " " + testSecret + "\napp " + otherApp + " " + testSecret + "\n}\n}\n:0 {\nbind 127.0.0.1\n%s\n}\n"
	for line, want := range map[string]string{
		"wechat_api": testApp + " " + otherApp,
		"wechat_api " + testApp + " wxffffffffffffffff":          "wxffffffffffffffff",
		"wechat_api " + testApp + " " + otherApp + " " + testApp: "twice",
		"wechat_api " + testApp + " ?":                           "not an AppID",
	} {
		if err := validate(t, fmt.Sprintf(two, line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", line, err, want)
		}
	}
}

// A page of evil.example runs in a browser on the machine of the gateway, or has
// its own name resolved to 127.0.0.1 there. What it sends must not be done in the
// name of the account (G1).
func TestG1WebPagesAreNotServed(t *testing.T) {
	g, api := newAPI(t, "wechat_api")
	_, port, _ := net.SplitHostPort(g.addr)
	named := "http://127.0.0.1:" + port + ", http://shop.example:" + port + ", http://*.inner.example:" + port
	if err := load(strings.Replace(g.caddyfile(), "http://"+g.addr+" {", named+" {", 1)); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		host, header string
		allowed      bool
	}{
		"loopback":           {g.addr, "", true},
		"an app's own name":  {"shop.example", "", true},
		"in capitals":        {"SHOP.example:" + port, "", true},
		"a wildcard":         {"a.inner.example", "", true},
		"Node's fetch":       {g.addr, "Sec-Fetch-Mode: cors\r\nAccept-Language: *\r\n", true},
		"a form's post":      {g.addr, "Origin: http://evil.example\r\nSec-Fetch-Site: cross-site\r\n", false},
		"an opaque origin":   {g.addr, "Origin: null\r\n", false},
		"an old browser":     {g.addr, "oRIGIN: http://evil.example\r\n", false},
		"an image":           {g.addr, "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n", false},
		"a page of its own":  {g.addr, "Sec-Fetch-Site: same-origin\r\n", false},
		"by the site's name": {"shop.example", "Origin: http://shop.example\r\n", false},
	} {
		t.Run(name, func(t *testing.T) { checkCaller(t, g, api, tc.host, tc.header, tc.allowed) })
	}
	if err := load(strings.Replace(g.caddyfile(), "http://"+g.addr+" {", ":"+port+" {", 1)); err != nil {
		t.Fatal(err)
	}
	for host, allowed := range map[string]bool{
		g.addr: true, "localhost:" + port: true, "[::1]:" + port: true, "192.0.2.1": true, "api.weixin.qq.com": true, "API.weixin.qq.com:80": true,
		"evil.example:" + port: false, "api.weixin.qq.com.evil.example": false, "127.0.0.1.evil.example": false, "shop.example": false,
	} {
		t.Run(host, func(t *testing.T) { checkCaller(t, g, api, host, "", allowed) })
	}
}

func checkCaller(t *testing.T, g *gatewayTest, api *openAPI, host, header string, allowed bool) {
	t.Helper()
	answer := g.raw("POST /wxa/x HTTP/1.1\r\nHost: " + host + "\r\n" + header + "Content-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	seen := api.seen()
	if resp.Header.Get("X-Openapi-Seqid") == "" {
		t.Errorf("headers %v", resp.Header)
	}
	if allowed {
		if resp.StatusCode != 200 || len(seen) != 1 {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
		return
	}
	wantCode(t, host, resp.StatusCode, string(body), "caller_not_allowed", 403)
	if len(seen) != 0 {
		t.Errorf("WeChat saw %+v", seen)
	}
}
