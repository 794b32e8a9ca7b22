package caddymodule_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

// What WeChat sends browsers back to, with a code in the address, must not be a host
// that the client chose (B2).
func TestB2HostsOfTheClientAreNotBelieved(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	for name, headers := range map[string][]string{
		"X-Forwarded-Host": {"X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https"},
		"Forwarded":        {"Forwarded: host=evil.example;proto=https"},
		"Referer":          {"Referer: https://evil.example/"},
		"X-Original-URL":   {"X-Original-URL: https://evil.example/"},
	} {
		resp, _ := g.do(http.MethodGet, "/wechat/authorize?to=//evil.example", "", append(append(headers, userAgentWeChat), navigation...)...)
		location, err := url.Parse(resp.Header.Get("Location"))
		if err != nil || resp.StatusCode != http.StatusFound {
			t.Fatalf("%s: %d %v", name, resp.StatusCode, err)
		}
		if back := location.Query().Get("redirect_uri"); back != "http://"+g.addr+"/wechat/callback" {
			t.Errorf("%s: redirect_uri %s", name, back)
		}
	}
}

// The page that says to try again has a link, which must not be another host's (B2).
func TestB2PageOfAnOutageLeadsNowhereElse(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	g := newGateway(t, withBrowsers("", ""), withGlobal(redisGlobal(server, "timeout 1s")))
	s := g.surfer(userAgentWeChat)
	s.logIn("/", pageUser)
	server.Kill()
	eventually(t, "an answer about the store", func() bool {
		resp, _ := s.load("/")
		return resp.StatusCode == http.StatusServiceUnavailable
	})
	long := "/shop?q=" + strings.Repeat("q", 600)
	for path, link := range map[string]string{
		"/shop?id=7": "/shop?id=7", long: long, "/a%2Fb?c=d": "/a%2Fb?c=d",
		"//evil.example/": "/", "//evil.example/x?y=z": "/", "/%2e//evil.example/": "/", "/.//evil.example/": "/",
	} {
		resp, body := s.load(path)
		if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, `<a class="button" href="`+link+`">`) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
}

func TestB2HostThatIsNoneIsRefused(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""), func(g *gatewayTest) { g.anyHost = true })
	for _, host := range []string{"evil.example/x", "a b", "a@b", "exa_mple.com:99999", "[::1", "例子.com", "evil.example#"} {
		answer := g.raw("GET /wechat/authorize HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\nAccept: text/html\r\n" + userAgentWeChat + "\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 400 ") || strings.Contains(answer, "Location:") {
			t.Errorf("Host %q: %.200s", host, answer)
		}
	}
}

// A proxy in front says which host and scheme the browser sees, and the cookies
// follow (B2, B5).
func TestB2B5TrustedProxySaysTheOrigin(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""), func(g *gatewayTest) { g.servers = "trusted_proxies static 127.0.0.0/8"; g.anyHost = true })
	s := g.surfer(userAgentWeChat)
	front := []string{"X-Forwarded-Proto: http, https", "X-Forwarded-Host: Shop.example:443"}
	resp, body := s.send(http.MethodGet, "/wechat/authorize", "", append(front, navigation...)...)
	location, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || location.Query().Get("redirect_uri") != "https://shop.example/wechat/callback" {
		t.Fatalf("%d %v %v %s", resp.StatusCode, location, err, body)
	}
	for _, cookie := range s.set {
		if !strings.HasPrefix(cookie.Name, "__Host-wechat_session_state_") || !cookie.Secure || cookie.Domain != "" {
			t.Errorf("cookie %v", cookie)
		}
	}
	resp, _ = s.send(http.MethodGet, s.callback(location, s.code(location, pageUser)), "", append(front, navigation...)...)
	if resp.StatusCode != http.StatusSeeOther || s.cookies["__Host-wechat_session"] == "" {
		t.Fatalf("%d %v", resp.StatusCode, s.cookies)
	}
	// The same token under the name of http counts for nothing, and the other way round.
	token := s.cookies["__Host-wechat_session"]
	for name, test := range map[string]struct {
		cookie string
		front  []string
		status int
	}{
		"https":              {"__Host-wechat_session=" + token, front, http.StatusOK},
		"https, planted":     {"wechat_session=" + token, front, http.StatusUnauthorized},
		"http":               {"wechat_session=" + token, nil, http.StatusOK},
		"http, other prefix": {"__Host-wechat_session=" + token, nil, http.StatusUnauthorized},
	} {
		resp, _ := g.do(http.MethodGet, "/", "", append(append(test.front, "Cookie: "+test.cookie), scripted...)...)
		if resp.StatusCode != test.status {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, test.status)
		}
	}
}

