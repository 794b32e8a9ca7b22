package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

// wrong is one of the numbers that the desktop does not show.
func (v scanView) wrong(right int) int {
	for _, number := range v.Numbers {
		if number != right {
			return number
		}
	}
	return 0
}

// A scan counts for the desktop that has its cookie, whole and unaltered, at its site,
// and for two minutes (K4); a page that is loaded again shows the same, another desktop
// something else.
func TestK4ScanIsBoundToItsDesktop(t *testing.T) {
	g := newGateway(t, withScan("", ""), func(g *gatewayTest) {
		g.servers, g.anyHost = "trusted_proxies static 127.0.0.0/8", true
	})
	token := g.loginTo(testApp, wechattest.User{OpenID: openIDA})
	desktop := g.surfer(userAgentDesktop)
	scene, number := desktop.openScan("/a")
	cookie := findCookie(desktop.set, "wechat_session_scan")
	if cookie != nil {
		t.Errorf("the picture sets %v", cookie)
	}
	if again, shown := desktop.openScan("/b"); again != scene || shown != number || len(g.wechat.CodeForms()) != 1 {
		t.Errorf("loaded again: %s %d, before %s %d; %d pictures", again, shown, scene, number, len(g.wechat.CodeForms()))
	}
	other := g.surfer(userAgentDesktop)
	if another, _ := other.openScan("/a"); another == scene {
		t.Error("two desktops share a scan")
	}
	if resp, body := g.approve(token, scene, number); resp.StatusCode != http.StatusOK {
		t.Fatalf("approve: %d %s", resp.StatusCode, body)
	}
	other.wantState("the other desktop", "waiting")

	good := desktop.cookies["wechat_session_scan"]
	flipped := []byte(good)
	flipped[60] ^= 1
	for what, header := range map[string]string{
		"none": "X-None: 1", "altered": "Cookie: wechat_session_scan=" + string(flipped), "cut": "Cookie: wechat_session_scan=" + good[:len(good)-2],
		"twice": "Cookie: wechat_session_scan=" + good + "; wechat_session_scan=" + good, "another name": "Cookie: __Host-wechat_session_scan=" + good,
		"a token": "Cookie: wechat_session_scan=" + token, "the scene": "Cookie: wechat_session_scan=" + scene,
	} {
		for _, path := range []string{"/wechat/scan/state", "/wechat/scan/code"} {
			method := http.MethodPost
			if strings.HasSuffix(path, "code") {
				method = http.MethodGet
			}
			resp, body := g.do(method, path, "", append([]string{header}, scripted...)...)
			wantRefused(t, what+" at "+path, resp, body, http.StatusGone, "scan_ended")
			if len(resp.Cookies()) > 0 {
				t.Errorf("%s at %s sets %v", what, path, resp.Cookies())
			}
		}
	}
	resp, body := desktop.send(http.MethodPost, "/wechat/scan/state", "", append([]string{"X-Forwarded-Host: other.example"}, scripted...)...)
	wantRefused(t, "another host", resp, body, http.StatusGone, "scan_ended")
	resp, body = desktop.send(
		http.MethodPost, "/wechat/scan/state", "", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty",
	)
	wantRefused(t, "another site", resp, body, http.StatusForbidden, "cross_site")
	if state, _, body := desktop.poll(); state != "done" || !strings.Contains(body, `"to":"/b"`) {
		t.Errorf("those tries ended it: %s", body)
	}
	resp, body = g.do(http.MethodPost, "/wechat/scan/state", "", append([]string{"Cookie: wechat_session_scan=" + good}, scripted...)...)
	wantRefused(t, "polled again at once", resp, body, http.StatusTooManyRequests, "rate_limited")
	if resp.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", resp.Header.Get("Retry-After"))
	}
	time.Sleep(pollPause)
	resp, body = g.do(http.MethodPost, "/wechat/scan/state", "", append([]string{"Cookie: wechat_session_scan=" + good}, scripted...)...)
	if strings.Contains(body, "done") || findCookie(resp.Cookies(), "wechat_session") != nil {
		t.Errorf("done twice: %d %s", resp.StatusCode, body)
	}
}

