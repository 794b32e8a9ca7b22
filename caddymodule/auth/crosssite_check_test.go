package auth

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
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
		r := &http.Request{
			Method: method, Host: "shop.example",
			Header: http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}},
		}
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

// withTrustedProxy is a request as Caddy's server hands it on, from a trusted proxy or
// not.
func withTrustedProxy(r *http.Request, trusted bool) *http.Request {
	vars := map[string]any{caddyhttp.TrustedProxyVarKey: trusted}
	return r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, vars))
}