// Another site makes the browser post, with its cookie (B4, B12). A client with a
// token is not asked, whatever it says about sites.
func TestB4B12UnsafeRequestsWithTheCookieNeedTheSitesOwnPages(t *testing.T) {
	g := newGateway(t, withBrowsers("browser {\ntrust_origin https://pay.example\n}", ""))
	s := g.surfer(userAgentWeChat)
	s.logIn("/", pageUser)
	token := g.miniProgramToken()
	own := "http://" + g.addr
	for name, test := range map[string]struct {
		headers []string
		status  int
	}{
		"own":                 {[]string{"Sec-Fetch-Site: same-origin", "Origin: " + own}, http.StatusOK},
		"own, old browser":    {[]string{"Origin: " + own}, http.StatusOK},
		"no browser":          {nil, http.StatusOK},
		"trusted":             {[]string{"Sec-Fetch-Site: cross-site", "Origin: https://pay.example"}, http.StatusOK},
		"another":             {[]string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, http.StatusForbidden},
		"another, no Origin":  {[]string{"Sec-Fetch-Site: cross-site"}, http.StatusForbidden},
		"sibling":             {[]string{"Sec-Fetch-Site: same-site", "Origin: http://x." + g.addr}, http.StatusForbidden},
		"another scheme":      {[]string{"Origin: https://" + g.addr}, http.StatusForbidden},
		"null, old browser":   {[]string{"Origin: null"}, http.StatusForbidden},
		"look-alike of trust": {[]string{"Sec-Fetch-Site: cross-site", "Origin: https://pay.example.evil"}, http.StatusForbidden},
	} {
		resp, body := s.send(http.MethodPost, "/pay", "{}", append(test.headers, "Content-Type: application/json")...)
		if resp.StatusCode != test.status || test.status == http.StatusForbidden && errorCode(body) != "cross_site" {
			t.Errorf("%s: %d %s, want %d", name, resp.StatusCode, body, test.status)
		}
		resp, body = g.do(http.MethodPost, "/pay", "{}", append(test.headers, bearerHeader(token))...)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s, with a token: %d %s", name, resp.StatusCode, body)
		}
		// Without any credential it is just that.
		resp, body = g.do(http.MethodPost, "/pay", "{}", test.headers...)
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s, with nothing: %d %s", name, resp.StatusCode, body)
		}
	}
	resp, body := s.send(http.MethodGet, "/", "", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Origin: https://evil.example")
	if resp.StatusCode != http.StatusOK {
		t.Errorf("GET: %d %s", resp.StatusCode, body)
	}
}

// miniProgramToken logs a user of the Mini Program in.
func (g *gatewayTest) miniProgramToken() string {
	g.t.Helper()
	code := freshCode()
	g.wechat.AddCode(code, wechattest.User{AppID: testApp, OpenID: openIDA})
	resp, body := g.post("/wechat/login", `{"code":"`+code+`"}`)
	if resp.StatusCode != http.StatusOK {
		g.t.Fatalf("%d %s", resp.StatusCode, body)
	}
	return grantOf(g.t, body).Token
}

