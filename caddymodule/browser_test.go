package caddymodule_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

var pageUser = wechattest.User{OpenID: openIDA}

func TestPageInWeChatLogsIn(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	s := g.surfer(userAgentWeChat)
	s.cookies["theirs"] = "kept"
	wechat := s.toWeChat("/orders/7?tab=2&x=%E4%B8%AD")
	if got := wechat.Scheme + "://" + wechat.Host + wechat.Path; got != "https://open.weixin.qq.com/connect/oauth2/authorize" {
		t.Errorf("sent to %s", got)
	}
	if got := wechat.String(); !inOrder(got, "?appid="+officialApp, "&redirect_uri=http", "&response_type=code", "&scope=snsapi_base", "&state=", "&connect_redirect=1#wechat_redirect") {
		t.Errorf("not in WeChat's order: %s", got)
	}
	state := wechat.Query().Get("state")
	var cookie *http.Cookie
	for _, c := range s.set {
		if strings.HasPrefix(c.Name, "wechat_session_state_") {
			cookie = c
		}
	}
	if cookie == nil || cookie.Name != "wechat_session_state_"+state[:8] || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" ||
		cookie.MaxAge != 600 || cookie.Secure || cookie.Domain != "" || strings.Contains(cookie.Value, state) {
		t.Errorf("state cookie %v", s.set)
	}

	resp, body := s.load(s.callback(wechat, s.code(wechat, pageUser)))
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/orders/7?tab=2&x=%E4%B8%AD" {
		t.Fatalf("callback: %d to %q %s", resp.StatusCode, resp.Header.Get("Location"), body)
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("B9: %s is %q, want %q", name, got, want)
		}
	}
	if session := findCookie(s.set, "wechat_session"); session == nil || !session.HttpOnly ||
		session.SameSite != http.SameSiteLaxMode || session.Path != "/" || session.MaxAge != 24*60*60 {
		t.Errorf("session cookie %v", s.set)
	}
	g.app.requests()
	resp, body = s.load("/orders/7")
	seen := g.app.requests()
	if resp.StatusCode != http.StatusOK || len(seen) != 1 || seen[0].Header.Get("X-OpenID") != openIDA || seen[0].Header.Get("X-AppID") != officialApp ||
		seen[0].Header.Get("X-UnionID") != "" || seen[0].Header.Get("Cookie") != "theirs=kept" {
		t.Errorf("%d %s; the app saw %+v", resp.StatusCode, body, seen)
	}
	if vary := strings.Join(resp.Header["Vary"], ","); !strings.Contains(vary, "Cookie") || resp.Header.Get("Cache-Control") != "private" {
		t.Errorf("H11: Vary %q, Cache-Control %q", vary, resp.Header.Get("Cache-Control"))
	}
	if len(s.set) > 0 {
		t.Errorf("an answer of the app sets %v", s.set)
	}
	if resp, body := s.send(http.MethodGet, "/wechat/session", "", scripted...); resp.StatusCode != http.StatusOK ||
		strings.Contains(body, openIDA) || !strings.Contains(body, officialApp) {
		t.Errorf("session: %d %s", resp.StatusCode, body)
	}
}

func findCookie(cookies []*http.Cookie, name string) *http.Cookie {
	for _, cookie := range cookies {
		if cookie.Name == name {
			return cookie
		}
	}
	return nil
}

// inOrder reports whether the parts are in the text one after the other.
func inOrder(text string, parts ...string) bool {
	for _, part := range parts {
		_, rest, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = rest
	}
	return true
}

