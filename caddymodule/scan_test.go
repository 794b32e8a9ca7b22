package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

const scanPage = "pages/scan/scan"

// withScan is a site of a Mini Program that logs desktops in, with more options of
// wechat_auth and of browser.
func withScan(options, browser string) func(*gatewayTest) {
	return func(g *gatewayTest) {
		g.wechat.AddApp(otherApp, testSecret)
		g.global += fmt.Sprintf("app %s %s\napp %s %s\n", testApp, testSecret, otherApp, testSecret)
		g.site = fmt.Sprintf(
			"wechat_auth {\napp %s %s\n%s\nbrowser {\nscan %s %s\n%s\n}\n}", testApp, otherApp, options, testApp, scanPage, browser,
		)
	}
}

var shownNumber = regexp.MustCompile(`id="number">([0-9]{2})<`)

// openScan loads the page and its picture, and returns the scene that the code says
// and the number that the page shows.
func (s *surfer) openScan(to string) (scene string, number int) {
	s.g.t.Helper()
	resp, body := s.load("/wechat/scan?to=" + to)
	found := shownNumber.FindStringSubmatch(body)
	if resp.StatusCode != http.StatusOK || found == nil {
		s.g.t.Fatalf("scan: %d %s", resp.StatusCode, body)
	}
	number, _ = strconv.Atoi(found[1])
	resp, picture := s.send(
		http.MethodGet, "/wechat/scan/code", "", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image", "Sec-Fetch-Site: same-origin",
	)
	scene, isPicture := strings.CutPrefix(picture, wechattest.Picture(""))
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "image/jpeg" ||
		resp.Header.Get("Cache-Control") != "no-store" || !isPicture || len(scene) != 22 {
		s.g.t.Fatalf("code: %d %v %q", resp.StatusCode, resp.Header, picture)
	}
	return scene, number
}

// poll asks how far the scan is.
func (s *surfer) poll() (state string, resp *http.Response, body string) {
	s.g.t.Helper()
	resp, body = s.send(http.MethodPost, "/wechat/scan/state", "", scripted...)
	var said struct{ State string }
	_ = json.Unmarshal([]byte(body), &said)
	return said.State, resp, body
}

func (s *surfer) wantState(what, want string) {
	s.g.t.Helper()
	if state, resp, body := s.poll(); state != want || resp.StatusCode != http.StatusOK {
		s.g.t.Errorf("%s: %d %s, want %s", what, resp.StatusCode, body, want)
	}
}

type scanView struct {
	Numbers     []int  `json:"numbers"`
	Browser     string `json:"browser"`
	SameNetwork bool   `json:"same_network"`
	ExpiresIn   int    `json:"expires_in"`
}

func (g *gatewayTest) describe(token, scene string) (scanView, *http.Response, string) {
	g.t.Helper()
	resp, body := g.post("/wechat/scan/describe", fmt.Sprintf(`{"scene":%q}`, scene), bearerHeader(token))
	var view scanView
	_ = json.Unmarshal([]byte(body), &view)
	return view, resp, body
}

func (g *gatewayTest) approve(token, scene string, number int) (*http.Response, string) {
	g.t.Helper()
	return g.post("/wechat/scan/approve", fmt.Sprintf(`{"scene":%q,"number":%d}`, scene, number), bearerHeader(token))
}

func wantRefused(t *testing.T, what string, resp *http.Response, body string, status int, code string) {
	t.Helper()
	if resp.StatusCode != status || errorCode(body) != code || resp.Header.Get("X-WeChat-Gateway") != code {
		t.Errorf("%s: %d %q %s, want %d %s", what, resp.StatusCode, resp.Header.Get("X-WeChat-Gateway"), body, status, code)
	}
}