// A second cookie of the name comes from another host: neither counts, and the way
// out of it works (B5).
func TestB5DoubledCookieIsRefused(t *testing.T) {
	g := newGateway(t, withBrowsers("optional /open", ""))
	s := g.surfer(userAgentWeChat)
	s.logIn("/", pageUser)
	doubled := "Cookie: wechat_session=" + s.sessionCookie() + "; wechat_session=planted"
	resp, body := g.do(http.MethodGet, "/orders", "", append(scripted, doubled)...)
	if resp.StatusCode != http.StatusBadRequest || errorCode(body) != "invalid_request" {
		t.Errorf("a script: %d %s", resp.StatusCode, body)
	}
	resp, body = g.do(http.MethodGet, "/orders", "", append(navigation, doubled, userAgentWeChat)...)
	wantPage(t, resp, body, http.StatusBadRequest, "invalid_request")
	g.app.requests()
	resp, body = g.do(http.MethodGet, "/open", "", append(scripted, doubled)...)
	g.wantPassed(resp, body, "")
	if resp, body = g.do(http.MethodGet, "/wechat/authorize", "", append(navigation, doubled, userAgentWeChat)...); resp.StatusCode != http.StatusFound {
		t.Errorf("authorize: %d %s", resp.StatusCode, body)
	}
	if resp, body = g.do(http.MethodPost, "/wechat/logout", "", doubled, "Sec-Fetch-Site: same-origin"); resp.StatusCode != http.StatusNoContent {
		t.Errorf("logout: %d %s", resp.StatusCode, body)
	}
	if resp, body := s.send(http.MethodGet, "/", "", scripted...); errorCode(body) != "session_ended" {
		t.Errorf("after the logout: %d %s", resp.StatusCode, body)
	}
}

// The same for the cookie of `token cookie`, whichever of the two comes first.
func TestB5DoubledTokenCookieCanLogOut(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\ntoken cookie tok\n}"))
	for _, cookies := range []string{"tok=TOKEN; tok=planted", "tok=planted; tok=TOKEN", "tok=; tok=TOKEN"} {
		token := g.login(userA)
		doubled := "Cookie: " + strings.ReplaceAll(cookies, "TOKEN", token)
		if resp, body := g.do(http.MethodGet, "/", "", doubled); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d %s", cookies, resp.StatusCode, body)
		}
		if resp, body := g.do(http.MethodPost, "/wechat/logout", "", doubled, "Sec-Fetch-Site: cross-site"); errorCode(body) != "cross_site" {
			t.Errorf("%s from elsewhere: %d %s", cookies, resp.StatusCode, body)
		}
		resp, body := g.do(http.MethodPost, "/wechat/logout", "", doubled, "Sec-Fetch-Site: same-origin")
		if resp.StatusCode != http.StatusNoContent || len(resp.Cookies()) != 1 || resp.Cookies()[0].MaxAge >= 0 {
			t.Errorf("logout of %s: %d %s %v", cookies, resp.StatusCode, body, resp.Cookies())
		}
		if _, body := g.do(http.MethodGet, "/", "", "Cookie: tok="+token); errorCode(body) != "session_ended" {
			t.Errorf("after the logout: %s", body)
		}
	}
	if _, body := g.do(http.MethodPost, "/wechat/logout", "", "Cookie: tok=planted; tok=too", "Sec-Fetch-Site: same-origin"); errorCode(body) != "login_required" {
		t.Errorf("none is ours: %s", body)
	}
}