func TestWebsiteLogsInByQRCode(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	s := g.surfer(userAgentDesktop)
	wechat := s.toWeChat("/")
	if got := wechat.Host + wechat.Path; got != "open.weixin.qq.com/connect/qrconnect" || wechat.Query().Get("scope") != "snsapi_login" ||
		wechat.Query().Get("appid") != websiteApp || wechat.Fragment != "wechat_redirect" {
		t.Errorf("sent to %s", wechat)
	}
	s.load(s.callback(wechat, s.code(wechat, wechattest.User{OpenID: openIDB, UnionID: unionIDA})))
	g.app.requests()
	s.load("/")
	if seen := g.app.requests(); len(seen) != 1 || seen[0].Header.Get("X-OpenID") != openIDB ||
		seen[0].Header.Get("X-UnionID") != unionIDA || seen[0].Header.Get("X-AppID") != websiteApp {
		t.Errorf("the app saw %+v", seen)
	}
}

// Consent that was asked for tells the unionid; later silent logins keep it.
func TestConsentTellsTheUnionID(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	s := g.surfer(userAgentWeChat)
	s.logIn("/", pageUser)
	wechat := s.toWeChat("/wechat/authorize?scope=userinfo&to=/me")
	if got := wechat.Query().Get("scope"); got != "snsapi_userinfo" {
		t.Errorf("scope %s", got)
	}
	first := s.sessionCookie()
	resp, _ := s.load(s.callback(wechat, s.code(wechat, wechattest.User{OpenID: openIDA, UnionID: unionIDA})))
	if resp.Header.Get("Location") != "/me" || s.sessionCookie() == first {
		t.Errorf("no new session, or not at /me: %q", resp.Header.Get("Location"))
	}
	silent := g.surfer(userAgentWeChat)
	silent.logIn("/", pageUser)
	for name, browser := range map[string]*surfer{"consented": s, "silent": silent} {
		g.app.requests()
		browser.load("/")
		if seen := g.app.requests(); len(seen) != 1 || seen[0].Header.Get("X-UnionID") != unionIDA {
			t.Errorf("%s: the app saw %+v", name, seen)
		}
	}
	// The session before is over: nobody has its cookie any more.
	s.cookies["wechat_session"] = first
	if resp, body := s.send(http.MethodGet, "/api", "", scripted...); resp.StatusCode != http.StatusUnauthorized ||
		errorCode(body) != "session_ended" {
		t.Errorf("the old session: %d %s", resp.StatusCode, body)
	}
}

// A live session goes straight to the page, unless the user wants to consent.
func TestAuthorizeWithALiveSessionAsksNobody(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	s := g.surfer(userAgentWeChat)
	s.logIn("/", pageUser)
	resp, _ := s.load("/wechat/authorize?to=/orders")
	if resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != "/orders" || len(s.set) > 0 {
		t.Errorf("%d to %q, sets %v", resp.StatusCode, resp.Header.Get("Location"), s.set)
	}
}

func TestEveryBrowserHasItsWay(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	for name, test := range map[string]struct {
		agent, path string
		status      int
		contains    string
	}{
		"phone":                        {userAgentPhone, "/wechat/authorize?to=/orders", http.StatusUnauthorized, "/orders</p>"},
		"phone, by its own link":       {userAgentPhone, "/wechat/authorize?appid=" + websiteApp, http.StatusFound, ""},
		"web-view":                     {userAgentWebView, "/wechat/authorize?to=/orders", http.StatusUnauthorized, "Go back and open this again"},
		"web-view names an account":    {userAgentWebView, "/wechat/authorize?appid=" + officialApp, http.StatusUnauthorized, "Go back and open this again"},
		"web-view loads a page":        {userAgentWebView, "/orders", http.StatusUnauthorized, "Go back and open this again"},
		"desktop wants the official":   {userAgentDesktop, "/wechat/authorize?appid=" + officialApp, http.StatusBadRequest, "invalid_request"},
		"WeChat wants the website":     {userAgentWeChat, "/wechat/authorize?appid=" + websiteApp, http.StatusBadRequest, "invalid_request"},
		"the Mini Program":             {userAgentWeChat, "/wechat/authorize?appid=" + testApp, http.StatusBadRequest, "invalid_request"},
		"an unknown account":           {userAgentWeChat, "/wechat/authorize?appid=wx0000000000000000", http.StatusBadRequest, "invalid_request"},
		"an unknown scope":             {userAgentWeChat, "/wechat/authorize?scope=snsapi_login", http.StatusBadRequest, "invalid_request"},
		"a parameter that comes twice": {userAgentWeChat, "/wechat/authorize?to=/a&to=/b", http.StatusBadRequest, "invalid_request"},
	} {
		resp, body := g.surfer(test.agent).load(test.path)
		if resp.StatusCode != test.status || !strings.Contains(body, test.contains) {
			t.Errorf("%s: %d %s, want %d with %q", name, resp.StatusCode, body, test.status, test.contains)
		}
	}
	if calls := g.wechat.Calls(); calls != 0 {
		t.Errorf("WeChat was asked %d times", calls)
	}
}

