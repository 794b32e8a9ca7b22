package wechatapp

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

// B12, B4: the check of unsafe requests that a cookie identifies. It must neither miss
// another site's page nor hit the site's own.
func TestB12CrossSiteCheck(t *testing.T) {
	const behindProxy = "X-Forwarded-Proto: https\nX-Forwarded-Host: shop.example"
	for name, tc := range map[string]struct {
		host, headers string
		ok            bool
	}{
		"no browser":                       {"shop.example", "", true},
		"a page of the site":               {"shop.example", "Sec-Fetch-Site: same-origin\nOrigin: http://shop.example", true},
		"typed into the address bar":       {"shop.example", "Sec-Fetch-Site: none", true},
		"an old browser":                   {"shop.example", "Origin: http://shop.example", true},
		"a port":                           {"shop.example:8080", "Origin: http://shop.example:8080", true},
		"another port":                     {"shop.example:8080", "Origin: http://shop.example:8081", false},
		"default port of http":             {"shop.example:80", "Origin: http://shop.example", true},
		"default port, in the origin":      {"shop.example", "Origin: http://shop.example:80", true},
		"default port of another scheme":   {"shop.example:443", "Origin: http://shop.example", false},
		"Host in another case":             {"Shop.EXAMPLE", "Origin: http://shop.example", true},
		"IPv6":                             {"[::1]:80", "Origin: http://[::1]", true},
		"another site":                     {"shop.example", "Origin: http://evil.example", false},
		"another site, new browser":        {"shop.example", "Sec-Fetch-Site: cross-site\nOrigin: http://evil.example", false},
		"a sibling":                        {"shop.example", "Sec-Fetch-Site: same-site\nOrigin: http://www.shop.example", false},
		"begins like it":                   {"shop.example", "Origin: http://shop.example.evil.example", false},
		"user and host":                    {"shop.example", "Origin: http://shop.example@evil.example", false},
		"another scheme":                   {"shop.example", "Origin: https://shop.example", false},
		"another scheme, said to be same":  {"shop.example", "Sec-Fetch-Site: same-origin\nOrigin: https://shop.example", false},
		"null":                             {"shop.example", "Origin: null", false},
		"null, no host":                    {"", "Origin: null", false},
		"empty host of an origin":          {"", "Origin: http://", false},
		"own form without a referrer":      {"shop.example", "Sec-Fetch-Site: same-origin\nOrigin: null", true},
		"sandboxed frame":                  {"shop.example", "Sec-Fetch-Site: cross-site\nOrigin: null", false},
		"two origins":                      {"shop.example", "Origin: http://shop.example\nOrigin: http://evil.example", false},
		"two verdicts":                     {"shop.example", "Sec-Fetch-Site: same-origin\nSec-Fetch-Site: cross-site", false},
		"unknown verdict":                  {"shop.example", "Sec-Fetch-Site: same-page", false},
		"trusted":                          {"shop.example", "Sec-Fetch-Site: cross-site\nOrigin: https://admin.example", true},
		"trusted, old browser":             {"shop.example", "Origin: https://admin.example", true},
		"trusted, another scheme":          {"shop.example", "Origin: http://admin.example", false},
		"a proxy that nobody trusts":       {"shop.example", behindProxy + "\nOrigin: https://shop.example", false},
		"a trusted proxy":                  {"10.0.0.1:8080", "trusted\n" + behindProxy + "\nOrigin: https://shop.example", true},
		"a trusted proxy, default port":    {"shop.example:443", "trusted\nX-Forwarded-Proto: https, https\nOrigin: https://shop.example", true},
		"what the proxy says is last":      {"shop.example", "trusted\nX-Forwarded-Proto: http, https\nOrigin: https://shop.example", true},
		"what the client says is first":    {"shop.example", "trusted\nX-Forwarded-Proto: https,http\nOrigin: https://shop.example", false},
		"in two lines":                     {"shop.example", "trusted\nX-Forwarded-Proto: http\nX-Forwarded-Proto: HTTPS \nOrigin: https://shop.example", true},
		"a client's host before the real":  {"10.0.0.1", "trusted\nX-Forwarded-Proto: https\nX-Forwarded-Host: evil.example, shop.example\nOrigin: https://evil.example", false},
		"a default port in the list":       {"10.0.0.1", "trusted\nX-Forwarded-Proto: https\nX-Forwarded-Host: Shop.Example:443\nOrigin: https://shop.example", true},
		"a WebSocket seen by another name": {"10.0.0.1", "trusted\nX-Forwarded-Proto: wss\nX-Forwarded-Host: shop.example\nOrigin: https://shop.example", true},
	} {
		t.Run(name, func(t *testing.T) {
			site, err := newSiteCheck("https://admin.example")
			if err != nil {
				t.Fatal(err)
			}
			headers, trusted := strings.CutPrefix(tc.headers, "trusted\n")
			r := &http.Request{Method: http.MethodPost, Host: tc.host, Header: make(http.Header), URL: new(url.URL)}
			for line := range strings.SplitSeq(headers, "\n") {
				if name, value, found := strings.Cut(line, ": "); found {
					r.Header.Add(name, value)
				}
			}
			r = withTrustedProxy(r, trusted)
			if err := site.check(r, false); (err == nil) != tc.ok {
				t.Errorf("POST: %v", err)
			}
			r.Method = http.MethodDelete
			if err := site.check(r, false); (err == nil) != tc.ok {
				t.Errorf("DELETE: %v", err)
			}
			// A null origin says nothing about where a WebSocket comes from.
			r.Method = http.MethodGet
			if err := site.check(r, true); (err == nil) != (tc.ok && name != "own form without a referrer") {
				t.Errorf("WebSocket: %v", err)
			}
		})
	}
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions} {
		site, err := newSiteCheck()
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{Method: method, Host: "shop.example", Header: http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}}
		if err := site.check(r, false); err != nil {
			t.Errorf("%s, which changes nothing: %v", method, err)
		}
	}
}

// B12: an origin that is trusted, but that no browser ever sends, is a mistake.
func TestB12OriginsThatNeverMatchAreMistakes(t *testing.T) {
	for _, origin := range []string{
		"", "null", "example.com", "//example.com", "https://", "https://example.com/", "https://example.com/path", "https://example.com?x", "https://example.com#x",
		"https://user@example.com", "https://*.example.com", "https://Example.com", "HTTPS://example.com", "https://example.com:443", "http://example.com:80", "ftp://example.com", "https://a b",
	} {
		if _, err := newSiteCheck(origin); err == nil {
			t.Errorf("%q is accepted", origin)
		}
	}
	for _, origin := range []string{"https://example.com", "http://example.com:8080", "https://example.com:8443", "http://127.0.0.1:3000", "https://[::1]:8443", "http://localhost"} {
		if _, err := newSiteCheck(origin); err != nil {
			t.Errorf("%q: %v", origin, err)
		}
	}
}

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
