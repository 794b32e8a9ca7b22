package caddymodule_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

// withAdmin switches the admin endpoint on.
func withAdmin(g *gatewayTest) { g.admin = freeAddr(g.t) }

// operate calls the admin endpoint.
func (g *gatewayTest) operate(method, path, body string) (int, string) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, "http://"+g.admin+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	resp, err := testClient.Do(req)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		// The endpoint of the configuration before may accept once more while it closes,
		// a moment after a load, and answers nothing.
		req.Body, _ = req.GetBody()
		resp, err = testClient.Do(req)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	for name, secret := range map[string]string{"session_key": wechattest.SessionKey, "AppSecret": testSecret} {
		if strings.Contains(string(answer), secret) {
			g.t.Errorf("%s %s shows the %s", method, path, name)
		}
	}
	return resp.StatusCode, string(answer)
}

// must calls the admin endpoint and decodes its answer.
func (g *gatewayTest) must(method, path, body string, into any) {
	g.t.Helper()
	status, answer := g.operate(method, path, body)
	if status != http.StatusOK {
		g.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	if err := json.Unmarshal([]byte(answer), into); err != nil {
		g.t.Fatalf("%s %s: %v: %s", method, path, err, answer)
	}
}

type listed struct {
	Sessions []struct {
		ID          string    `json:"session_id"`
		Began, Ends time.Time // of each session
	}
	DeniedUntil time.Time `json:"denied_until"`
}

const (
	targetA = `{"appid":"` + testApp + `","openid":"` + openIDA + `"}`
	wholeA  = `{"appid":"` + testApp + `"}`
)

func wantCode(t *testing.T, what string, status int, body, code string, wantStatus int) {
	t.Helper()
	if status != wantStatus || code != "" && errorCode(body) != code {
		t.Errorf("%s: %d %s, want %d %s", what, status, body, wantStatus, code)
	}
}

func (g *gatewayTest) wantToken(token, code string, status int) {
	g.t.Helper()
	resp, body := g.do(http.MethodGet, "/", "", bearerHeader(token))
	wantCode(g.t, "token", resp.StatusCode, body, code, status)
}

func TestOperatorListsAndEndsSessions(t *testing.T) {
	g := newGateway(t, withAdmin)
	one, two := g.login(userA), g.login(userA)
	other := g.login(wechattest.User{OpenID: openIDB})
	var list listed
	g.must(http.MethodPost, "/wechat/sessions/list", targetA, &list)
	if len(list.Sessions) != 2 || list.Sessions[0].ID == "" || !list.Sessions[0].Ends.After(list.Sessions[0].Began) {
		t.Fatalf("sessions %+v", list)
	}
	var ended struct{ Ended int }
	g.must(http.MethodPost, "/wechat/sessions/end", strings.Replace(targetA, "}", `,"session_id":"`+list.Sessions[0].ID+`"}`, 1), &ended)
	if ended.Ended != 1 {
		t.Errorf("one session: ended %d", ended.Ended)
	}
	g.wantToken(one, "session_ended", 401)
	g.wantToken(two, "", 200)
	g.must(http.MethodPost, "/wechat/sessions/end", targetA, &ended)
	g.wantToken(two, "session_ended", 401)
	g.wantToken(other, "", 200)
	g.must(http.MethodPost, "/wechat/sessions/end", wholeA, &ended)
	if ended.Ended != 1 {
		t.Errorf("the app: ended %d", ended.Ended)
	}
	g.wantToken(other, "session_ended", 401)
}

func TestOperatorDeniesAndAllowsAUser(t *testing.T) {
	g := newGateway(t, withAdmin)
	token := g.login(userA)
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	var denied struct {
		Ended       int
		DeniedUntil time.Time `json:"denied_until"`
	}
	g.must(http.MethodPost, "/wechat/users/deny", strings.Replace(targetA, "}", `,"until":"`+until.Format(time.RFC3339)+`"}`, 1), &denied)
	if denied.Ended != 1 || !denied.DeniedUntil.Equal(until) {
		t.Errorf("denied %+v", denied)
	}
	g.wantToken(token, "session_ended", 401)
	code := freshCode()
	g.wechat.AddCode(code, userA)
	resp, body := g.post("/wechat/login", `{"code":"`+code+`"}`)
	wantCode(t, "login of a denied user", resp.StatusCode, body, "user_blocked", 403)
	var list listed
	g.must(http.MethodPost, "/wechat/sessions/list", targetA, &list)
	if !list.DeniedUntil.Equal(until) || len(list.Sessions) != 0 {
		t.Errorf("list %+v", list)
	}
	if err := load(g.caddyfile()); err != nil { // a reload forgets nothing
		t.Fatal(err)
	}
	code = freshCode()
	g.wechat.AddCode(code, userA)
	resp, body = g.post("/wechat/login", `{"code":"`+code+`"}`)
	wantCode(t, "login after a reload", resp.StatusCode, body, "user_blocked", 403)
	g.must(http.MethodPost, "/wechat/users/allow", targetA, &struct{}{})
	g.wantToken(g.login(userA), "", 200)
}

func TestOperatorDropsASigningKey(t *testing.T) {
	for name, global := range map[string]string{
		"in storage": "", "configured": "signing_key " + testKey + " AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, withAdmin, withGlobal(global))
			token := g.login(userA)
			g.wantToken(token, "", 200)
			var status struct{ Keys []statusKey }
			g.must(http.MethodGet, "/wechat/status", "", &status)
			if !status.Keys[0].Signs || (status.Keys[0].Made == nil) != (global != "") {
				t.Fatalf("keys %+v", status.Keys)
			}
			leaked := status.Keys[0].ID
			g.must(http.MethodDelete, "/wechat/keys/"+leaked, "", &status)
			g.wantToken(token, "login_required", 401)
			fresh := g.login(userA)
			g.wantToken(fresh, "", 200)
			if err := load(strings.Replace(g.caddyfile(), "grace_period 1s", "grace_period 2s", 1)); err != nil {
				t.Fatal(err)
			}
			g.wantToken(token, "login_required", 401)
			g.wantToken(fresh, "", 200)
			code, body := g.operate(http.MethodDelete, "/wechat/keys/"+leaked, "")
			wantCode(t, "dropped twice", code, body, "", 404)
			code, body = g.operate(http.MethodDelete, "/wechat/keys/"+status.Keys[0].ID, "")
			wantCode(t, "the last one", code, body, "", map[bool]int{true: 409, false: 200}[global != ""])
		})
	}
}