// Only a token of the code's own Mini Program has a say, and only one user (K4).
func TestK4SecondApproverEndsAScan(t *testing.T) {
	g := newGateway(t, withScan("", ""))
	token := g.loginTo(testApp, wechattest.User{OpenID: openIDA})
	second := g.loginTo(testApp, wechattest.User{OpenID: openIDB})
	foreign := g.loginTo(otherApp, wechattest.User{OpenID: openIDA})
	desktop := g.surfer(userAgentDesktop)
	scene, number := desktop.openScan("/a")

	resp, body := g.approve(foreign, scene, number)
	wantRefused(t, "another app's user", resp, body, http.StatusGone, "scan_ended")
	resp, body = g.approve(token, "AAAAAAAAAAAAAAAAAAAAAA", number)
	wantRefused(t, "an unknown scene", resp, body, http.StatusGone, "scan_ended")
	for _, sent := range []string{
		`{}`, `[]`, `{"scene":""}`, `{"scene":7,"number":1}`, `{"scene":"` + scene + `"}`, `{"scene":"` + scene + `","number":"x"}`,
		`{"scene":"` + scene + `","number":1.5}`, `{"scene":"` + scene[:21] + `","number":10}`, `{"scene":"` + scene + `","number":99999999999999999999}`,
	} {
		resp, body = g.post("/wechat/scan/approve", sent, bearerHeader(token))
		wantRefused(t, sent, resp, body, http.StatusBadRequest, "invalid_request")
	}
	resp, body = g.post("/wechat/scan/approve", fmt.Sprintf(`{"scene":%q,"number":%d}`, scene, number))
	wantRefused(t, "nobody", resp, body, http.StatusUnauthorized, "login_required")
	desktop.wantState("after all that", "waiting")

	if view, _, _ := g.describe(token, scene); len(view.Numbers) != 3 {
		t.Fatalf("describe: %v", view)
	}
	_, resp, body = g.describe(second, scene)
	wantRefused(t, "a second approver", resp, body, http.StatusGone, "scan_ended")
	resp, body = g.approve(token, scene, number)
	wantRefused(t, "the first one, after that", resp, body, http.StatusGone, "scan_ended")
	time.Sleep(pollPause)
	desktop.wantState("after a second approver", "denied")
	if fresh, _ := desktop.openScan("/a"); fresh == scene {
		t.Error("a scan that is over is shown again")
	}
}

// Who logs out, or is denied, before the desktop goes on lets nobody in (K4).
func TestK4ApproverWhoLogsOutLetsNobodyIn(t *testing.T) {
	g := newGateway(t, withScan("", ""))
	token := g.loginTo(testApp, wechattest.User{OpenID: openIDA})
	desktop := g.surfer(userAgentDesktop)
	scene, number := desktop.openScan("/a")
	if resp, body := g.approve(token, scene, number); resp.StatusCode != http.StatusOK {
		t.Fatalf("approve: %d %s", resp.StatusCode, body)
	}
	if resp, body := g.post("/wechat/logout", "", bearerHeader(token)); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("logout: %d %s", resp.StatusCode, body)
	}
	desktop.wantState("the approver has logged out", "denied")
	if desktop.sessionCookie() != "" {
		t.Error("the desktop is logged in")
	}
	_, resp, body := g.describe(token, scene)
	wantRefused(t, "describe after a logout", resp, body, http.StatusUnauthorized, "session_ended")
}

