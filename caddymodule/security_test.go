package caddymodule_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

// The tests of this file and of security_*_test.go attack a running gateway
// through its sockets and look at what arrived at a recording app. Their names
// begin with the id of the threat they hold against: H identity headers,
// P protocol and paths, J tokens, L login, W WeChat's answers, O operation,
// V privacy.

// forgeries are header lines that some server reads as an identity header.
var forgeries = []string{
	"X-OpenID: forged", "x-openid: forged", "X-OPENID: forged", "X_OpenID: forged", "X.OpenID: forged", "X-OpenID:", "X-OpenID: a, b",
	"X~OpenID: forged", "X!OpenID: forged", "X'OpenID: forged", "X*OpenID: forged", "X+OpenID: forged", "X|OpenID: forged", "X`OpenID: forged",
	"X-UnionID: forged", "x_unionid: forged", "X.UnionID: forged", "X~UnionID: forged", "X-AppID: forged", "X_APPID: forged", "X+AppID: forged",
	"X-WX-OPENID: forged", "X_WX_OPENID: forged", "X-WX-SOURCE: wx_client", "X-Wx-Unionid: forged", "X~WX~FROM~OPENID: forged", "X-WX-Whatever: forged",
	"X-Original-Forwarded-For: 1.2.3.4", "X-CloudBase-Context: forged",
}

// protectedFolds are the names no app may see from a client, by fold.
var protectedFolds = []string{"x-openid", "x-unionid", "x-appid", "x-original-forwarded-for"}

// wantHonest checks that the app, whatever way it reads header names, sees this
// user and nothing that a client made up. The zero user is nobody.
func wantHonest(t *testing.T, got recorded, user identity.User) {
	t.Helper()
	want := map[string]string{"x-openid": user.OpenID, "x-unionid": user.UnionID, "x-appid": user.AppID}
	for _, read := range []func(string) string{readCGI, readPHP, identity.Fold} {
		seen := make(map[string][]string)
		for name, values := range got.Header {
			seen[read(name)] = append(seen[read(name)], values...)
		}
		for name, values := range seen {
			protected := slices.Contains(protectedFolds, name) || strings.HasPrefix(name, "x-wx-") || strings.HasPrefix(name, "x-cloudbase-")
			if protected && (want[name] == "" || len(values) != 1 || values[0] != want[name]) {
				t.Errorf("the app sees %s %q, want %q", name, values, want[name])
			}
		}
		for name, value := range want {
			if value != "" && len(seen[name]) == 0 {
				t.Errorf("the app misses %s", name)
			}
		}
	}
	if len(got.Trailer) > 0 {
		t.Errorf("the app sees trailers %v", got.Trailer)
	}
}

// readCGI is how CGI and WSGI make variables of header names, readPHP how PHP
// does; both in the spelling of folds.
func readCGI(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }

func readPHP(name string) string {
	return strings.NewReplacer("_", "-", ".", "-", " ", "-").Replace(strings.ToLower(name))
}

// only returns the one request that the app got.
func (g *gatewayTest) only(t *testing.T) recorded {
	t.Helper()
	seen := g.app.requests()
	if len(seen) != 1 {
		t.Fatalf("the app got %d requests, want 1", len(seen))
	}
	return seen[0]
}

func (g *gatewayTest) wantUntouched(t *testing.T, name string) {
	t.Helper()
	for _, got := range g.app.requests() {
		t.Errorf("%s: the app got %s %s", name, got.Method, got.URI)
	}
}

// rawGet is a request with these header lines.
func (g *gatewayTest) rawGet(method, target string, lines ...string) string {
	return g.raw(method + " " + target + " HTTP/1.1\r\nHost: " + g.addr + "\r\n" + strings.Join(lines, "\r\n") + "\r\nConnection: close\r\n\r\n")
}

func statusOf(answer string) string {
	_, status, _ := strings.Cut(answer, " ")
	status, _, _ = strings.Cut(status, " ")
	return status
}

var (
	userA = wechattest.User{OpenID: openIDA}
	isA   = identity.User{AppID: testApp, OpenID: openIDA}
)

