package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

// ticket returns the path, with its query, that a web-view opens to get to a page.
func (g *gatewayTest) ticket(token, to string, headers ...string) string {
	g.t.Helper()
	resp, body := g.post("/wechat/ticket", fmt.Sprintf(`{"to":%q}`, to), append(headers, bearerHeader(token))...)
	var answer struct {
		URL       string `json:"url"`
		ExpiresIn int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || resp.StatusCode != http.StatusOK || answer.ExpiresIn < 59 ||
		answer.ExpiresIn > 60 {
		g.t.Fatalf("ticket: %d %s %v", resp.StatusCode, body, err)
	}
	enter, err := url.Parse(answer.URL)
	if err != nil || enter.Path != "/wechat/enter" || enter.Host == "" || strings.Contains(answer.URL, openIDA) {
		g.t.Fatalf("url %s %v", answer.URL, err)
	}
	return enter.RequestURI()
}

func wantTicketRefused(t *testing.T, what string, resp *http.Response, body string) {
	t.Helper()
	if resp.StatusCode != http.StatusGone || resp.Header.Get("X-WeChat-Gateway") != "ticket_refused" || len(resp.Cookies()) > 0 {
		t.Errorf("%s: %d %q %v %.200s", what, resp.StatusCode, resp.Header.Get("X-WeChat-Gateway"), resp.Cookies(), body)
	}
}

// The page in the web-view has the session of the Mini Program: one logout ends both,
// whichever side it is on. It works also where no browser can log in by itself.
func TestWebViewHasTheSessionOfItsMiniProgram(t *testing.T) {
	g := newGateway(t)
	for _, side := range []string{"page", "Mini Program"} {
		token := g.login(wechattest.User{OpenID: openIDA, UnionID: unionIDA})
		page := g.surfer(userAgentWebView)
		page.cookies["wechat_session_out"] = "mark"
		resp, body := page.load(g.ticket(token, "/orders?id=7#top"))
		cookie := findCookie(resp.Cookies(), "wechat_session")
		if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/orders?id=7#top" || resp.Header.Get("Referrer-Policy") != "no-referrer" ||
			resp.Header.Get("Cache-Control") != "no-store" || cookie == nil || !cookie.HttpOnly || cookie.MaxAge < 86390 || cookie.MaxAge > 86400 || page.cookies["wechat_session_out"] != "" {
			t.Fatalf("enter: %d %v %s", resp.StatusCode, resp.Header, body)
		}
		resp, body = page.load("/orders?id=7")
		if vary := strings.Join(resp.Header["Vary"], ","); !strings.Contains(vary, "Cookie") || resp.Header.Get("Cache-Control") != "private" {
			t.Errorf("Vary %q, Cache-Control %q", vary, resp.Header.Get("Cache-Control"))
		}
		g.wantPassed(resp, body, openIDA)
		if side == "page" {
			resp, body = page.send(http.MethodPost, "/wechat/logout", "", scripted...)
		} else {
			resp, body = g.post("/wechat/logout", "", bearerHeader(token))
		}
		if resp.StatusCode != http.StatusNoContent {
			t.Fatalf("logout of the %s: %d %s", side, resp.StatusCode, body)
		}
		for what, credential := range map[string]string{"token": bearerHeader(token), "cookie": "Cookie: wechat_session=" + cookie.Value} {
			if resp, body := g.do(http.MethodGet, "/orders", "", credential); errorCode(body) != "session_ended" {
				t.Errorf("%s after a logout of the %s: %d %s", what, side, resp.StatusCode, body)
			}
		}
		if resp, body := g.post("/wechat/ticket", `{"to":"/"}`, bearerHeader(token)); errorCode(body) != "session_ended" {
			t.Errorf("a ticket of an ended session: %d %s", resp.StatusCode, body)
		}
	}
}

// A ticket opens once, at its site, while its session lives (K1); a reload by the
// browser that has the session goes on.
func TestK1TicketIsUsedOnce(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""), func(g *gatewayTest) {
		g.servers, g.anyHost = "trusted_proxies static 127.0.0.0/8", true
	})
	token := g.login(wechattest.User{OpenID: openIDA})
	enter := g.ticket(token, "/a")
	first := g.surfer(userAgentWebView)
	if resp, body := first.load(enter); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	if resp, body := first.load(enter); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/a" || len(first.set) > 0 {
		t.Errorf("reload: %d %v %s", resp.StatusCode, resp.Header, body)
	}
	second := g.surfer(userAgentWebView)
	resp, body := second.load(enter)
	wantTicketRefused(t, "used before", resp, body)
	wantPage(t, resp, body, http.StatusGone, "ticket_refused")

	fresh := g.ticket(token, "/a")
	_, text, _ := strings.Cut(fresh, "?t=")
	flipped := []byte(text)
	flipped[40] ^= 1
	signed := g.signURL(token, "/a")
	for what, path := range map[string]string{
		"altered": "/wechat/enter?t=" + string(flipped), "cut": "/wechat/enter?t=" + text[:len(text)-1], "none": "/wechat/enter", "empty": "/wechat/enter?t=",
		"twice": fresh + "&t=" + text, "a signature": "/wechat/enter?t=" + signed[strings.LastIndex(signed, "=")+1:], "a token": "/wechat/enter?t=" + token,
		"long": "/wechat/enter?t=" + strings.Repeat("A", 9000),
	} {
		resp, got := g.surfer(userAgentWebView).load(path)
		wantTicketRefused(t, what, resp, got)
		if got != body {
			t.Errorf("%s looks other than a used one", what)
		}
	}
	other := g.surfer(userAgentWebView)
	resp, got := other.send(http.MethodGet, fresh, "", append([]string{"X-Forwarded-Host: other.example"}, navigation...)...)
	wantTicketRefused(t, "another host", resp, got)
	if resp, got := g.surfer(userAgentWebView).load(fresh); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("those tries used it up: %d %s", resp.StatusCode, got)
	}

	dies := g.ticket(token, "/a")
	g.post("/wechat/logout", "", bearerHeader(token))
	resp, got = g.surfer(userAgentWebView).load(dies)
	wantTicketRefused(t, "of an ended session", resp, got)
}

