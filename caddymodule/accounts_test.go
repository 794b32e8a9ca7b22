package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

const (
	mobileApp = "wx0000000000000003"
	pagesApp  = "wx0000000000000001"
)

// withAccounts adds accounts of other kinds than the Mini Program's.
func withAccounts(g *gatewayTest) {
	g.global += "app " + testApp + " " + testSecret + "\napp " + mobileApp + " " + testSecret + " mobile\napp " + pagesApp + " " + testSecret + " official_account\n"
	g.wechat.AddApp(mobileApp, testSecret)
	g.wechat.AddApp(pagesApp, testSecret)
}

// A mobile app sends the code of WeChat's SDK to the same route, and gets the same
// kind of token.
func TestMobileAppsLogIn(t *testing.T) {
	g := newGateway(t, withAccounts, withAdmin, withSite("wechat_auth {\napp "+mobileApp+" "+pagesApp+"\n}"))
	user := wechattest.User{AppID: mobileApp, OpenID: openIDA, UnionID: unionIDA, Scope: "snsapi_userinfo"}
	token := g.login(user) // of the one app that logs in so
	if _, seen := g.do(http.MethodGet, "/", "", bearerHeader(token)); seen != "openid="+openIDA+" unionid="+unionIDA+" appid="+mobileApp {
		t.Errorf("the app sees %s", seen)
	}
	code := freshCode()
	g.wechat.AddCode(code, user)
	body := `{"code":"` + code + `","appid":"` + mobileApp + `"}`
	if resp, answer := g.post("/wechat/login", body); resp.StatusCode != http.StatusOK ||
		strings.Contains(answer, wechattest.UserToken) || strings.Contains(answer, wechattest.RefreshToken) {
		t.Errorf("%d %s", resp.StatusCode, answer)
	}
	resp, answer := g.post("/wechat/login", body)
	wantRefusal(t, "again", resp, answer, 401, "code_used")

	code = freshCode()
	g.wechat.AddCode(code, wechattest.User{AppID: pagesApp, OpenID: openIDA})
	resp, answer = g.post("/wechat/login", `{"code":"`+code+`","appid":"`+pagesApp+`"}`)
	wantRefusal(t, "an account whose users come by their browser", resp, answer, 400, "invalid_request")
	code = freshCode()
	g.wechat.AddCode(code, wechattest.User{AppID: mobileApp, OpenID: openIDA, Snapshot: true})
	resp, answer = g.post("/wechat/login", `{"code":"`+code+`"}`)
	wantRefusal(t, "a snapshot user", resp, answer, 401, "snapshot_user")
	for _, query := range g.wechat.Queries() {
		if query.Get("code") == "" || query.Get("js_code") != "" {
			t.Errorf("WeChat saw %v", query)
		}
	}
	if got := g.metric(`caddy_wechat_auth_wechat_request_duration_seconds_count{app="` + mobileApp + `",endpoint="oauth2_access_token"}`); got != "3" {
		t.Errorf("%s calls are measured", got)
	}
}

func TestSiteWithoutPostedCodes(t *testing.T) {
	g := newGateway(t, withAccounts, withSite("wechat_auth {\napp "+pagesApp+"\n}"))
	resp, answer := g.post("/wechat/login", `{"code":"`+freshCode()+`"}`)
	wantRefusal(t, "no app", resp, answer, 400, "invalid_request")
	if g.wechat.Calls() != 0 {
		t.Error("WeChat was asked")
	}
}

func TestKindsWithoutAnAccessToken(t *testing.T) {
	global := "{\nadmin off\nauto_https off\nwechat {\napp " + testApp + " " + testSecret + "\napp " + mobileApp + " " + testSecret + " mobile\n}\n}\n:0 {\nbind 127.0.0.1\n"
	for line, want := range map[string]string{
		"wechat_api " + testApp:                   "",
		"wechat_api " + testApp + " " + mobileApp: mobileApp + " is of kind mobile",
	} {
		err := validate(t, global+line+"\n}\n")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", line, err)
		}
	}
	only := "{\nadmin off\nauto_https off\nwechat {\napp " + mobileApp + " " + testSecret + " mobile\n}\n}\n:0 {\nbind 127.0.0.1\nwechat_api\n}\n"
	if err := validate(t, only); err == nil || !strings.Contains(err.Error(), "is of kind mobile") {
		t.Errorf("the only one: %v", err)
	}
}

// A silent login of a page tells no unionid; of followers WeChat knows it.
func TestFollowersHaveAUnionID(t *testing.T) {
	g := newGateway(t, func(g *gatewayTest) {
		g.global += "app " + pagesApp + " " + testSecret + " official_account {\nunionid followers\n}\n"
		g.wechat.AddApp(pagesApp, testSecret)
		g.wechat.AddFollower(openIDA, unionIDA)
	})
	app := activeApp(t)
	for openID, want := range map[string]string{openIDA: unionIDA, openIDB: ""} {
		for range 2 {
			code := freshCode()
			g.wechat.AddCode(code, wechattest.User{AppID: pagesApp, OpenID: openID, Scope: "snsapi_base"})
			login := gateway.BrowserLogin{AppID: pagesApp, Scope: "snsapi_base", State: code, Code: code, Lifetime: time.Hour}
			if _, err := app.Gateway().LoginBrowser(t.Context(), login); err != nil {
				t.Fatal(err)
			}
			if record, err := app.Store().Sessions().User(t.Context(), pagesApp, openID); err != nil || record.UnionID != want {
				t.Errorf("%s: %+v, %v", openID, record, err)
			}
		}
	}
	if n := g.wechat.UserInfos(); n != 3 {
		t.Errorf("WeChat was asked %d times: once about who has a unionid then, each time about who has none", n)
	}
}