// One wrong number ends a scan, also of approvals that race (K12).
func TestK12WrongNumberEndsAScan(t *testing.T) {
	g := newGateway(t, withScan("", ""))
	token := g.loginTo(testApp, wechattest.User{OpenID: openIDA})
	desktop := g.surfer(userAgentDesktop)
	scene, number := desktop.openScan("/a")
	view, _, _ := g.describe(token, scene)
	resp, body := g.approve(token, scene, view.wrong(number))
	wantRefused(t, "a wrong number", resp, body, http.StatusForbidden, "scan_wrong_number")
	resp, body = g.approve(token, scene, number)
	wantRefused(t, "the right one after it", resp, body, http.StatusGone, "scan_ended")
	desktop.wantState("after a wrong number", "denied")

	for range 8 {
		token := g.loginTo(testApp, wechattest.User{OpenID: openIDA}) // desktops that get in end the user's oldest session
		desktop := g.surfer(userAgentDesktop)
		scene, number := desktop.openScan("/a")
		view, resp, body := g.describe(token, scene)
		if len(view.Numbers) != 3 {
			t.Fatalf("describe: %d %s", resp.StatusCode, body)
		}
		var mu sync.Mutex
		codes := make(map[string]int)
		var group sync.WaitGroup
		for i := range 9 {
			group.Go(func() {
				resp, body := g.approve(token, scene, view.Numbers[i%3])
				mu.Lock()
				defer mu.Unlock()
				codes[fmt.Sprint(resp.StatusCode, errorCode(body), i%3 == indexOf(view.Numbers, number))]++
			})
		}
		group.Wait()
		won, lost := codes["200true"]+codes["200 true"], codes["403scan_wrong_numberfalse"]+codes["403 scan_wrong_number false"]
		if won+lost != 1 {
			t.Fatalf("racing approvals: %v", codes)
		}
		want := "denied"
		if won == 1 {
			want = "done"
		}
		desktop.wantState("after a race", want)
	}
}

func indexOf(numbers []int, number int) int {
	for i, n := range numbers {
		if n == number {
			return i
		}
	}
	return -1
}

// Page loads ask WeChat nothing; pictures are drawn once for a desktop and count in
// login_limit (K11).
func TestK11PicturesAreLimited(t *testing.T) {
	g := newGateway(t, withScan("", ""), withGlobal("login_limit 5 1m"))
	for range 10_000 / 8 {
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if resp, _ := g.do(http.MethodGet, "/wechat/scan", "", append([]string{userAgentDesktop}, navigation...)...); resp.StatusCode != http.StatusOK {
					t.Errorf("page: %d", resp.StatusCode)
				}
			})
		}
		group.Wait()
	}
	if len(g.wechat.CodeForms()) > 0 || len(g.wechat.TokenForms()) > 0 {
		t.Fatalf("page loads made %d pictures", len(g.wechat.CodeForms()))
	}
	for i := range 6 {
		desktop := g.surfer(userAgentDesktop)
		desktop.load("/wechat/scan")
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				resp, body := g.do(http.MethodGet, "/wechat/scan/code", "", desktop.cookieHeader())
				if i == 5 {
					wantRefused(t, "one too many", resp, body, http.StatusTooManyRequests, "rate_limited")
				} else if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusTooManyRequests {
					t.Errorf("picture %d: %d %s", i, resp.StatusCode, body)
				}
			})
			if i < 5 {
				group.Wait() // those that come together count each
			}
		}
		group.Wait()
	}
	if drawn := len(g.wechat.CodeForms()); drawn != 5 {
		t.Errorf("%d pictures", drawn)
	}
}

// What WeChat answers in place of a picture is an error, and the next try draws it.
func TestScanPictureFails(t *testing.T) {
	g := newGateway(t, withScan("", ""))
	desktop := g.surfer(userAgentDesktop)
	desktop.load("/wechat/scan")
	code := func() (*http.Response, string) { return desktop.send(http.MethodGet, "/wechat/scan/code", "") }
	picture, _ := json.Marshal("no picture")
	token := wechattest.Answer{Body: `{"access_token":"access_token_of_` + testApp + `-0","expires_in":7200}`}
	g.wechat.Next(token, wechattest.Errcode(41030))
	resp, body := code()
	wantRefused(t, "a page that is not there", resp, body, http.StatusBadGateway, "wechat_error")
	g.wechat.Next(wechattest.Answer{Body: string(picture)})
	resp, body = code()
	wantRefused(t, "no picture", resp, body, http.StatusBadGateway, "wechat_error")
	g.wechat.Next(wechattest.Answer{Body: wechattest.Picture(strings.Repeat("x", 200<<10))})
	resp, body = code()
	wantRefused(t, "a picture too large", resp, body, http.StatusBadGateway, "wechat_error")
	g.wechat.Next(wechattest.Errcode(42001))
	if resp, body := code(); resp.StatusCode != http.StatusOK {
		t.Errorf("a token too old is replaced: %d %s", resp.StatusCode, body)
	}
}