// One site for all: the Mini Program with its token, the page with its cookie, and
// one unionid in both.
func TestMiniProgramAndPagesShareASite(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	code := freshCode()
	g.wechat.AddCode(code, wechattest.User{AppID: testApp, OpenID: openIDA, UnionID: unionIDA})
	resp, body := g.post("/wechat/login", `{"code":"`+code+`"}`)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	resp, body = g.do(http.MethodGet, "/", "", bearerHeader(grantOf(t, body).Token))
	if seen := g.app.requests(); resp.StatusCode != http.StatusOK || len(seen) != 1 || seen[0].Header.Get("X-AppID") != testApp ||
		seen[0].Header.Get("X-UnionID") != unionIDA {
		t.Errorf("%d %s; the app saw %+v", resp.StatusCode, body, seen)
	}
	s := g.surfer(userAgentDesktop)
	s.logIn("/", wechattest.User{OpenID: openIDB, UnionID: unionIDA})
	g.app.requests()
	s.load("/")
	if seen := g.app.requests(); len(seen) != 1 || seen[0].Header.Get("X-AppID") != websiteApp || seen[0].Header.Get("X-UnionID") != unionIDA {
		t.Errorf("the app saw %+v", seen)
	}
}

// Scripts get the JSON that tells them where a page logs in; nobody redirects them,
// whatever they accept (B10).
func TestB10ScriptsAreNeverRedirected(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	for name, headers := range map[string][]string{
		"fetch":      scripted,
		"axios":      {"Accept: application/json, text/plain, */*"},
		"jQuery":     {"Accept: text/html", "X-Requested-With: XMLHttpRequest"},
		"htmx":       {"Accept: text/html", "HX-Request: true"},
		"curl":       {"Accept: */*"},
		"prefetch":   {"Accept: text/html", "Sec-Purpose: prefetch", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"},
		"frame":      {"Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"},
		"wx.request": {"Accept: */*", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors"},
	} {
		for _, agent := range []string{userAgentWeChat, userAgentDesktop} {
			resp, body := g.do(http.MethodGet, "/orders", "", append(headers, agent)...)
			if resp.StatusCode != http.StatusUnauthorized || errorCode(body) != "login_required" ||
				!strings.Contains(body, `"login":"/wechat/authorize"`) {
				t.Errorf("%s: %d %s", name, resp.StatusCode, body)
			}
			resp, body = g.do(http.MethodGet, "/wechat/authorize", "", append(headers, agent)...)
			if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" {
				t.Errorf("%s at authorize: %d %s", name, resp.StatusCode, body)
			}
		}
	}
	if resp, body := g.do(http.MethodHead, "/orders", "", append(navigation, userAgentWeChat)...); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("HEAD: %d %s", resp.StatusCode, body)
	}
	if resp, body := g.do(http.MethodPost, "/wechat/authorize", "", append(ownForm, userAgentWeChat)...); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d %s", resp.StatusCode, body)
	}
}