// The cookie's token is nothing in a header, and a client's nothing in the cookie
// (B6, B13); with both live and different the request says nothing.
func TestB6B13CarriersDoNotMix(t *testing.T) {
	g := newGateway(t, withBrowsers("optional /open", ""))
	s := g.surfer(userAgentWeChat)
	s.logIn("/", pageUser)
	inCookie, carried := s.sessionCookie(), g.miniProgramToken()
	foreign := bearerHeader("eyJhbGciOiJIUzI1NiJ9.e30.x-of-the-app")
	for name, test := range map[string]struct {
		path    string
		headers []string
		status  int
		code    string
		openID  string
		appSees string // of Authorization
	}{
		"cookie as cookie":           {"/", []string{"Cookie: wechat_session=" + inCookie}, 200, "", openIDA, ""},
		"cookie as bearer":           {"/", []string{bearerHeader(inCookie)}, 401, "login_required", "", ""},
		"bearer as cookie":           {"/", []string{"Cookie: wechat_session=" + carried}, 401, "login_required", "", ""},
		"both, of two apps":          {"/", []string{"Cookie: wechat_session=" + inCookie, bearerHeader(carried)}, 400, "invalid_request", "", ""},
		"bearer, dead cookie":        {"/", []string{"Cookie: wechat_session=dead", bearerHeader(carried)}, 200, "", openIDA, ""},
		"the app's bearer":           {"/", []string{"Cookie: wechat_session=" + inCookie, foreign}, 200, "", openIDA, strings.TrimPrefix(foreign, "Authorization: ")},
		"the app's, and dead cookie": {"/", []string{"Cookie: wechat_session=dead", foreign}, 401, "login_required", "", ""},
		"cookie twice over":          {"/", []string{"Cookie: wechat_session=" + inCookie, bearerHeader(inCookie)}, 401, "login_required", "", ""},
		"B15 dead cookie":            {"/open", []string{"Cookie: wechat_session=dead"}, 200, "", "", ""},
		"B15 dead bearer":            {"/open", []string{bearerHeader("dead")}, 401, "login_required", "", ""},
		"B15 live cookie":            {"/open", []string{"Cookie: wechat_session=" + inCookie}, 200, "", openIDA, ""},
	} {
		g.app.requests()
		resp, body := g.do(http.MethodGet, test.path, "", append(test.headers, scripted...)...)
		seen := g.app.requests()
		switch {
		case resp.StatusCode != test.status || test.code != "" && errorCode(body) != test.code:
			t.Errorf("%s: %d %s, want %d %s", name, resp.StatusCode, body, test.status, test.code)
		case test.status == 200 && (len(seen) != 1 || seen[0].Header.Get("X-OpenID") != test.openID || seen[0].Header.Get("Authorization") != test.appSees || seen[0].Header.Get("Cookie") != ""):
			t.Errorf("%s: the app saw %+v", name, seen)
		case test.status != 200 && len(seen) > 0:
			t.Errorf("%s: it reached the app", name)
		}
	}
	for _, path := range []string{"/wechat/renew"} {
		resp, body := s.send(http.MethodPost, path, "", "Sec-Fetch-Site: same-origin")
		if resp.StatusCode != http.StatusBadRequest || strings.Contains(body, "token\":") {
			t.Errorf("%s by cookie: %d %s", path, resp.StatusCode, body)
		}
	}
}

// An app, or who got into it, sets the gateway's cookies, also by early hints (B14).
func TestB14AnswersOfAppsSetNoCookieOfTheGateway(t *testing.T) {
	g := newGateway(t, withBrowsers("public /public", ""))
	g.app.answerWith(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"wechat_session", "__Host-wechat_session", "wechat_session_out", "wechat_session_state_00000000", "theirs"} {
			w.Header().Add("Set-Cookie", name+"=x; Path=/")
		}
		if r.URL.Query().Has("hints") {
			w.WriteHeader(http.StatusEarlyHints)
		}
	})
	s := g.surfer(userAgentWeChat)
	s.logIn("/", pageUser)
	for _, path := range []string{"/", "/?hints", "/public"} {
		answer := g.raw("GET " + path + " HTTP/1.1\r\nHost: " + g.addr + "\r\nConnection: close\r\n" + s.cookieHeader() + "\r\n\r\n")
		if strings.Contains(answer, "wechat_session") || !strings.Contains(answer, "Set-Cookie: theirs=x") {
			t.Errorf("%s: %s", path, answer)
		}
	}
}

// No cookie of the gateway reaches the app, under either name, on any page (B17).
func TestB17AppsSeeNoCookieOfTheGateway(t *testing.T) {
	g := newGateway(t, withBrowsers("public /public\noptional /open\nforward_token", ""))
	s := g.surfer(userAgentWeChat)
	s.logIn("/", pageUser)
	for _, path := range []string{"/", "/public", "/open"} {
		g.app.requests()
		s.send(http.MethodGet, path, "", "Cookie: a=b; __Host-wechat_session=x; wechat_session_out=1; __Host-wechat_session_state_00000000=y; c=d")
		seen := g.app.requests()
		if len(seen) != 1 || strings.Join(seen[0].Header["Cookie"], "; ") != "a=b; c=d" {
			t.Errorf("%s: the app saw %+v", path, seen)
		}
	}
}

