package caddymodule_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

// B3, J15: a link has a token in its address that is over. The login that the page load
// leads to neither repeats it nor goes round in circles, for a browser that is logged
// in and for one that is not.
func TestB3TokenInTheAddressMakesNoLoop(t *testing.T) {
	g := newGateway(t, withBrowsers("token query tok", ""))
	ended := g.miniProgramToken()
	if resp, body := g.do(http.MethodPost, "/wechat/logout?tok="+ended, ""); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("logout: %d %s", resp.StatusCode, body)
	}
	s := g.surfer(userAgentWeChat)
	wechat := s.toWeChat("/orders?a=1&tok=" + ended + "&b=2")
	if address, err := url.PathUnescape(wechat.String()); err != nil || strings.Contains(address, ended) || strings.Contains(address, "tok") {
		t.Errorf("WeChat is told the token: %s", wechat)
	}
	resp, body := s.load(s.callback(wechat, s.code(wechat, pageUser)))
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/orders?a=1&b=2" {
		t.Fatalf("callback: %d %q %s", resp.StatusCode, resp.Header.Get("Location"), body)
	}
	wantLoaded(t, s, "/orders?tok="+ended)
}

// B3: a cookie that clients have their tokens in is sent with every page load, and a
// browser's login does not replace it.
func TestB3TokenCookieMakesNoLoop(t *testing.T) {
	g := newGateway(t, withBrowsers("token cookie sid", ""))
	ended := g.miniProgramToken()
	if resp, body := g.do(http.MethodPost, "/wechat/logout", "", "Cookie: sid="+ended); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("logout: %d %s", resp.StatusCode, body)
	}
	s := g.surfer(userAgentWeChat)
	s.logIn("/", pageUser)
	s.cookies["sid"] = ended
	resp, body := s.load("/orders")
	wantPage(t, resp, body, http.StatusUnauthorized, "session_ended")
}

// wantLoaded follows a page load to its end.
func wantLoaded(t *testing.T, s *surfer, path string) {
	t.Helper()
	for range 4 {
		resp, body := s.load(path)
		switch {
		case resp.StatusCode == http.StatusOK:
			return
		case resp.StatusCode != http.StatusFound:
			t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
		}
		path = resp.Header.Get("Location")
	}
	t.Errorf("sent on and on, last to %s", path)
}

// B12, B15: a cookie that says nothing identifies nothing: on pages for everybody a
// form from another site is anonymous with it as without, and elsewhere it is refused
// for the want of a login. A live one is checked.
func TestB12DeadCookieIsNotChecked(t *testing.T) {
	g := newGateway(t, withBrowsers("optional /open", ""))
	s := g.surfer(userAgentWeChat)
	s.logIn("/", pageUser)
	live, dead := "Cookie: wechat_session="+s.sessionCookie(), "Cookie: wechat_session=dead"
	afar := []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}
	g.app.requests()
	resp, body := g.do(http.MethodPost, "/open", "{}", append(afar, dead)...)
	g.wantPassed(resp, body, "")
	for path, want := range map[string][2]string{"/open": {live, "cross_site"}, "/orders": {live, "cross_site"}, "/": {dead, "login_required"}} {
		resp, body := g.do(http.MethodPost, path, "{}", append(afar, want[0])...)
		if errorCode(body) != want[1] {
			t.Errorf("%s: %d %s, want %s", path, resp.StatusCode, body, want[1])
		}
		g.wantUntouched(t, path)
	}
}

// O2, B6: beside the app's own bearer the cookie is what identifies; a store that
// cannot tell about it is no reason to say that nobody is logged in.
func TestO2CookieBesideTheAppsBearerInAnOutage(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	g := newGateway(t, withBrowsers("", ""), withGlobal(redisGlobal(server, "timeout 1s")))
	s := g.surfer(userAgentWeChat)
	s.logIn("/", pageUser)
	foreign := bearerHeader("eyJhbGciOiJIUzI1NiJ9.e30.x-of-the-app")
	resp, body := s.send(http.MethodGet, "/", "", append(scripted, foreign)...)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("before: %d %s", resp.StatusCode, body)
	}
	server.Kill()
	eventually(t, "an answer about the store", func() bool {
		resp, body = s.send(http.MethodGet, "/", "", append(scripted, foreign)...)
		return resp.StatusCode != http.StatusOK
	})
	if resp.StatusCode != http.StatusServiceUnavailable || errorCode(body) != "store_unavailable" {
		t.Errorf("during the outage: %d %s", resp.StatusCode, body)
	}
}

