package caddymodule_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

// userID is what the app hears of the user's name in its own words.
func (g *gatewayTest) userID(t *testing.T, lines ...string) []string {
	t.Helper()
	g.app.requests()
	if resp, body := g.do(http.MethodGet, "/", "", lines...); resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	return lastSeen(t, g).Header["X-Wechat-User-Id"]
}

// K15: a name that one node was told is the name at every node, in every live session,
// whatever began it; it changes everywhere within a second.
func TestK15NamesAreTheSameAtEveryNode(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	hook := newHookApp(t)
	hook.say(http.StatusOK, `{"user_id":"42"}`)
	one := newGateway(
		t, withAdmin, withGlobal(redisGlobal(server, "on_failure grace 15m")+"\n"+hook.option("")+"\n"),
		withSite("wechat_auth {\none_trip\n}"),
	)
	two := one.spawn(t.TempDir()).gatewayTest
	nodes := []*gatewayTest{one, two}

	// One code at both nodes at once, by both ways: one call of the hook, one session.
	code, trip := one.codeHeader(wechattest.User{OpenID: openIDA, UnionID: unionIDA})
	login := fmt.Sprintf(`{"code":%q,"nonce":%q}`, code, tripNonce)
	tokens := make([]string, 8)
	var group sync.WaitGroup
	for i := range tokens {
		node := nodes[i%2]
		group.Go(func() {
			if i%4 < 2 {
				resp, _ := node.do(http.MethodGet, "/", "", trip)
				tokens[i] = strings.TrimPrefix(resp.Header.Get("Authorization"), "Bearer ")
				return
			}
			_, body := node.post("/wechat/login", login)
			tokens[i] = grantOf(t, body).Token
		})
	}
	group.Wait()
	if tokens[0] == "" || len(slices.Compact(slices.Clone(tokens))) != 1 || len(hook.calls()) != 1 || one.wechat.Calls() != 1 {
		t.Fatalf("one code: tokens %q, %d calls of the hook, %d of WeChat", tokens, len(hook.calls()), one.wechat.Calls())
	}
	for _, seen := range one.app.requests() {
		if !slices.Equal(seen.Header["X-Wechat-User-Id"], []string{"42"}) {
			t.Errorf("a login on its way: the app saw %v", seen.Header)
		}
	}
	token := tokens[0]
	everywhere := func(want string, tokens ...string) {
		t.Helper()
		eventually(t, "the name is "+want+" everywhere", func() bool {
			for _, node := range nodes {
				for _, token := range tokens {
					if got := node.userID(t, bearerHeader(token)); want == "" && len(got) > 0 || want != "" && !slices.Equal(got, []string{want}) {
						return false
					}
				}
			}
			return true
		})
	}
	everywhere("42", token)
	_, body := two.post("/wechat/renew", "", bearerHeader(token))
	renewed := grantOf(t, body).Token
	// The answer again, by its nonce, at the other node.
	if _, body = two.post("/wechat/login", login); grantOf(t, body).Token != token || len(hook.calls()) != 1 {
		t.Errorf("again: %s, %d calls of the hook", body, len(hook.calls()))
	}
	// A login that names somebody else is for all sessions; one that names nobody changes nothing.
	hook.say(http.StatusOK, `{"user_id":"43"}`)
	second := two.login(userA)
	everywhere("43", token, renewed, second)
	hook.say(http.StatusNoContent, "")
	third := one.login(userA)
	everywhere("43", token, renewed, second, third)
	var answer struct {
		UserID string `json:"user_id"`
	}
	one.must(http.MethodPost, "/wechat/users/set", `{"appid":"`+testApp+`","openid":"`+openIDA+`","user_id":"44"}`, &answer)
	everywhere("44", token, renewed, second, third)

	// While Redis is away a node names the user, or lets nobody in.
	hook.say(http.StatusOK, `{"user_id":"50"}`)
	atOne := one.login(wechattest.User{OpenID: openIDB})
	if got := one.userID(t, bearerHeader(atOne)); !slices.Equal(got, []string{"50"}) {
		t.Errorf("the app saw %q", got)
	}
	server.Kill()
	for what, node := range map[string]*gatewayTest{"known": one, "other": two} {
		for range 3 {
			if got := node.userID(t, bearerHeader(token)); !slices.Equal(got, []string{"44"}) {
				t.Errorf("%s node in an outage: %q", what, got)
			}
		}
	}
	if got := one.userID(t, bearerHeader(atOne)); !slices.Equal(got, []string{"50"}) {
		t.Errorf("in an outage the app saw %q", got)
	}
	resp, body := two.do(http.MethodGet, "/", "", bearerHeader(atOne))
	wantRefusal(t, "a node that does not know the name", resp, body, http.StatusServiceUnavailable, "store_unavailable")
}