// After a logout no link from elsewhere, and no Back, logs the browser in again;
// the user's own click does (B20).
func TestB20LogoutLasts(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	s := g.surfer(userAgentWeChat)
	wechat := s.toWeChat("/orders")
	callback := s.callback(wechat, s.code(wechat, pageUser))
	s.load(callback)
	before := s.cookieHeader()
	resp, body := s.send(http.MethodPost, "/wechat/logout", "", ownForm...)
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/wechat/logged-out" {
		t.Fatalf("logout: %d to %q %s", resp.StatusCode, resp.Header.Get("Location"), body)
	}
	if s.sessionCookie() != "" || s.cookies["wechat_session_out"] == "" {
		t.Errorf("cookies %v", s.cookies)
	}
	resp, body = s.load(resp.Header.Get("Location"))
	wantPage(t, resp, body, http.StatusOK, "logged_out")

	calls := g.wechat.Calls()
	resp, body = s.send(http.MethodGet, "/wechat/authorize?to=/orders", "", fromAfar...)
	wantPage(t, resp, body, http.StatusUnauthorized, "logged_out")
	resp, body = s.load("/orders")
	wantPage(t, resp, body, http.StatusUnauthorized, "logged_out")
	resp, body = s.load(callback)
	wantPage(t, resp, body, http.StatusUnauthorized, "logged_out")
	// Back with the cookies of before, as a page from the browser's memory would have.
	resp, _ = g.do(http.MethodGet, callback, "", append(navigation, userAgentWeChat, before)...)
	if findCookie(resp.Cookies(), "wechat_session") != nil || g.wechat.Calls() != calls {
		t.Errorf("Back brings the login back: %v", resp.Cookies())
	}

	// The link of the page works without Sec-Fetch headers, too, and only it does.
	_, body = s.load("/orders")
	_, link, _ := strings.Cut(body, `href="`)
	link, _, _ = strings.Cut(link, `"`)
	link = strings.ReplaceAll(link, "&amp;", "&")
	plain := []string{"Accept: text/html"}
	resp, body = s.send(http.MethodGet, "/wechat/authorize?again=guess", "", plain...)
	wantPage(t, resp, body, http.StatusUnauthorized, "logged_out")
	if resp, body = s.send(http.MethodGet, link, "", plain...); resp.StatusCode != http.StatusFound {
		t.Fatalf("the user's own click: %d %s", resp.StatusCode, body)
	}
	wechat, err := url.Parse(resp.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	s.load(s.callback(wechat, s.code(wechat, pageUser)))
	if s.sessionCookie() == "" || s.cookies["wechat_session_out"] != "" {
		t.Errorf("cookies after the login: %v", s.cookies)
	}
}

// Logout by a script, with a place to go, and by whoever has no session.
func TestLogoutInBrowsers(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	s := g.surfer(userAgentWeChat)
	s.logIn("/", pageUser)
	resp, body := s.send(http.MethodPost, "/wechat/logout", "", "Sec-Fetch-Site: cross-site", "Origin: https://evil.example")
	if resp.StatusCode != http.StatusForbidden || errorCode(body) != "cross_site" {
		t.Errorf("another site logs out: %d %s", resp.StatusCode, body)
	}
	if resp, body = s.send(http.MethodPost, "/wechat/logout", "", scripted...); resp.StatusCode != http.StatusNoContent {
		t.Errorf("a script: %d %s", resp.StatusCode, body)
	}
	for to, want := range map[string]string{"to=%2Fbye": "/bye", "to=https%3A%2F%2Fevil.example": "/", "to=%2F%2Fevil.example": "/", "": "/wechat/logged-out"} {
		resp, body = s.send(http.MethodPost, "/wechat/logout", to, ownForm...)
		if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != want {
			t.Errorf("%q: %d to %q %s", to, resp.StatusCode, resp.Header.Get("Location"), body)
		}
		resp, body = s.send(http.MethodPost, "/wechat/logout?"+to, "", ownForm...)
		if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != want {
			t.Errorf("?%q: %d to %q %s", to, resp.StatusCode, resp.Header.Get("Location"), body)
		}
	}
	// A token and a cookie in one request: both sessions end.
	s.logIn("/wechat/authorize?again="+s.cookies["wechat_session_out"], pageUser)
	token := g.miniProgramToken()
	if resp, body = s.send(http.MethodPost, "/wechat/logout", "", append(scripted, bearerHeader(token))...); resp.StatusCode != http.StatusNoContent {
		t.Errorf("both: %d %s", resp.StatusCode, body)
	}
	if resp, body = g.do(http.MethodGet, "/", "", bearerHeader(token)); errorCode(body) != "session_ended" {
		t.Errorf("the token's session: %d %s", resp.StatusCode, body)
	}
	if resp, body = g.do(http.MethodPost, "/wechat/logout", ""); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("nobody: %d %s", resp.StatusCode, body)
	}
}