// WeChat on Android names itself in X-Requested-With when it loads pages, over http
// without any Sec-Fetch header (B11).
func TestB11WeChatOnAndroidLoadsPages(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	for name, headers := range map[string][]string{
		"Android": {"Accept: text/html,*/*;q=0.8", "X-Requested-With: com.tencent.mm"},
		"iOS":     {"Accept: text/html,application/xhtml+xml,*/*;q=0.8"},
	} {
		resp, body := g.do(http.MethodGet, "/orders?x=1", "", append(headers, userAgentWeChat)...)
		if resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != "/wechat/authorize?to=%2Forders%3Fx%3D1" ||
			resp.Header.Get("X-WeChat-Gateway") != "login_required" {
			t.Errorf("%s: %d to %q %s", name, resp.StatusCode, resp.Header.Get("Location"), body)
		}
	}
}

func TestChallengeOffShowsAPage(t *testing.T) {
	g := newGateway(t, withBrowsers("browser {\nchallenge off\n}", ""))
	resp, body := g.surfer(userAgentWeChat).load("/orders?x=1")
	wantPage(t, resp, body, http.StatusUnauthorized, "login_required")
	if !strings.Contains(body, `href="/wechat/authorize?to=%2Forders%3Fx%3D1"`) {
		t.Errorf("no link: %s", body)
	}
}

// On a site with Mini Programs only nobody but a web-view gets pages.
func TestSiteOfMiniProgramsAnswersJSON(t *testing.T) {
	g := newGateway(t)
	resp, body := g.surfer(userAgentDesktop).load("/")
	if resp.StatusCode != http.StatusUnauthorized || errorCode(body) != "login_required" || strings.Contains(body, `"login"`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	resp, body = g.surfer(userAgentWebView).load("/")
	wantPage(t, resp, body, http.StatusUnauthorized, "login_required")
	resp, body = g.surfer(userAgentDesktop).load("/wechat/authorize")
	if resp.StatusCode != http.StatusNotFound || errorCode(body) != "not_found" {
		t.Errorf("authorize: %d %s", resp.StatusCode, body)
	}
}

// A form that is sent after the login has ended must not be lost in a redirect.
func TestFormAfterTheSessionIsToldSo(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	s := g.surfer(userAgentWeChat)
	resp, body := s.send(http.MethodPost, "/orders", "a=b", ownForm...)
	wantPage(t, resp, body, http.StatusUnauthorized, "login_required")
	if !strings.Contains(body, "what you sent was not processed") || !strings.Contains(body, `target="_blank"`) {
		t.Errorf("%s", body)
	}
	resp, body = s.send(http.MethodPost, "/orders", "{}", append(scripted, "Content-Type: application/json")...)
	if resp.StatusCode != http.StatusUnauthorized || errorCode(body) != "login_required" {
		t.Errorf("a script: %d %s", resp.StatusCode, body)
	}
}

// Refusals of page loads are pages with their status, gateway routes included.
func TestRefusalsOfPageLoadsArePages(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	s := g.surfer(userAgentWeChat)
	resp, body := s.load("/wechat/nothing")
	wantPage(t, resp, body, http.StatusNotFound, "not_found")
	resp, body = s.load("/wechat/login")
	wantPage(t, resp, body, http.StatusMethodNotAllowed, "method_not_allowed")
	resp, body = s.load("/wechat/session")
	wantPage(t, resp, body, http.StatusUnauthorized, "login_required")

	wechat := s.toWeChat("/orders")
	resp, body = s.load(s.callback(wechat, ""))
	wantPage(t, resp, body, http.StatusForbidden, "consent_refused")
	if !strings.Contains(body, `href="/wechat/authorize?to=%2Forders"`) {
		t.Errorf("no way to try again: %s", body)
	}

	for errcode, want := range map[int]struct {
		status int
		code   string
	}{-1: {503, "wechat_unavailable"}, 40013: {502, "gateway_misconfigured"}, 40226: {403, "user_blocked"}} {
		wechat := s.toWeChat("/orders")
		g.wechat.Next(wechattest.Errcode(errcode))
		resp, body := s.load(s.callback(wechat, freshCode()))
		wantPage(t, resp, body, want.status, want.code)
		if !strings.Contains(body, `href="/wechat/authorize?to=%2Forders"`) {
			t.Errorf("%d: no button: %s", errcode, body)
		}
	}
}

// Below handle_path the browser's own paths are longer than the ones here.
func TestBrowsersBelowHandlePath(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""), func(g *gatewayTest) {
		g.site = "handle_path /shop/* {\n" + g.site + "\nreverse_proxy " + g.app.addr() + "\n}"
	})
	s := g.surfer(userAgentWeChat)
	wechat := s.toWeChat("/shop/orders")
	back, err := url.Parse(wechat.Query().Get("redirect_uri"))
	if err != nil || back.Path != "/shop/wechat/callback" {
		t.Errorf("redirect_uri %v, %v", back, err)
	}
	resp, body := s.load(s.callback(wechat, s.code(wechat, pageUser)))
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/shop/orders" {
		t.Errorf("%d to %q %s", resp.StatusCode, resp.Header.Get("Location"), body)
	}
	resp, _ = g.surfer(userAgentWeChat).load("/shop/wechat/authorize?to=/shop/wechat/logout")
	if location := resp.Header.Get("Location"); strings.Contains(location, "logout") {
		t.Errorf("B2: %s", location)
	}
}