// One scan over two nodes: the page is from the one, the picture, polls and approvals
// are at both, and there is one verdict and one session (K4, K12).
func TestK4OneScanAtTwoNodes(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	g := newGateway(t, withScan("", ""), withGlobal(redisGlobal(server, "")), func(g *gatewayTest) {
		g.servers, g.anyHost = "trusted_proxies static 127.0.0.0/8", true
	})
	token := g.loginTo(testApp, wechattest.User{OpenID: openIDA})
	front := []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example"}
	nodes := []*process{g.spawn(t.TempDir()), g.spawn(t.TempDir())}
	for round, answers := range []string{"right", "wrong", "both"} {
		resp, body := nodes[0].do(http.MethodGet, "/wechat/scan?to=/a", "", append(append(front, navigation...), userAgentDesktop)...)
		found, cookie := shownNumber.FindStringSubmatch(body), findCookie(resp.Cookies(), "__Host-wechat_session_scan")
		if found == nil || cookie == nil || !cookie.Secure {
			t.Fatalf("page: %d %v", resp.StatusCode, resp.Cookies())
		}
		number, _ := strconv.Atoi(found[1])
		kept := "Cookie: __Host-wechat_session_scan=" + cookie.Value
		picture := ""
		for i := range 4 { // also of a page that is loaded again
			resp, body := nodes[(i+1)%2].do(http.MethodGet, "/wechat/scan/code", "", append(front, kept)...)
			if resp.StatusCode != http.StatusOK || picture != "" && picture != body {
				t.Fatalf("picture: %d %s", resp.StatusCode, body)
			}
			picture = body
		}
		if drawn := len(g.wechat.CodeForms()); drawn != round+1 {
			t.Errorf("%d pictures for %d scans", drawn, round+1)
		}
		scene := strings.TrimPrefix(picture, wechattest.Picture(""))
		resp, body = nodes[1].do(
			http.MethodPost, "/wechat/scan/describe", fmt.Sprintf(`{"scene":%q}`, scene), "Content-Type: application/json",
			bearerHeader(token),
		)
		var view scanView
		if err := json.Unmarshal([]byte(body), &view); err != nil || len(view.Numbers) != 3 {
			t.Fatalf("describe: %d %s", resp.StatusCode, body)
		}
		var (
			group     sync.WaitGroup
			mu        sync.Mutex
			yes, lost int
		)
		for i := range 8 {
			sent := number
			if answers == "wrong" || answers == "both" && i%3 == 0 {
				sent = view.wrong(number)
			}
			group.Go(func() {
				resp, body := nodes[i%2].do(
					http.MethodPost, "/wechat/scan/approve", fmt.Sprintf(`{"scene":%q,"number":%d}`, scene, sent),
					"Content-Type: application/json", bearerHeader(token),
				)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case resp.StatusCode == http.StatusOK:
					yes++
				case errorCode(body) == "scan_wrong_number":
					lost++
				default:
					wantRefused(t, "a late approval", resp, body, http.StatusGone, "scan_ended")
				}
			})
		}
		group.Wait()
		if yes+lost != 1 || answers == "right" && yes == 0 || answers == "wrong" && lost == 0 {
			t.Errorf("%s: %d approved, %d wrong", answers, yes, lost)
		}
		states := make(map[string]int)
		for i := range 2 {
			group.Go(func() {
				resp, body := nodes[i].do(http.MethodPost, "/wechat/scan/state", "", append(append(front, scripted...), kept)...)
				var said struct{ State string }
				_ = json.Unmarshal([]byte(body), &said)
				if set := findCookie(resp.Cookies(), "__Host-wechat_session"); (set != nil) != (said.State == "done") {
					t.Errorf("%s sets %v", body, resp.Cookies())
				}
				mu.Lock()
				defer mu.Unlock()
				states[said.State]++
			})
		}
		group.Wait()
		if states["done"] != yes || yes == 0 && states["denied"] != 2 {
			t.Errorf("%s: %v", answers, states)
		}
	}
}
