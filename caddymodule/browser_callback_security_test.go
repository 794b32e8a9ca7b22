package caddymodule_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

// An attacker gets the victim's browser to load a callback with the attacker's own
// code, and the victim works in the attacker's account (B1). Without the browser's
// own state nothing is exchanged, and the login begins anew.
func TestB1CallbacksNeedTheBrowsersOwnState(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	attacker := g.surfer(userAgentWeChat)
	wechat := attacker.toWeChat("/orders")
	callback := attacker.callback(wechat, attacker.code(wechat, wechattest.User{OpenID: openIDB}))
	state := wechat.Query().Get("state")
	for name, prepare := range map[string]func(victim *surfer) string{
		"no cookie":          func(*surfer) string { return callback },
		"a state of his own": func(victim *surfer) string { victim.toWeChat("/"); return callback },
		"an altered state": func(victim *surfer) string {
			own := victim.toWeChat("/")
			return "/wechat/callback?code=" + freshCode() + "&state=" + own.Query().Get("state")[:31] + "g"
		},
		"the attacker's cookie under another name": func(victim *surfer) string {
			victim.cookies["wechat_session_state_00000000"] = attacker.cookies["wechat_session_state_"+state[:8]]
			return callback
		},
		"no state": func(victim *surfer) string { victim.toWeChat("/"); return "/wechat/callback?code=" + freshCode() },
		"no query": func(victim *surfer) string { victim.toWeChat("/"); return "/wechat/callback" },
		"two codes": func(victim *surfer) string {
			own := victim.toWeChat("/")
			return victim.callback(own, freshCode()) + "&code=" + freshCode()
		},
		"two states": func(victim *surfer) string {
			own := victim.toWeChat("/")
			return victim.callback(own, freshCode()) + "&state=" + state
		},
		"a broken query": func(victim *surfer) string {
			own := victim.toWeChat("/")
			return victim.callback(own, freshCode()) + "&%zz"
		},
	} {
		victim := g.surfer(userAgentWeChat)
		path := prepare(victim)
		resp, body := victim.load(path)
		location, err := url.Parse(resp.Header.Get("Location"))
		if err != nil || resp.StatusCode != http.StatusFound || location.Host != "open.weixin.qq.com" || victim.sessionCookie() != "" {
			t.Errorf("%s: %d to %q %s", name, resp.StatusCode, location, body)
			continue
		}
		if n := location.Query().Get("redirect_uri"); !strings.Contains(n, "n=1") {
			t.Errorf("%s: the second try is not counted: %s", name, n)
		}
	}
	if calls := g.wechat.Calls(); calls != 0 {
		t.Errorf("WeChat was asked %d times", calls)
	}
}

// The account is the cookie's, whatever the address says (B1).
func TestB1AccountIsTheCookies(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	s := g.surfer(userAgentWeChat)
	wechat := s.toWeChat("/")
	resp, _ := s.load(s.callback(wechat, s.code(wechat, pageUser)) + "&appid=" + websiteApp)
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatal(resp.Status)
	}
	if queries := g.wechat.Queries(); len(queries) != 1 || queries[0].Get("appid") != officialApp {
		t.Errorf("WeChat was asked %v", queries)
	}
}

// Cookies that never come back must not send a browser round and round (B3).
func TestB3LostCookiesEndInAPage(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	s := g.surfer(userAgentWeChat)
	wechat := s.toWeChat("/orders")
	for range 2 {
		clear(s.cookies)
		resp, body := s.load(s.callback(wechat, freshCode()))
		location, err := url.Parse(resp.Header.Get("Location"))
		if err != nil || location.Host == "" {
			t.Fatalf("%d %v %s", resp.StatusCode, err, body)
		}
		wechat = location
	}
	clear(s.cookies)
	resp, body := s.load(s.callback(wechat, freshCode()))
	wantPage(t, resp, body, http.StatusUnauthorized, "login_not_kept")
	if calls := g.wechat.Calls(); calls != 0 {
		t.Errorf("WeChat was asked %d times", calls)
	}
	for _, n := range []string{"n=2", "n=99999999999999999999", "n=-1", "n=x", "n=0&n=0"} {
		resp, body := g.surfer(userAgentWeChat).load("/wechat/callback?code=c&state=s&" + n)
		wantPage(t, resp, body, http.StatusUnauthorized, "login_not_kept")
	}
}

func TestB3LoginsThatAreNotKeptEndInAPage(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	s := g.surfer(userAgentWeChat)
	for range 2 {
		s.logIn("/orders", pageUser)
		delete(s.cookies, "wechat_session")
	}
	resp, body := s.load("/orders")
	wantPage(t, resp, body, http.StatusUnauthorized, "login_not_kept")
	if calls := g.wechat.Calls(); calls != 2 {
		t.Errorf("WeChat was asked %d times", calls)
	}
}