// A page that try_files serves is still where the browser shows it.
func TestBrowsersBehindRewrites(t *testing.T) {
	for name, test := range map[string]struct{ site, page, login string }{
		"single page":             {"rewrite /orders/* /index.html\n%s", "/orders/7", "/wechat/authorize?to=%2Forders%2F7"},
		"single page of a folder": {"rewrite /a/index.html /index.html\n%s", "/a/index.html", "/wechat/authorize?to=%2Fa%2Findex.html"},
		"folder and single page":  {"handle_path /shop/* {\nrewrite /orders/* /index.html\n%s\n}", "/shop/orders/7", "/shop/wechat/authorize?to=%2Fshop%2Forders%2F7"},
		"folder in a folder":      {"handle_path /a/* {\nhandle_path /b/* {\n%s\n}\n}", "/a/b/c", "/a/b/wechat/authorize?to=%2Fa%2Fb%2Fc"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, withBrowsers("", ""), func(g *gatewayTest) {
				g.site = fmt.Sprintf(test.site, g.site+"\nreverse_proxy "+g.app.addr())
			})
			s := g.surfer(userAgentWeChat)
			resp, body := s.load(test.page)
			if resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != test.login {
				t.Fatalf("%d to %q %s", resp.StatusCode, resp.Header.Get("Location"), body)
			}
			if resp, body = s.load(test.login); resp.StatusCode != http.StatusFound {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
}

// Two sites on one host that would take each other's cookie do not load, whatever
// their ports.
func TestSitesOnOneHostDoNotShareACookie(t *testing.T) {
	other := freeAddr(t)
	for name, test := range map[string]struct {
		site  string
		loads bool
	}{
		"other apps":                 {"app " + officialApp, false},
		"other prefix":               {"app " + testApp + " " + websiteApp + " " + officialApp + "\nprefix /gw", false},
		"same apps":                  {"app " + testApp + " " + websiteApp + " " + officialApp, true},
		"other apps, other cookie":   {"app " + officialApp + "\nbrowser {\ncookie other\n}", true},
		"other prefix, other cookie": {"app " + testApp + " " + websiteApp + " " + officialApp + "\nprefix /gw\nbrowser {\ncookie other\n}", true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, withBrowsers("", ""))
			g.sites = "http://" + other + " {\nwechat_auth {\n" + test.site + "\n}\n}\n"
			err := load(g.caddyfile())
			if (err == nil) != test.loads || err != nil && !strings.Contains(err.Error(), "browser { cookie") {
				t.Errorf("loading: %v", err)
			}
		})
	}
}