// Scanners, previews, links in chats and other apps use nothing up (K8); another
// program's web-view gets nothing (K2).
func TestK8OnlyAWebViewUsesATicketUp(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	token := g.login(wechattest.User{OpenID: openIDA})
	enter := g.ticket(token, "/a")
	for what, agent := range map[string]string{
		"a desktop": userAgentDesktop, "a phone": userAgentPhone, "WeChat itself": userAgentWeChat, "curl": "User-Agent: curl/8.5.0",
		"another program": userAgentWeChat + " miniProgram/" + otherApp,
	} {
		resp, body := g.surfer(agent).load(enter)
		wantTicketRefused(t, what, resp, body)
	}
	for what, headers := range map[string][]string{
		"a prefetch": append([]string{"Sec-Purpose: prefetch"}, navigation...), "a frame": {"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"},
		"a script": scripted, "no page load": {"Accept: */*"},
	} {
		resp, body := g.surfer(userAgentWebView).send(http.MethodGet, enter, "", headers...)
		wantTicketRefused(t, what, resp, body)
	}
	for _, method := range []string{http.MethodHead, http.MethodPut, http.MethodOptions} {
		if resp, _ := g.surfer(userAgentWebView).send(method, enter, "", navigation...); resp.StatusCode != http.StatusMethodNotAllowed ||
			resp.Header.Get("Allow") != "GET, POST" {
			t.Errorf("%s: %d %q", method, resp.StatusCode, resp.Header.Get("Allow"))
		}
	}
	// The developer tools and older programs name no AppID.
	if resp, body := g.surfer(userAgentWeChat + " miniProgram").load(enter); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("used up by others: %d %s", resp.StatusCode, body)
	}
}

// Whoever gets a ticket of his own into somebody's web-view logs him in as himself
// (K2): he is asked first, and only the page that asks can go on.
func TestK2AnotherPersonIsAskedFirst(t *testing.T) {
	g := newGateway(t)
	first := g.login(wechattest.User{OpenID: openIDA})
	page := g.surfer(userAgentWebView)
	page.load(g.ticket(first, "/"))
	mine := page.sessionCookie()
	second := g.login(wechattest.User{OpenID: openIDB})
	enter := g.ticket(second, "/b")
	_, text, _ := strings.Cut(enter, "?t=")
	resp, body := page.load(enter)
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, `<form method="post" action="/wechat/enter">`) || !strings.Contains(body, text) || len(page.set) > 0 ||
		resp.Header.Get("X-WeChat-Gateway") != "" || resp.Header.Get("Referrer-Policy") != "strict-origin" {
		t.Fatalf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
	form := []string{"Content-Type: application/x-www-form-urlencoded", "Accept: text/html"}
	for what, headers := range map[string][]string{
		"says nothing":    form,
		"another site":    append([]string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, form...),
		"a sibling":       append([]string{"Sec-Fetch-Site: same-site", "Origin: http://evil." + g.addr}, form...),
		"another origin":  append([]string{"Origin: http://evil.example"}, form...),
		"nobody's origin": append([]string{"Origin: null"}, form...),
	} {
		if resp, body := page.send(http.MethodPost, "/wechat/enter", "t="+text, headers...); resp.StatusCode != http.StatusForbidden ||
			resp.Header.Get("X-WeChat-Gateway") != "cross_site" || len(page.set) > 0 {
			t.Errorf("%s: %d %s", what, resp.StatusCode, body)
		}
	}
	// A browser of long ago says no more than the origin.
	resp, body = page.send(http.MethodPost, "/wechat/enter", "t="+text, append([]string{"Origin: http://" + g.addr}, form...)...)
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/b" || page.sessionCookie() == mine {
		t.Fatalf("form: %d %v %s", resp.StatusCode, resp.Header, body)
	}
	resp, body = page.load("/b")
	g.wantPassed(resp, body, openIDB)
	if resp, body := g.do(http.MethodGet, "/", "", "Cookie: wechat_session="+mine); errorCode(body) != "session_ended" {
		t.Errorf("the session before: %d %s", resp.StatusCode, body)
	}
	// The same person with a new session is not asked, and neither is one with nothing.
	again := g.login(wechattest.User{OpenID: openIDB})
	if resp, body := page.load(g.ticket(again, "/b")); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("the same person: %d %s", resp.StatusCode, body)
	}
	resp, body = page.send(http.MethodPost, "/wechat/enter", "t="+text, ownForm...)
	wantTicketRefused(t, "the form again", resp, body)
}