func TestOperatorsMistakesAreNamed(t *testing.T) {
	g := newGateway(t, withAdmin)
	token := g.login(userA)
	for _, tc := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "/wechat/sessions/list", strings.Replace(wholeA, "}", `,"openid":""}`, 1), 400, "openid"},
		{"POST", "/wechat/sessions/list", "", 400, "JSON"},
		{"POST", "/wechat/sessions/list", `{"appid":"wxffffffffffffffff","openid":"` + openIDA + `"}`, 400, "configuration"},
		{"POST", "/wechat/sessions/end", `{}`, 400, "appid"},
		{"POST", "/wechat/sessions/end", `{"appid":"` + testApp + `","openId":"` + openIDA + `"}`, 400, "nothing else"},
		{"POST", "/wechat/sessions/end", `{"appid":"` + testApp + `","openid":""}`, 400, "empty"},
		{"POST", "/wechat/sessions/end", `{"appid":"` + testApp + `","openid":null}`, 400, "empty"},
		{"POST", "/wechat/sessions/end", `{"appid":"` + testApp + `","session_id":"x"}`, 400, "openid"},
		{"POST", "/wechat/users/deny", targetA, 400, "until"},
		{"POST", "/wechat/users/deny", strings.Replace(targetA, "}", `,"until":"2001-01-01T00:00:00Z"}`, 1), 400, "future"},
		{"GET", "/wechat/sessions/list", "", 405, "POST"},
		{"GET", "/wechat/nothing", "", 404, "endpoint"},
		{"DELETE", "/wechat/keys/", "", 404, "key"},
		{"DELETE", "/wechat/keys/0123456789abcdef", "", 404, "key"},
	} {
		status, body := g.operate(tc.method, tc.path, tc.body)
		if status != tc.status || !strings.Contains(body, tc.says) || strings.Contains(body, openIDA) {
			t.Errorf("%s %s %s: %d %s, want %d and %q", tc.method, tc.path, tc.body, status, body, tc.status, tc.says)
		}
	}
	g.wantToken(token, "", 200)
}