// K10: whatever a request wants to be upgraded to, no signature opens it.
func TestK10SignatureOpensNoUpgrade(t *testing.T) {
	g := newGateway(t)
	signed := g.signURL(g.login(userA), "/pic.png")
	for _, to := range []string{"websocket", "h2c", "foo", "websocket, foo"} {
		answer := g.rawGet("GET", signed, "Connection: Upgrade", "Upgrade: "+to)
		if !strings.Contains(answer, " 401 ") {
			t.Errorf("upgrade to %s: %.200s", to, answer)
		}
		g.wantUntouched(t, to)
	}
}

// On a site where browsers log in every 401 says where.
func TestEveryUnauthorizedSaysWhereToLogIn(t *testing.T) {
	g := newGateway(t, withBrowsers("one_trip", ""))
	for name, body := range map[string]string{
		"login":   second(g.post("/wechat/login", `{"code":"nobodys-code","appid":"`+testApp+`"}`)),
		"session": second(g.do(http.MethodGet, "/wechat/session", "")),
		"trip":    second(g.do(http.MethodGet, "/", "", `Authorization: WeChat-Code code="nobodys-code2", appid="`+testApp+`"`)),
		"page":    second(g.do(http.MethodGet, "/", "")),
	} {
		if !strings.Contains(body, `"login":"/wechat/authorize"`) {
			t.Errorf("%s: %s", name, body)
		}
	}
}

func second(_ *http.Response, body string) string { return body }

// H10, B17: two sites on one host with cookies of different names: browsers send both to
// both. The app of the one must neither see nor set what logs in at the other.
func TestH10B17AppsSeeNoCookieOfAnotherSiteOnTheHost(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""), func(g *gatewayTest) {
		own := g.site
		g.site = fmt.Sprintf(`handle /b/* {
	wechat_auth {
		app %s %s
		prefix /b/wechat
		public /b/public
		optional /b/open
		browser {
			cookie other
		}
	}
	reverse_proxy %s
}
handle {
%s
reverse_proxy %s
}`, testApp, officialApp, g.app.addr(), own, g.app.addr())
	})
	s := g.surfer(userAgentWeChat)
	s.logIn("/", pageUser)
	g.app.requests()
	g.app.answerWith(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Set-Cookie", "wechat_session=planted; Path=/")
		w.Header().Add("Set-Cookie", "other=planted; Path=/")
		w.Header().Add("Set-Cookie", "own=x")
	})
	for _, path := range []string{"/b/public", "/b/open"} {
		resp, body := s.send(http.MethodGet, path, "", append(scripted, "Cookie: theme=dark")...)
		seen := g.app.requests()
		if resp.StatusCode != http.StatusOK || len(seen) != 1 {
			t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
		}
		if cookies := fmt.Sprint(seen[0].Header["Cookie"]); strings.Contains(cookies, "wechat_session") {
			t.Errorf("%s: the app sees %s", path, cookies)
		}
		if set := fmt.Sprint(resp.Header["Set-Cookie"]); strings.Contains(set, "planted") || !strings.Contains(set, "own=x") {
			t.Errorf("%s: the app sets %s", path, set)
		}
	}
}

// P10: callback and enter are GET, and use up a code and a ticket.
func TestP10PagesThatUseSomethingUpWaitForTheHandshake(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""), func(g *gatewayTest) { g.servers = "trusted_proxies static 127.0.0.1/32" })
	s := g.surfer(userAgentWeChat)
	wechat := s.toWeChat("/orders")
	callback := s.callback(wechat, s.code(wechat, pageUser))
	for _, path := range []string{callback, "/wechat/enter?t=x"} {
		resp, body := s.send(http.MethodGet, path, "", append(navigation, "Early-Data: 1")...)
		wantPage(t, resp, body, http.StatusTooEarly, "too_early")
	}
	if resp, body := s.load(callback); resp.StatusCode != http.StatusSeeOther || g.wechat.Calls() != 1 {
		t.Errorf("afterwards: %d %s, WeChat was asked %d times", resp.StatusCode, body, g.wechat.Calls())
	}
}