// Each callback begins a session of its own; what the browser had before is over (B5).
func TestB5EveryCallbackHasANewSession(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	s := g.surfer(userAgentWeChat)
	wechat := s.toWeChat("/")
	s.cookies["wechat_session"] = "planted"
	s.load(s.callback(wechat, s.code(wechat, pageUser)))
	if token := s.sessionCookie(); token == "" || token == "planted" {
		t.Errorf("the session is %q", token)
	}
}

// WeChat shows a snapshot of the page to some users, with an invented identity (B8).
func TestB8SnapshotUsersStayAnonymous(t *testing.T) {
	g := newGateway(t, withBrowsers("optional /open", ""))
	s := g.surfer(userAgentWeChat)
	wechat := s.toWeChat("/orders")
	resp, _ := s.load(s.callback(wechat, s.code(wechat, wechattest.User{OpenID: openIDB, Snapshot: true})))
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/orders" || s.sessionCookie() != "" {
		t.Fatalf("%d to %q, cookies %v", resp.StatusCode, resp.Header.Get("Location"), s.cookies)
	}
	if mark := findCookie(s.set, "wechat_session_snapshot"); mark == nil || mark.MaxAge != 60 {
		t.Errorf("cookies %v", s.set)
	}
	resp, body := s.load("/orders")
	wantPage(t, resp, body, http.StatusUnauthorized, "snapshot_user")
	if !strings.Contains(body, "使用完整服务") {
		t.Errorf("%s", body)
	}
	g.app.requests()
	resp, body = s.load("/open")
	g.wantPassed(resp, body, "")
	// The full service loads the page anew, without the mark.
	delete(s.cookies, "wechat_session_snapshot")
	s.logIn("/orders", pageUser)
	resp, body = s.load("/orders")
	g.wantPassed(resp, body, openIDA)
}

// Callbacks come twice at once, with two codes, and again (B16).
func TestB16CallbacksOfOneStateShareASession(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	s := g.surfer(userAgentWeChat)
	wechat := s.toWeChat("/orders")
	cookies := s.cookieHeader()
	var group sync.WaitGroup
	var mu sync.Mutex
	tokens := make(map[string]bool)
	for i := range 8 {
		path := s.callback(wechat, s.code(wechat, pageUser))
		if i%2 == 0 {
			path = s.callback(wechat, fmt.Sprintf("never-known-%d", i))
		}
		_ = path
		group.Go(func() {
			resp, body := g.do(http.MethodGet, s.callback(wechat, s.code(wechat, pageUser)), "", append(navigation, userAgentWeChat, cookies)...)
			if resp.StatusCode != http.StatusSeeOther {
				t.Errorf("%d %s", resp.StatusCode, body)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if cookie := findCookie(resp.Cookies(), "wechat_session"); cookie != nil {
				tokens[cookie.Value] = true
			}
		})
	}
	group.Wait()
	if len(tokens) != 1 || g.wechat.Calls() != 1 {
		t.Errorf("%d sessions, %d calls of WeChat", len(tokens), g.wechat.Calls())
	}
}

// At most four logins under way, and all cookies together small (B17).
func TestB17StatesAreBounded(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	s := g.surfer(userAgentWeChat)
	for range 7 {
		s.toWeChat("/" + strings.Repeat("x", 500))
		count := 0
		for name := range s.cookies {
			if strings.HasPrefix(name, "wechat_session_state_") {
				count++
			}
		}
		if count > 4 || len(s.cookieHeader()) > 6<<10 {
			t.Errorf("%d states, %d bytes", count, len(s.cookieHeader()))
		}
	}
}

// A flood of callbacks makes no call of WeChat, and each state counts in the limit.
func TestCallbackFloodAsksNobody(t *testing.T) {
	g := newGateway(t, withGlobal("login_limit 2 1h"), withBrowsers("", ""))
	for i := range 200 {
		g.surfer(userAgentWeChat).load(fmt.Sprintf("/wechat/callback?code=c%d&state=%032x&n=2", i, i))
	}
	if calls := g.wechat.Calls(); calls != 0 {
		t.Errorf("WeChat was asked %d times", calls)
	}
	s := g.surfer(userAgentWeChat)
	for range 2 {
		wechat := s.toWeChat("/wechat/authorize?scope=userinfo")
		s.load(s.callback(wechat, s.code(wechat, pageUser)))
	}
	wechat := s.toWeChat("/wechat/authorize?scope=userinfo")
	resp, body := s.load(s.callback(wechat, s.code(wechat, pageUser)))
	wantPage(t, resp, body, http.StatusTooManyRequests, "rate_limited")
	if resp.Header.Get("Retry-After") == "" || g.wechat.Calls() != 2 {
		t.Errorf("Retry-After %q, %d calls", resp.Header.Get("Retry-After"), g.wechat.Calls())
	}
}