// The hook is asked about logins of browsers as of others: once for a state, with the
// kind and the scope; its no is a page.
func TestK5HookJudgesBrowsers(t *testing.T) {
	hook := newHookApp(t)
	g := newGateway(t, withGlobal(hook.option("")+"\n"), withBrowsers("", ""))
	for _, browser := range []struct{ agent, kind, scope string }{
		{userAgentWeChat, "official_account", "snsapi_base"}, {userAgentDesktop, "website", "snsapi_login"},
	} {
		t.Run(browser.kind, func(t *testing.T) {
			hook.say(http.StatusOK, `{"user_id":"42"}`)
			before := len(hook.calls())
			s := g.surfer(browser.agent)
			wechat := s.toWeChat("/orders")
			first := s.callback(wechat, s.code(wechat, pageUser))
			for range 2 { // reloaded: the same session again
				if resp, body := s.load(first); resp.StatusCode != http.StatusSeeOther {
					t.Fatalf("callback: %d %s", resp.StatusCode, body)
				}
			}
			calls := hook.calls()[before:]
			if len(calls) != 1 || !strings.Contains(calls[0], `"kind":"`+browser.kind+`"`) || !strings.Contains(calls[0], browser.scope) ||
				!strings.Contains(calls[0], `"client_ip":"127.0.0.1"`) {
				t.Errorf("the hook was asked %q", calls)
			}
			forged := []string{"X-WeChat-User-ID: 1", "x_wechat_user_id: 1", s.cookieHeader(), browser.agent}
			if got := g.userID(t, append(forged, navigation...)...); !slices.Equal(got, []string{"42"}) {
				t.Errorf("the app saw %q", got)
			}
			// Whoever is kept out gets no cookie, and the app's own sentence as text.
			for _, c := range []struct {
				status int
				body   string
				want   int
				code   string
				words  string
			}{
				{403, `{"message":"停用 <b>"}`, 403, "not_allowed", "停用 &lt;b&gt;"},
				{500, "", 502, "login_hook_failed", ""},
				{302, "", 502, "login_hook_failed", ""},
				{200, `{"user_id":"a/b"}`, 502, "login_hook_failed", ""},
			} {
				hook.say(c.status, c.body)
				s := g.surfer(browser.agent)
				wechat := s.toWeChat("/orders")
				resp, body := s.load(s.callback(wechat, s.code(wechat, pageUser)))
				wantPage(t, resp, body, c.want, c.code)
				if !strings.Contains(body, c.words) || s.sessionCookie() != "" {
					t.Errorf("hook %d: %.400s", c.status, body)
				}
			}
		})
	}
}

// F3, K15: what a browser's cookie is worth in an outage is what a token is: a name
// that is known, or nothing; and no assertion, which an app believes afterwards.
func TestF3CookiesInAnOutageAreNamedAndAssertNothing(t *testing.T) {
	for name, c := range map[string]struct {
		options string
		status  int
	}{
		"plain": {"", 200}, "optional": {"optional", 200}, "assertion": {"assertion X-Assertion", 503},
		"optional with assertion": {"optional\nassertion X-Assertion", 503},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
			hook := newHookApp(t)
			hook.say(http.StatusOK, `{"user_id":"42"}`)
			g := newGateway(t, withGlobal(redisGlobal(server, "on_failure grace 15m")+"\n"+hook.option("")+"\n"), withBrowsers(c.options, ""))
			token := g.login(wechattest.User{OpenID: openIDA})
			s := g.surfer(userAgentWeChat)
			s.logIn("/wechat/authorize?to=/", pageUser)
			cookie, bearer := s.cookieHeader(), bearerHeader(token)
			for _, line := range []string{cookie, bearer} {
				if got := g.userID(t, line, userAgentWeChat); !slices.Equal(got, []string{"42"}) {
					t.Fatalf("before the outage the app saw %q", got)
				}
			}
			server.Kill()
			eventually(t, "the outage is noticed", func() bool {
				resp, _ := g.do(http.MethodGet, "/", "", bearer, userAgentWeChat)
				return resp.StatusCode == c.status
			})
			for _, lines := range [][]string{{cookie}, {bearer}, {cookie, "Authorization: Bearer of.the.app"}} {
				g.app.requests()
				resp, body := g.do(http.MethodGet, "/", "", append(lines, userAgentWeChat)...)
				if c.status != 200 {
					wantRefusal(t, lines[0][:6], resp, body, c.status, "store_unavailable")
					if seen := g.app.requests(); len(seen) > 0 {
						t.Errorf("the app saw %v", seen)
					}
					continue
				}
				if resp.StatusCode != c.status || !slices.Equal(lastSeen(t, g).Header["X-Wechat-User-Id"], []string{"42"}) {
					t.Errorf("%q: %d %s", lines, resp.StatusCode, body)
				}
			}
		})
	}
}

// G9: an answer that began with a login on its way, or before the user was renamed, is
// cut with its session like any other, and not before.
func TestG9StreamsOfNamedUsersEndWithTheirSession(t *testing.T) {
	hook := newHookApp(t)
	hook.say(http.StatusOK, `{"user_id":"42"}`)
	g := newGateway(t, withAdmin, withGlobal(hook.option("")+"\n"), withSite("wechat_auth {\none_trip\n}"))
	app := g.streamingApp()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	code, trip := g.codeHeader(userA)
	byTrip := g.openStream(t, transport, http.MethodGet, "/sse", nil, trip)
	wait(t, "request", app.came)
	_, body := g.post("/wechat/login", fmt.Sprintf(`{"code":%q,"nonce":%q}`, code, tripNonce))
	token := grantOf(t, body).Token
	byToken := g.openStream(t, transport, http.MethodGet, "/sse", nil, bearerHeader(token))
	wait(t, "request", app.came)
	g.must(http.MethodPost, "/wechat/users/set", `{"appid":"`+testApp+`","openid":"`+openIDA+`","user_id":"43"}`, &struct{}{})
	other := g.login(wechattest.User{OpenID: openIDB})
	g.post("/wechat/logout", "", bearerHeader(other)) // of somebody else; a sweep goes by
	for _, s := range []*stream{byTrip, byToken} {
		select {
		case err := <-s.body:
			t.Fatalf("a new name cut the stream: %v", err)
		default:
		}
	}
	if resp, _ := g.post("/wechat/logout", "", bearerHeader(token)); resp.StatusCode != http.StatusNoContent {
		t.Errorf("logout: %d", resp.StatusCode)
	}
	byTrip.wantCut(t, "session_ended")
	byToken.wantCut(t, "session_ended")
	wait(t, "the app's end", app.went)
	wait(t, "the app's end", app.went)
}