// H1, H2, H3: the client sends the header itself, in any spelling, where
// nothing would overwrite it: the user has no unionid, or there is no user.
func TestH1H2H3ForgedHeadersNeverArrive(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\npublic /public/*\noptional /optional/*\n}"))
	token := g.login(userA)
	for _, forgery := range forgeries {
		for path, want := range map[string]identity.User{"/": isA, "/public/x": {}, "/optional/x": isA} {
			g.rawGet("GET", path, forgery, forgery, bearerHeader(token))
			wantHonest(t, g.only(t), want)
		}
		g.rawGet("GET", "/optional/x", forgery)
		wantHonest(t, g.only(t), identity.User{})
		g.rawGet("GET", "/", forgery)
		g.wantUntouched(t, forgery)
	}
	all := append([]string{bearerHeader(token), "X-Harmless: kept"}, forgeries...)
	g.rawGet("GET", "/", all...)
	got := g.only(t)
	wantHonest(t, got, isA)
	if got.Header.Get("X-Harmless") != "kept" {
		t.Error("a harmless header was removed")
	}
}

// H1: a repeated openid of the preset's other names, and those configured.
func TestH1ConfiguredNamesAreProtected(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\nheader openid X-User\nheader unionid off\nheader appid off\nheader session_id X-Session\noptional\n}"))
	token := g.login(userA)
	g.rawGet("GET", "/", bearerHeader(token), "X-User: forged", "X_User: forged", "X-Session: forged", "X-OpenID: forged")
	got := g.only(t)
	if !slices.Equal(got.Header["X-User"], []string{openIDA}) || len(got.Header["X-Session"]) != 1 || got.Header["X-Session"][0] == "forged" || got.Header["X-Openid"] != nil || got.Header["X-Appid"] != nil {
		t.Errorf("the app sees %v", got.Header)
	}
	g.rawGet("GET", "/", "X-User: forged", "X+Session: forged")
	if got := g.only(t); got.Header["X-User"] != nil || strings.Contains(fmt.Sprint(got.Header), "forged") {
		t.Errorf("an anonymous request has %v", got.Header)
	}
}

// H4: reverse_proxy deletes what the client's Connection names, after us.
func TestH4ConnectionCannotEraseIdentity(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\nforward_token\n}"))
	token := g.login(wechattest.User{OpenID: openIDA, UnionID: unionIDA})
	for _, connection := range []string{
		"close, X-OpenID", "close, x-openid, x-unionid, x-appid", "X-OpenID", ", X-OpenID", "close\r\nConnection: X-OpenID, X-AppID", "\r\nConnection: X-OpenID",
		"close, Authorization, Cookie, X-Forwarded-For",
	} {
		g.raw("GET / HTTP/1.1\r\nHost: " + g.addr + "\r\nCookie: a=1\r\n" + bearerHeader(token) + "\r\nConnection: " + connection + "\r\n" +
			"\r\nGET /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		got := g.app.requests()
		if len(got) == 0 {
			t.Fatalf("%q: nothing arrived", connection)
		}
		wantHonest(t, got[0], identity.User{AppID: testApp, OpenID: openIDA, UnionID: unionIDA})
		if got[0].Header.Get("Authorization") == "" || got[0].Header.Get("Cookie") == "" || got[0].Header.Get("X-Forwarded-For") == "" {
			t.Errorf("%q: erased: %v", connection, got[0].Header)
		}
	}
}

// H5: an error route gets the header map of the failed request.
func TestH5ErrorRoutesSeeNoForgery(t *testing.T) {
	g := newGateway(t, func(g *gatewayTest) {
		g.site = "wechat_auth {\npublic /public/*\n}\nerror /public/fail 500\nreverse_proxy /dead 127.0.0.1:1\nreverse_proxy " + g.app.addr() +
			"\nhandle_errors {\nreverse_proxy " + g.app.addr() + "\n}"
	})
	token := g.login(userA)
	for _, forgery := range forgeries {
		g.rawGet("GET", "/public/fail", forgery)
		wantHonest(t, g.only(t), identity.User{})
		g.rawGet("GET", "/dead", forgery, bearerHeader(token))
		wantHonest(t, g.only(t), isA)
		g.rawGet("GET", "/", forgery)
		for _, got := range g.app.requests() {
			wantHonest(t, got, identity.User{})
		}
	}
}

// H6: trailers, declared, declared wrongly or not at all.
func TestH6TrailersNeverArrive(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\npublic /public\n}"))
	token := g.login(userA)
	for _, path := range []string{"/", "/public"} {
		for _, declared := range []string{"Trailer: X-OpenID\r\nTE: trailers\r\n", "Trailer: X-Other\r\n", ""} {
			g.raw("POST " + path + " HTTP/1.1\r\nHost: " + g.addr + "\r\n" + bearerHeader(token) + "\r\nConnection: close\r\n" + declared +
				"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-OpenID: forged\r\nX_UnionID: forged\r\n\r\n")
			got := g.only(t)
			want := isA
			if path == "/public" {
				want = identity.User{}
			}
			wantHonest(t, got, want)
			if got.Body != "hello" || got.Header.Get("Trailer") != "" || got.Header.Get("Te") != "" {
				t.Errorf("%q: body %q, header %v", declared, got.Body, got.Header)
			}
		}
	}
}

// H8: headers that apps trust by habit, from a peer that is no trusted proxy.
func TestH8SiblingHeadersNeedATrustedProxy(t *testing.T) {
	lines := []string{
		"Forwarded: for=1.2.3.4", "X-Real-IP: 1.2.3.4", "X_Real_IP: 1.2.3.4", "X-Forwarded-User: root", "X-Forwarded-Email: a@b", "X-Forwarded-Groups: admin",
		"X-Forwarded-Port: 1", "X-Forwarded-Prefix: /x", "X-Forwarded-Uri: /x", "X-Forwarded-Method: GET", "X-Forwarded-Server: x", "X-Forwarded-Ssl: on",
		"X-Original-URL: /x", "X-Original-Method: GET", "X-Original-Host: x", "X-Rewrite-URL: /x", "Remote-User: root", "Remote-Groups: admin",
		"Remote-Email: a@b", "Remote-Name: root", "X-Remote-User: root", "X-User-ID: 1", "X-WebAuth-User: root", "X-Auth-Request-User: root", "X-Auth-Request-Access-Token: x",
		"Proxy: http://evil", "X~Forwarded~For: 1.2.3.4",
	}
	g := newGateway(t)
	token := g.login(userA)
	g.rawGet("GET", "/", append(lines, bearerHeader(token), "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https")...)
	got := g.only(t)
	for _, line := range lines {
		name, _, _ := strings.Cut(line, ":")
		for seen := range got.Header {
			if identity.Fold(seen) == identity.Fold(name) && !strings.Contains(name, "~") {
				t.Errorf("%s arrived", name)
			}
		}
	}
	if got.Header.Get("X-Forwarded-For") != "127.0.0.1" || got.Header.Get("X-Forwarded-Proto") != "http" || len(got.Header["X~forwarded~for"]) > 0 {
		t.Errorf("forwarded headers %v", got.Header)
	}
	trusting := newGateway(t, func(g *gatewayTest) { g.servers = "trusted_proxies static 127.0.0.1/32" })
	token = trusting.login(userA)
	trusting.rawGet("GET", "/", bearerHeader(token), "X-Real-IP: 1.2.3.4", "X-OpenID: forged")
	got = trusting.only(t)
	wantHonest(t, got, isA)
	if got.Header.Get("X-Real-Ip") != "1.2.3.4" {
		t.Error("a trusted proxy's header was removed")
	}
}

// H10: an app that gets the token can use it elsewhere, or log it.
func TestH10TokenDoesNotReachTheApp(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\npublic /public\n}"))
	token := g.login(userA)
	for _, path := range []string{"/", "/public"} {
		g.rawGet("GET", path, bearerHeader(token), "Cookie: a=1; b=2")
		if got := g.only(t); got.Header.Get("Authorization") != "" || got.Header.Get("Cookie") != "a=1; b=2" || strings.Contains(fmt.Sprint(got), token) {
			t.Errorf("%s: the app sees %v", path, got.Header)
		}
	}
	g.rawGet("GET", "/public", "Authorization: Basic dXNlcjpwYXNz")
	if got := g.only(t); got.Header.Get("Authorization") != "Basic dXNlcjpwYXNz" {
		t.Error("another scheme's credentials were removed")
	}
	g.rawGet("GET", "/", "Authorization: Basic dXNlcjpwYXNz", bearerHeader(token))
	if got := g.only(t); !slices.Equal(got.Header["Authorization"], []string{"Basic dXNlcjpwYXNz"}) {
		t.Errorf("Authorization %q", got.Header["Authorization"])
	}
}

// H10, with the other carriers.
func TestH10OtherCarriersAreRemoved(t *testing.T) {
	for name, tc := range map[string]struct {
		carrier, target, line string
		check                 func(recorded) bool
	}{
		"header":             {"header X-Token", "/?a=1", "X-Token: TOKEN", func(r recorded) bool { return r.Header.Get("X-Token") == "" && r.URI == "/?a=1" }},
		"header with Bearer": {"header X-Token", "/", "X-Token: Bearer TOKEN", func(r recorded) bool { return r.Header.Get("X-Token") == "" }},
		"query":              {"query token", "/p?a=%20&token=TOKEN&b=2", "Accept: x", func(r recorded) bool { return r.URI == "/p?a=%20&b=2" }},
		"query, escaped":     {"query token", "/p?%74oken=TOKEN", "Accept: x", func(r recorded) bool { return r.URI == "/p" || r.URI == "/p?" }},
		"cookie":             {"cookie sid", "/", "Cookie: a=1; sid=TOKEN; b=2", func(r recorded) bool { return r.Header.Get("Cookie") == "a=1; b=2" }},
		"cookie alone":       {"cookie sid", "/", "Cookie: sid=TOKEN", func(r recorded) bool { return r.Header["Cookie"] == nil }},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, withSite("wechat_auth {\ntoken "+tc.carrier+"\n}"))
			token := g.login(userA)
			answer := g.rawGet("GET", strings.ReplaceAll(tc.target, "TOKEN", token), strings.ReplaceAll(tc.line, "TOKEN", token))
			if statusOf(answer) != "200" {
				t.Fatalf("refused: %s", answer)
			}
			got := g.only(t)
			wantHonest(t, got, isA)
			if !tc.check(got) || strings.Contains(fmt.Sprint(got), token) {
				t.Errorf("the app sees %+v", got)
			}
			if g.rawGet("GET", "/", bearerHeader(token)); len(g.app.requests()) > 0 {
				t.Error("another carrier is honoured, too")
			}
		})
	}
}

// J15: a page whose address has a token in it tells nobody its address, whether or not
// the token counts there.
func TestJ15TokensInAddressesAreNoReferrer(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\ntoken query token\npublic /public\noptional /optional\n}"))
	token := g.login(userA)
	g.app.answerWith(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Referrer-Policy", "unsafe-url") })
	for target, want := range map[string]string{
		"/?token=" + token: "no-referrer", "/optional?token=" + token: "no-referrer", "/public?a=1&token=" + token: "no-referrer",
		"/public?%74oken=old": "no-referrer", "/public?a=1": "unsafe-url", "/public": "unsafe-url",
	} {
		resp, _ := g.do(http.MethodGet, target, "")
		if got := resp.Header["Referrer-Policy"]; resp.StatusCode != http.StatusOK || !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %d %q, want %s", target, resp.StatusCode, got, want)
		}
	}
}

// H11: a cache in front must not give one user's page to another.
func TestH11CachesAreTold(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\npublic /public\noptional /optional\n}"))
	token := g.login(userA)
	resp, _ := g.do(http.MethodGet, "/", "", bearerHeader(token))
	if resp.Header.Get("Cache-Control") != "private" || resp.Header.Get("Vary") != "Authorization" {
		t.Errorf("authenticated: %v", resp.Header)
	}
	if resp, _ = g.do(http.MethodGet, "/optional", ""); resp.Header.Get("Cache-Control") != "" || resp.Header.Get("Vary") != "Authorization" {
		t.Errorf("anonymous: %v", resp.Header)
	}
	if resp, _ = g.do(http.MethodGet, "/public", "", bearerHeader(token)); resp.Header.Get("Cache-Control") != "" || resp.Header.Get("Vary") != "" {
		t.Errorf("public: %v", resp.Header)
	}
	g.app.answerWith(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", "") })
	if resp, _ = g.do(http.MethodGet, "/", "", bearerHeader(token)); resp.Header.Get("Cache-Control") != "private" {
		t.Errorf("nothing said: %v", resp.Header)
	}
	g.app.answerWith(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "Accept, authorization")
	})
	if resp, _ = g.do(http.MethodGet, "/", "", bearerHeader(token)); resp.Header.Get("Cache-Control") != "max-age=60" || len(resp.Header["Vary"]) != 1 {
		t.Errorf("the app's own words: %v", resp.Header)
	}
}

// H12: two credentials, of which the gateway takes one and the app the other.
func TestH12TwoCredentialsAreRefused(t *testing.T) {
	g := newGateway(t, withGlobal("session {\nmax_per_user 5\n}"))
	one, two := g.login(userA), g.login(wechattest.User{OpenID: openIDB})
	resp, body := g.do(http.MethodGet, "/", "", bearerHeader(one), bearerHeader(two))
	if resp.StatusCode != http.StatusBadRequest || errorCode(body) != "invalid_request" {
		t.Errorf("two tokens: %d %s", resp.StatusCode, body)
	}
	g.wantUntouched(t, "two tokens")
	if resp, _ := g.do(http.MethodGet, "/", "", bearerHeader(one), bearerHeader(one)); resp.StatusCode != http.StatusOK {
		t.Errorf("one token twice: %d", resp.StatusCode)
	}
	if resp, body := g.do(http.MethodGet, "/", "", "Authorization: Bearer "+one+", Bearer "+two); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a list: %d %s", resp.StatusCode, body)
	}
	for carrier, headers := range map[string][]string{
		"cookie sid":     {"Cookie: sid=" + one + "; sid=" + one},
		"header X-Token": {"X-Token: " + one, "X-Token: " + two},
	} {
		g := newGateway(t, withSite("wechat_auth {\ntoken "+carrier+"\n}"))
		if resp, body := g.do(http.MethodGet, "/", "", headers...); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d %s", carrier, resp.StatusCode, body)
		}
	}
}

// H13: a value that is expanded again shows a secret of the environment.
func TestH13ValuesAreNeverExpandedAgain(t *testing.T) {
	t.Setenv("WECHAT_TEST_CANARY", "canary-value")
	g := newGateway(t, func(g *gatewayTest) {
		g.site = "wechat_auth {\noptional\n}\nrequest_header X-Id {http.auth.user.openid}\nreverse_proxy " + g.app.addr()
	})
	resp, body := g.do(http.MethodGet, "/?x={env.WECHAT_TEST_CANARY}", "", "Authorization: Bearer {env.WECHAT_TEST_CANARY}", "X-OpenID: {env.WECHAT_TEST_CANARY}")
	if resp.StatusCode != http.StatusUnauthorized || strings.Contains(body, "canary") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	g.wechat.Next(wechattest.Answer{Body: `{"openid":"{env.WECHAT_TEST_CANARY}","session_key":"` + wechattest.SessionKey + `"}`})
	if resp, body := g.post("/wechat/login", `{"code":"`+freshCode()+`"}`); resp.StatusCode != http.StatusBadGateway || errorCode(body) != "wechat_error" {
		t.Errorf("an openid with braces: %d %s", resp.StatusCode, body)
	}
	g.do(http.MethodGet, "/", "", "X-Id: {env.WECHAT_TEST_CANARY}")
	for _, got := range g.app.requests() {
		if strings.Contains(fmt.Sprint(got.Header), "canary") {
			t.Errorf("the app sees %v", got.Header)
		}
	}
}

// H14: what a rewrite makes of a path is not what the client asked for.
func TestH14RewritesDoNotOpenTheSite(t *testing.T) {
	g := newGateway(t, func(g *gatewayTest) {
		g.site = "rewrite /secret /public/x\nrewrite /public/moved /secret2\nwechat_auth {\npublic /public/*\n}\nreverse_proxy " + g.app.addr()
	})
	for _, path := range []string{"/secret", "/public/moved"} {
		if resp, _ := g.do(http.MethodGet, path, ""); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
		g.wantUntouched(t, path)
	}
	if resp, _ := g.do(http.MethodGet, "/public/y", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("the control: %d", resp.StatusCode)
	}
}