// loginTo is login on a site with several Mini Programs.
func (g *gatewayTest) loginTo(appID string, user wechattest.User) string {
	g.t.Helper()
	code := freshCode()
	user.AppID = appID
	g.wechat.AddCode(code, user)
	resp, body := g.post("/wechat/login", fmt.Sprintf(`{"code":%q,"appid":%q}`, code, appID))
	if resp.StatusCode != http.StatusOK {
		g.t.Fatalf("login: %d %s", resp.StatusCode, body)
	}
	return grantOf(g.t, body).Token
}

// pollPause is how long a desktop must wait; the harness has no other clock.
const pollPause = time.Second

// A desktop that loads a page is shown the code, and goes on to the page once a user of
// the Mini Program has picked its number.
func TestScanLogsADesktopIn(t *testing.T) {
	g := newGateway(t, withScan("", ""))
	token := g.loginTo(testApp, wechattest.User{OpenID: openIDA, UnionID: unionIDA})
	desktop := g.surfer(userAgentDesktop)
	resp, _ := desktop.load("/orders?id=7")
	if location := resp.Header.Get("Location"); resp.StatusCode != http.StatusFound || location != "/wechat/authorize?to=%2Forders%3Fid%3D7" {
		t.Fatalf("challenge: %d %v", resp.StatusCode, resp.Header)
	}
	resp, _ = desktop.load(resp.Header.Get("Location"))
	if location := resp.Header.Get("Location"); resp.StatusCode != http.StatusFound || location != "/wechat/scan?to=%2Forders%3Fid%3D7" {
		t.Fatalf("authorize: %d %v", resp.StatusCode, resp.Header)
	}
	scene, number := desktop.openScan("%2Forders%3Fid%3D7")
	if forms := g.wechat.CodeForms(); len(forms) != 1 || forms[0].Page != scanPage || forms[0].EnvVersion != "release" ||
		forms[0].CheckPath == nil || !*forms[0].CheckPath {
		t.Errorf("WeChat was asked %+v", forms)
	}
	desktop.cookies["wechat_session_out"] = "mark"
	desktop.wantState("before", "waiting")
	view, resp, body := g.describe(token, scene)
	if resp.StatusCode != http.StatusOK || view.Browser != "Firefox, Linux" || !view.SameNetwork || view.ExpiresIn < 110 ||
		view.ExpiresIn > 120 || len(view.Numbers) != 3 {
		t.Fatalf("describe: %d %s", resp.StatusCode, body)
	}
	if again, _, _ := g.describe(token, scene); fmt.Sprint(again.Numbers) != fmt.Sprint(view.Numbers) ||
		!strings.Contains(fmt.Sprint(view.Numbers), strconv.Itoa(number)) {
		t.Errorf("numbers %v, then %v; the desktop shows %d", view.Numbers, again.Numbers, number)
	}
	time.Sleep(pollPause)
	desktop.wantState("seen", "seen")
	if resp, body := g.approve(token, scene, number); resp.StatusCode != http.StatusOK {
		t.Fatalf("approve: %d %s", resp.StatusCode, body)
	}
	time.Sleep(pollPause)
	state, resp, body := desktop.poll()
	cookie := findCookie(resp.Cookies(), "wechat_session")
	if state != "done" || !strings.Contains(body, `"to":"/orders?id=7"`) || cookie == nil || !cookie.HttpOnly || cookie.MaxAge < 86390 ||
		desktop.cookies["wechat_session_out"] != "" || desktop.cookies["wechat_session_scan"] != "" {
		t.Fatalf("done: %d %v %s", resp.StatusCode, resp.Header, body)
	}
	resp, body = desktop.load("/orders?id=7")
	g.wantPassed(resp, body, openIDA)
	list, err := activeApp(t).Store().Sessions().User(t.Context(), testApp, openIDA)
	if err != nil || len(list.Sessions) != 2 || list.Sessions[1].Kind != "scan" || list.UnionID != unionIDA {
		t.Errorf("sessions %+v %v", list, err)
	}
	if resp, body := g.approve(token, scene, number); errorCode(body) != "scan_ended" {
		t.Errorf("approved twice: %d %s", resp.StatusCode, body)
	}
}
