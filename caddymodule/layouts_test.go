package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"
)

// Sites that rewrite paths before wechat_auth sees them. The gateway's routes are
// where clients look for them, and their look-alikes never reach the app.
func TestRoutesWorkBehindRewrites(t *testing.T) {
	for name, tc := range map[string]struct{ site, prefix string }{
		"try_files":         {"root * {$TMP}\ntry_files {path} /index.html\nwechat_auth\nreverse_proxy APP", ""},
		"rewrite all":       {"rewrite * /app{uri}\nwechat_auth\nreverse_proxy APP", ""},
		"rewrite to a page": {"rewrite * /index.php?p={path}\nwechat_auth\nreverse_proxy APP", ""},
		"uri replace":       {"uri replace /wechat /elsewhere\nwechat_auth\nreverse_proxy APP", ""},
		"handle_path":       {"handle_path /shop/* {\nwechat_auth\nreverse_proxy APP\n}", "/shop"},
		"strip_prefix":      {"uri strip_prefix /v1\nwechat_auth\nreverse_proxy APP", "/v1"},
		"both":              {"handle_path /shop/* {\nrewrite * /x{uri}\nwechat_auth {\nprefix /shop/wechat\n}\nreverse_proxy APP\n}", "/shop"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMP", t.TempDir())
			g := newGateway(t, func(g *gatewayTest) { g.site = strings.ReplaceAll(tc.site, "APP", g.app.addr()) })
			code := freshCode()
			g.wechat.AddCode(code, userA)
			resp, body := g.post(tc.prefix+"/wechat/login", `{"code":"`+code+`"}`)
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("login: %d %s", resp.StatusCode, body)
			}
			token := grantOf(t, body).Token
			if resp, _ := g.do(http.MethodGet, tc.prefix+"/wechat/session", "", bearerHeader(token)); resp.StatusCode != http.StatusOK {
				t.Errorf("session: %d", resp.StatusCode)
			}
			if resp, _ := g.post(tc.prefix+"/wechat/renew", "", bearerHeader(token)); resp.StatusCode != http.StatusOK {
				t.Errorf("renew: %d", resp.StatusCode)
			}
			if resp, _ := g.do(http.MethodGet, tc.prefix+"/page", "", bearerHeader(token)); resp.StatusCode != http.StatusOK {
				t.Errorf("the app: %d", resp.StatusCode)
			}
			g.app.requests()
			for _, path := range []string{"/wechat/login/", "/WECHAT/login", "/wechat//login", "/wechat/login%20", "/x/../wechat/login", "/wechat/nothing", "/wechat/login;x"} {
				answer := g.rawGet("POST", tc.prefix+path, bearerHeader(token))
				if status := statusOf(answer); status != "404" && status != "400" {
					t.Errorf("%s: %s", path, answer)
				}
				g.wantUntouched(t, path)
			}
			if resp, _ := g.post(tc.prefix+"/wechat/logout", "", bearerHeader(token)); resp.StatusCode != http.StatusNoContent {
				t.Errorf("logout: %d", resp.StatusCode)
			}
		})
	}
}

// What the client sent and what a rewrite made of it must both be public, each
// by any of the patterns.
func TestPublicBehindRewrites(t *testing.T) {
	for name, tc := range map[string]struct {
		site string
		want map[string]int
	}{
		"handle_path": {
			"handle_path /api/* {\nwechat_auth {\npublic /health /api/health /static/* /api/static/*\n}\nreverse_proxy APP\n}",
			map[string]int{"/api/health": 200, "/api/static/a": 200, "/api/page": 401, "/api/health/": 401, "/api//health": 401, "/api/api/health": 401},
		},
		"one form only": {
			"handle_path /api/* {\nwechat_auth {\npublic /health\n}\nreverse_proxy APP\n}",
			map[string]int{"/api/health": 401},
		},
		"matchers": {
			"handle_path /api/* {\nwechat_auth {\npublic {\npath /health /api/health\n}\n}\nreverse_proxy APP\n}",
			map[string]int{"/api/health": 200, "/api/page": 401},
		},
		"optional": {
			"handle_path /api/* {\nwechat_auth {\noptional /health /api/health\n}\nreverse_proxy APP\n}",
			map[string]int{"/api/health": 200, "/api/page": 401},
		},
		"a rewrite that opens": {
			"rewrite /secret /public/x\nrewrite /public/moved /secret2\nuri strip_prefix /v1\nwechat_auth {\npublic /public/* /v1/public/*\n}\nreverse_proxy APP",
			map[string]int{"/secret": 401, "/public/moved": 401, "/public/x": 200, "/v1/public/x": 200, "/v1/secret2": 401},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(g *gatewayTest) { g.site = strings.ReplaceAll(tc.site, "APP", g.app.addr()) })
			for path, want := range tc.want {
				if resp, body := g.do(http.MethodGet, path, ""); resp.StatusCode != want {
					t.Errorf("%s: %d %s, want %d", path, resp.StatusCode, body, want)
				}
			}
		})
	}
}

// The reference's site for pages of another origin: preflights are answered, and what
// the gateway answers has the headers, too.
func TestReferenceOnCORS(t *testing.T) {
	_, site, found := strings.Cut(
		strings.ReplaceAll(readDoc(t, "docs/reference.md"), "\n  ", "\n"), "example.com {\n\theader Access-Control-Allow-Origin",
	)
	site, _, ended := strings.Cut(site, "\n}\n")
	if !found || !ended {
		t.Fatal("docs/reference.md has no such site")
	}
	g := newGateway(t, func(g *gatewayTest) {
		g.site = "header Access-Control-Allow-Origin" + strings.ReplaceAll(site, "localhost:3000", g.app.addr())
	})
	token := g.login(userA)
	for name, tc := range map[string]struct {
		method, path, token string
		want                int
	}{
		"preflight of the login": {http.MethodOptions, "/wechat/login", "", http.StatusNoContent},
		"preflight of the app":   {http.MethodOptions, "/page", "", http.StatusNoContent},
		"refusal":                {http.MethodGet, "/page", "", http.StatusUnauthorized},
		"session":                {http.MethodGet, "/wechat/session", token, http.StatusOK},
		"app":                    {http.MethodGet, "/page", token, http.StatusOK},
	} {
		var headers []string
		if tc.token != "" {
			headers = append(headers, bearerHeader(tc.token))
		}
		resp, body := g.do(tc.method, tc.path, "", headers...)
		if resp.StatusCode != tc.want || resp.Header.Get("Access-Control-Allow-Origin") != "https://app.example.org" ||
			resp.Header.Get("Access-Control-Allow-Headers") == "" {
			t.Errorf("%s: %d %s %v", name, resp.StatusCode, body, resp.Header)
		}
	}
}
