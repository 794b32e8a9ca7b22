package caddymodule_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

const (
	officialApp = "wx2222222222222222"
	websiteApp  = "wx3333333333333333"

	userAgentWeChat  = "User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 MicroMessenger/8.0.50(0x18003237) NetType/WIFI Language/zh_CN"
	userAgentDesktop = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
	userAgentPhone   = "User-Agent: Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/131.0.0.0 Mobile Safari/537.36"
	userAgentWebView = userAgentWeChat + " miniProgram/" + testApp
)

// withBrowsers adds an official account and a website to the Mini Program. Options
// of wechat_auth go into its block, and the rest of the site behind it.
func withBrowsers(options, rest string) func(*gatewayTest) {
	return func(g *gatewayTest) {
		g.wechat.AddApp(officialApp, testSecret)
		g.wechat.AddApp(websiteApp, testSecret)
		g.global += fmt.Sprintf("app %s %s\napp %s %s official_account\napp %s %s website\n",
			testApp, testSecret, officialApp, testSecret, websiteApp, testSecret)
		g.site = fmt.Sprintf("wechat_auth {\napp %s %s %s\n%s\n}\n%s", testApp, officialApp, websiteApp, options, rest)
	}
}

// surfer is a browser: it keeps cookies and says what browsers say.
type surfer struct {
	g       *gatewayTest
	agent   string
	cookies map[string]string
	set     []*http.Cookie // by the last answer
}

func (g *gatewayTest) surfer(agent string) *surfer {
	return &surfer{g: g, agent: agent, cookies: make(map[string]string)}
}

// cookieHeader is what the browser sends.
func (s *surfer) cookieHeader() string {
	var pairs []string
	for name, value := range s.cookies {
		pairs = append(pairs, name+"="+value)
	}
	slices.Sort(pairs)
	return "Cookie: " + strings.Join(pairs, "; ")
}

// send sends a request with the browser's cookies and takes those of the answer.
func (s *surfer) send(method, path, body string, headers ...string) (*http.Response, string) {
	s.g.t.Helper()
	headers = append([]string{s.agent}, headers...)
	if len(s.cookies) > 0 {
		headers = append(headers, s.cookieHeader())
	}
	resp, text := s.g.do(method, path, body, headers...)
	s.set = resp.Cookies()
	for _, cookie := range s.set {
		if cookie.MaxAge < 0 {
			delete(s.cookies, cookie.Name)
			continue
		}
		s.cookies[cookie.Name] = cookie.Value
	}
	return resp, text
}

// Headers of requests as browsers send them over https or to loopback.
var (
	navigation = []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: none", "Accept: text/html,*/*;q=0.8"}
	fromAfar   = []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: cross-site", "Accept: text/html,*/*;q=0.8"}
	scripted   = []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Sec-Fetch-Site: same-origin", "Accept: text/html, */*"}
	ownForm    = []string{
		"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-origin", "Accept: text/html",
		"Content-Type: application/x-www-form-urlencoded",
	}
)

// load loads a page.
func (s *surfer) load(path string) (*http.Response, string) {
	s.g.t.Helper()
	return s.send(http.MethodGet, path, "", navigation...)
}

// toWeChat loads a page that needs a login, and returns the address of WeChat that
// the browser ends up at.
func (s *surfer) toWeChat(path string) *url.URL {
	s.g.t.Helper()
	resp, body := s.load(path)
	for range 2 {
		if resp.StatusCode != http.StatusFound {
			s.g.t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
		}
		location, err := url.Parse(resp.Header.Get("Location"))
		if err != nil {
			s.g.t.Fatal(err)
		}
		if location.Host != "" {
			return location
		}
		resp, body = s.load(location.String())
	}
	s.g.t.Fatalf("%s: never sent to WeChat", path)
	return nil
}

// callback is the path that WeChat sends the browser back to, with a code for a user.
func (s *surfer) callback(wechat *url.URL, code string) string {
	s.g.t.Helper()
	back, err := url.Parse(wechat.Query().Get("redirect_uri"))
	if err != nil {
		s.g.t.Fatal(err)
	}
	query := back.Query()
	if code != "" {
		query.Set("code", code)
	}
	query.Set("state", wechat.Query().Get("state"))
	back.RawQuery = query.Encode()
	return back.RequestURI()
}

// code is a fresh code for a user of the account that WeChat was asked for.
func (s *surfer) code(wechat *url.URL, user wechattest.User) string {
	code := freshCode()
	user.AppID = wechat.Query().Get("appid")
	user.Scope = wechat.Query().Get("scope")
	s.g.wechat.AddCode(code, user)
	return code
}

// logIn goes all the way, and returns the answer of the callback.
func (s *surfer) logIn(path string, user wechattest.User) *http.Response {
	s.g.t.Helper()
	wechat := s.toWeChat(path)
	resp, body := s.load(s.callback(wechat, s.code(wechat, user)))
	if resp.StatusCode != http.StatusSeeOther {
		s.g.t.Fatalf("callback: %d %s", resp.StatusCode, body)
	}
	return resp
}

// sessionCookie is the one over http.
func (s *surfer) sessionCookie() string { return s.cookies["wechat_session"] }

// wantPage checks for a page with a status and a code.
func wantPage(t *testing.T, resp *http.Response, body string, status int, code string) {
	t.Helper()
	if resp.StatusCode != status || resp.Header.Get("X-WeChat-Gateway") != code || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") ||
		!strings.Contains(resp.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") || !strings.HasPrefix(body, "<!DOCTYPE html>") {
		t.Errorf(
			"got %d %q %q, want a page with %d %s:\n%.300s", resp.StatusCode, resp.Header.Get("X-WeChat-Gateway"),
			resp.Header.Get("Content-Type"), status, code, body,
		)
	}
}

// wantPassed checks that the last request reached the app with this user.
func (g *gatewayTest) wantPassed(resp *http.Response, body, openID string) {
	g.t.Helper()
	seen := g.app.requests()
	if resp.StatusCode != http.StatusOK || len(seen) != 1 || seen[0].Header.Get("X-OpenID") != openID {
		g.t.Errorf("got %d %.200s; the app saw %+v, want openid %q", resp.StatusCode, body, seen, openID)
	}
}