func TestStatusTellsHowEachAppIs(t *testing.T) {
	g := newGateway(t, withAdmin)
	g.login(userA)
	g.wechat.Next(wechattest.Errcode(40164))
	g.post("/wechat/login", `{"code":"`+freshCode()+`"}`)
	for range 5 {
		g.wechat.Next(wechattest.Errcode(-1))
		g.post("/wechat/login", `{"code":"`+freshCode()+`"}`)
	}
	var status struct {
		Ready     bool
		Store     string
		StoreType string `json:"store_type"`
		Apps      []struct {
			AppID           string
			Sessions, Users int
			Breaker         string
			BreakerUntil    time.Time      `json:"breaker_until"`
			LastLogin       time.Time      `json:"last_login"`
			LastProblem     *statusProblem `json:"last_problem"`
		}
	}
	g.must(http.MethodGet, "/wechat/status", "", &status)
	if !status.Ready || status.Store != "ok" || status.StoreType != "memory" || len(status.Apps) != 1 {
		t.Fatalf("status %+v", status)
	}
	app := status.Apps[0]
	if app.AppID != testApp || app.Sessions != 1 || app.Users != 1 || app.Breaker != "open" || app.BreakerUntil.IsZero() ||
		app.LastLogin.IsZero() {
		t.Errorf("app %+v", app)
	}
	// The breaker refuses now; what WeChat said is still what an operator needs.
	for range 3 {
		if _, body := g.post("/wechat/login", `{"code":"`+freshCode()+`"}`); errorCode(body) != answer.CodeWeChatUnavailable {
			t.Error(body)
		}
	}
	for name, again := range map[string]func(){"while it refuses": func() {}, "after a reload": func() {
		g.global += "\nkey_rotation 31d"
		if err := load(g.caddyfile()); err != nil {
			t.Fatal(err)
		}
	}} {
		again()
		status.Apps = nil // or what is absent keeps its value
		g.must(http.MethodGet, "/wechat/status", "", &status)
		problem := status.Apps[0].LastProblem
		if problem == nil || problem.Error != answer.CodeWeChatUnavailable || problem.Errcode != -1 || problem.RID == "" ||
			time.Since(problem.At) > time.Minute {
			t.Errorf("%s: problem %+v", name, problem)
		}
	}
}

// What an operator does on one node counts on the other within a second.
func TestOperationsReachOtherProcesses(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	g := newGateway(
		t, withAdmin,
		withGlobal(strings.Replace(redisGlobal(server, ""), testKey, testKey+" AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 1)),
	)
	elsewhere := *g
	elsewhere.admin = "off"
	other := elsewhere.spawn(t.TempDir())
	var status struct{ Keys []statusKey }
	g.must(http.MethodGet, "/wechat/status", "", &status)
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for _, tc := range []struct{ method, path, body, code string }{
		{"POST", "/wechat/sessions/end", targetA, "session_ended"},
		{"POST", "/wechat/sessions/end", wholeA, "session_ended"},
		{"POST", "/wechat/users/deny", strings.Replace(targetA, "}", `,"until":"`+until+`"}`, 1), "session_ended"},
		{"DELETE", "/wechat/keys/" + status.Keys[0].ID, "", "login_required"},
	} {
		if tc.method == http.MethodDelete {
			g.must(http.MethodPost, "/wechat/users/allow", targetA, &struct{}{})
		}
		token := other.login(userA)
		for range 3 {
			other.wantToken(token, "", 200)
		}
		g.must(tc.method, tc.path, tc.body, &struct{}{})
		eventually(t, tc.path+" reaches the other node", func() bool {
			resp, body := other.do(http.MethodGet, "/", "", bearerHeader(token))
			return resp.StatusCode == http.StatusUnauthorized && errorCode(body) == tc.code
		})
	}
}

// between returns what stands between two texts the first time.
func between(text, before, after string) string {
	_, rest, _ := strings.Cut(text, before)
	found, _, _ := strings.Cut(rest, after)
	return found
}

// statusKey and statusProblem are what the status says.
type statusKey struct {
	ID    string     `json:"kid"`
	Signs bool       `json:"signs"`
	Made  *time.Time `json:"made"`
}

type statusProblem struct {
	At      time.Time `json:"at"`
	Error   string    `json:"error"`
	Errcode int       `json:"errcode"`
	RID     string    `json:"rid"`
}