// H11: on a page for everybody a web-view's cookie changes the answer, so that caches
// must not give the one of nobody to everybody, also where no browser logs in.
func TestH11PagesForEverybodyVaryOnTheCookie(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\noptional /open\npublic /public\n}"))
	for path, want := range map[string]string{"/open": "Authorization,Cookie", "/public": ""} {
		resp, body := g.do(http.MethodGet, path, "")
		if got := strings.Join(resp.Header["Vary"], ","); resp.StatusCode != http.StatusOK || got != want {
			t.Errorf("%s: %d %s Vary %q, want %q", path, resp.StatusCode, body, got, want)
		}
	}
}

// B17: two sites on one host whose cookies are not told apart do not load.
func TestB17SitesOnOneHostHaveCookiesOfTheirOwn(t *testing.T) {
	storage, addr := t.TempDir(), freeAddr(t)
	t.Cleanup(func() { _ = caddy.Stop() })
	site := func(one, two string) string {
		return fmt.Sprintf(`{
	admin off
	persist_config off
	storage file_system %s
	wechat {
		app %s %s
		app %s %s official_account
	}
}
http://%s {
	handle /b/* {
		wechat_auth {
			app %s %s
			prefix /b/wechat
			%s
		}
		reverse_proxy 127.0.0.1:2
	}
	handle {
		wechat_auth {
			app %s %s
			%s
		}
		reverse_proxy 127.0.0.1:2
	}
}`, storage, testApp, testSecret, officialApp, testSecret, addr, testApp, officialApp, one, testApp, officialApp, two)
	}
	named := func(name string) string { return "browser {\ncookie " + name + "\n}" }
	for _, tc := range []struct {
		one, two string
		loads    bool
	}{
		{named("one"), named("two"), true},
		{named("one"), named("one_two"), true},
		{named("one"), named("one"), false},
		{"", "", false},
		{named("one"), named("one_out"), false},
		{named("one_state_1"), named("one"), false},
		{named("one_scan"), named("one"), false},
		{named("one"), named("two") + "\ntoken cookie one", false},
		{named("one"), named("two") + "\ntoken cookie three", true},
		{named("one") + "\ntoken cookie two_out", named("two"), false},
	} {
		// `caddy validate` says so, before anything has been started.
		if err := validate(t, site(tc.one, tc.two)); (err == nil) != tc.loads {
			t.Errorf("%q beside %q is validated: %v", tc.one, tc.two, err)
		}
		if err := load(site(tc.one, tc.two)); (err == nil) != tc.loads {
			t.Errorf("%q beside %q: %v", tc.one, tc.two, err)
		}
	}
}

// Sites on two hosts keep apart what they like, also where a host is an IPv6 address.
func TestSitesOnAddressesAreHostsOfTheirOwn(t *testing.T) {
	sites := func(one, two string) string {
		return fmt.Sprintf(`{
	admin off
	wechat {
		app %s %s
		app %s %s official_account
	}
}
%s {
	wechat_auth {
		app %s
	}
	reverse_proxy 127.0.0.1:2
}
%s {
	wechat_auth {
		app %s
	}
	reverse_proxy 127.0.0.1:2
}`, testApp, testSecret, officialApp, testSecret, one, testApp, two, officialApp)
	}
	for _, tc := range []struct {
		one, two string
		loads    bool
	}{
		{"http://[::1]", "http://shop.example", true},
		{"http://[::1]", "http://[2001:db8::1]", true},
		{"http://[::1]", "http://127.0.0.1", true},
		{"http://[::1]", "http://[::1]:8080", false},
		{"http://[::1]", "http://", false},
	} {
		if err := validate(t, sites(tc.one, tc.two)); (err == nil) != tc.loads {
			t.Errorf("%s beside %s: %v", tc.one, tc.two, err)
		}
	}
}

// Where only Mini Programs log in, pages are for their web-views.
func TestLoggedOutPageIsForWhoeverLogsInInBrowsers(t *testing.T) {
	g := newGateway(t)
	load := []string{"Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}
	resp, body := g.do(http.MethodGet, "/wechat/logged-out", "", load...)
	if resp.StatusCode != http.StatusNotFound || errorCode(body) != "not_found" {
		t.Errorf("a browser: %d %s", resp.StatusCode, body)
	}
	resp, body = g.do(http.MethodGet, "/wechat/logged-out", "", append(load, userAgentWebView)...)
	if resp.StatusCode != http.StatusOK || !strings.Contains(resp.Header.Get("Content-Type"), "text/html") {
		t.Errorf("a web-view: %d %s", resp.StatusCode, body)
	}
}