func TestTicketRefusesWhatIsNoRequest(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	token := g.login(wechattest.User{OpenID: openIDA})
	s := g.surfer(userAgentWeChat)
	s.logIn("/", pageUser)
	for what, test := range map[string]struct {
		body    string
		headers []string
		status  int
	}{
		"nobody":         {`{"to":"/"}`, nil, 401},
		"a cookie":       {`{"to":"/"}`, []string{s.cookieHeader(), "Sec-Fetch-Site: same-origin"}, 400},
		"no JSON":        {`to=/`, []string{bearerHeader(token)}, 400},
		"a number":       {`{"to":1}`, []string{bearerHeader(token)}, 400},
		"twice":          {`{"to":"/a","to":"/b"}`, []string{bearerHeader(token)}, 400},
		"a large body":   {`{"to":"/` + strings.Repeat("a", 5000) + `"}`, []string{bearerHeader(token)}, 413},
		"an empty place": {`{"to":""}`, []string{bearerHeader(token)}, 400},
	} {
		if resp, body := g.post("/wechat/ticket", test.body, test.headers...); resp.StatusCode != test.status || len(resp.Cookies()) > 0 {
			t.Errorf("%s: %d %s, want %d", what, resp.StatusCode, body, test.status)
		}
	}
	for _, to := range []string{"//evil.example", "https://evil.example/", `/\evil.example`, "/wechat/logout", "/%2f/evil.example"} {
		if resp, body := g.surfer(userAgentWebView).load(g.ticket(token, to)); resp.StatusCode != http.StatusSeeOther ||
			resp.Header.Get("Location") != "/" {
			t.Errorf("%s leads to %q: %d %s", to, resp.Header.Get("Location"), resp.StatusCode, body)
		}
	}
}

// Sixteen web-views at two nodes race for one ticket: one gets in (K1). The session is
// the same at both, and a logout ends it everywhere.
func TestK1OneTicketAtTwoNodes(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	g := newGateway(t, withGlobal(redisGlobal(server, "")), func(g *gatewayTest) {
		g.servers, g.anyHost = "trusted_proxies static 127.0.0.0/8", true
	})
	token := g.login(wechattest.User{OpenID: openIDA})
	front := []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example"}
	one, two := g.spawn(t.TempDir()), g.spawn(t.TempDir())
	enter := one.ticket(token, "/a", front...)
	var (
		group  sync.WaitGroup
		mu     sync.Mutex
		cookie string
		lucky  int
	)
	for i := range 16 {
		node := []*process{one, two}[i%2]
		group.Go(func() {
			resp, body := node.do(http.MethodGet, enter, "", append(append(front, navigation...), userAgentWebView)...)
			mu.Lock()
			defer mu.Unlock()
			if set := findCookie(resp.Cookies(), "__Host-wechat_session"); resp.StatusCode == http.StatusSeeOther && set != nil {
				cookie = set.Value
				lucky++
				return
			}
			wantTicketRefused(t, "a late one", resp, body)
		})
	}
	group.Wait()
	if lucky != 1 {
		t.Fatalf("%d got in", lucky)
	}
	session := "Cookie: __Host-wechat_session=" + cookie
	for _, node := range []*process{one, two} {
		if resp, body := node.do(http.MethodGet, "/", "", append(front, session)...); resp.StatusCode != http.StatusOK ||
			!strings.Contains(body, "openid="+openIDA) {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
	}
	if resp, body := two.do(http.MethodPost, "/wechat/logout", "", bearerHeader(token)); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	eventually(t, "the page is logged out at the other node", func() bool {
		_, body := one.do(http.MethodGet, "/", "", append(front, session)...)
		return errorCode(body) == "session_ended"
	})
}
