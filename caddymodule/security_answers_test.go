package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

// wantRefusal checks a JSON refusal in all its parts.
func wantRefusal(t *testing.T, name string, resp *http.Response, body string, status int, code string) {
	t.Helper()
	if resp.StatusCode != status || errorCode(body) != code {
		t.Errorf("%s: %d %s, want %d %s", name, resp.StatusCode, body, status, code)
	}
	var answer map[string]string
	err := json.Unmarshal([]byte(body), &answer)
	if status == http.StatusUnauthorized {
		delete(answer, "login") // where browsers log in, if they do
	}
	if err != nil || len(answer) != 2 || !strings.HasSuffix(answer["message"], ".") {
		t.Errorf("%s: body %s", name, body)
	}
	wantOwnHeaders(t, name, resp)
	if got := resp.Header.Get("WWW-Authenticate"); (got == "Bearer") != (status == http.StatusUnauthorized) {
		t.Errorf("%s: WWW-Authenticate %q", name, got)
	}
	retry, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if needed := status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable; needed != (err == nil && retry > 0) {
		t.Errorf("%s: Retry-After %q", name, resp.Header.Get("Retry-After"))
	}
}

func wantOwnHeaders(t *testing.T, name string, resp *http.Response) {
	t.Helper()
	for header, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if got := resp.Header.Get(header); got != want {
			t.Errorf("%s: %s %q, want %q", name, header, got, want)
		}
	}
	for _, header := range []string{"Location", "Access-Control-Allow-Origin"} {
		if got := resp.Header.Get(header); got != "" {
			t.Errorf("%s: %s %q", name, header, got)
		}
	}
}

func TestRoutesAnswerAsDocumented(t *testing.T) {
	g := newGateway(t)
	code := freshCode()
	g.wechat.AddCode(code, userA)
	resp, body := g.post("/wechat/login", `{"code":"`+code+`"}`)
	grant := grantOf(t, body)
	if resp.StatusCode != http.StatusOK || grant.TokenType != "Bearer" || grant.ExpiresIn != 7200 || grant.Token == "" {
		t.Errorf("login: %d %s", resp.StatusCode, body)
	}
	wantOwnHeaders(t, "login", resp)
	resp, body = g.post("/wechat/renew", "", bearerHeader(grant.Token))
	if renewed := grantOf(t, body); resp.StatusCode != http.StatusOK || renewed.Token == grant.Token || renewed.ExpiresIn != 7200 {
		t.Errorf("renew: %d %s", resp.StatusCode, body)
	}
	wantOwnHeaders(t, "renew", resp)
	resp, body = g.do(http.MethodGet, "/wechat/session", "", bearerHeader(grant.Token))
	var session map[string]any
	if err := json.Unmarshal([]byte(body), &session); err != nil || len(session) != 3 || session["appid"] != testApp ||
		session["expires_in"].(float64) < 7190 || session["session_expires_in"].(float64) < 2591990 {
		t.Errorf("session: %d %s", resp.StatusCode, body)
	}
	wantOwnHeaders(t, "session", resp)
	for range 2 {
		resp, body = g.post("/wechat/logout", "", bearerHeader(grant.Token))
		if resp.StatusCode != http.StatusNoContent || body != "" {
			t.Errorf("logout: %d %s", resp.StatusCode, body)
		}
		wantOwnHeaders(t, "logout", resp)
	}
	for _, request := range []string{"POST renew", "GET session"} {
		method, route, _ := strings.Cut(request, " ")
		resp, body = g.do(method, "/wechat/"+route, "", bearerHeader(grant.Token))
		wantRefusal(t, request+" after logout", resp, body, http.StatusUnauthorized, "session_ended")
		resp, body = g.do(method, "/wechat/"+route, "")
		wantRefusal(t, request+" without token", resp, body, http.StatusUnauthorized, "login_required")
	}
	resp, body = g.post("/wechat/logout", "")
	wantRefusal(t, "logout without token", resp, body, http.StatusUnauthorized, "login_required")
	for _, request := range []string{"GET login", "PUT login", "OPTIONS login", "GET renew", "GET logout", "POST session", "DELETE session"} {
		method, route, _ := strings.Cut(request, " ")
		resp, body = g.do(method, "/wechat/"+route, "")
		wantRefusal(t, request, resp, body, http.StatusMethodNotAllowed, "method_not_allowed")
		if resp.Header.Get("Allow") == "" {
			t.Errorf("%s: no Allow", request)
		}
	}
	g.wantUntouched(t, "gateway routes")
}

func TestPlaceholdersNameTheUser(t *testing.T) {
	g := newGateway(t, func(g *gatewayTest) {
		g.site = "wechat_auth {\noptional\n}\nheader X-Id {http.auth.user.id}\nheader X-Seen \"{http.auth.user.openid} {http.auth.user.unionid} {http.auth.user.appid}\"\nheader X-Sid {http.auth.user.session_id}\nheader >X-Late {http.auth.user.openid}\nreverse_proxy " + g.app.addr()
		g.site = strings.ReplaceAll(g.site, "header X-", "header >X-")
	})
	token := g.login(wechattest.User{OpenID: openIDA, UnionID: unionIDA})
	resp, _ := g.do(http.MethodGet, "/", "", bearerHeader(token))
	if got, want := resp.Header.Get("X-Seen"), openIDA+" "+unionIDA+" "+testApp; got != want {
		t.Errorf("placeholders %q, want %q", got, want)
	}
	if id := resp.Header.Get("X-Id"); len(id) != 16 || strings.Contains(id, openIDA) || len(resp.Header.Get("X-Sid")) < 22 {
		t.Errorf("id %q, session %q", id, resp.Header.Get("X-Sid"))
	}
	resp, _ = g.do(http.MethodGet, "/", "")
	if got := strings.TrimSpace(resp.Header.Get("X-Seen")); got != "" {
		t.Errorf("anonymous placeholders %q", got)
	}
}

// L11, L12, V1: secrets and users in answers, logs and configuration dumps.
func TestL11L12V1NothingSecretIsShown(t *testing.T) {
	t.Setenv("WECHAT_TEST_SECRET", testSecret)
	log := filepath.Join(t.TempDir(), "caddy.log")
	g := newGateway(t, withGlobal("app "+testApp+" {env.WECHAT_TEST_SECRET}"), func(g *gatewayTest) {
		g.extra = "log {\noutput file " + log + "\nlevel DEBUG\nformat filter {\nfields {\nrequest>headers>X-Openid delete\nrequest>headers>X-Unionid delete\n}\n}\n}"
		g.site = "log {\noutput file " + log + ".access\n}\nwechat_auth"
	})
	code := freshCode()
	g.wechat.AddCode(code, wechattest.User{OpenID: openIDA, UnionID: unionIDA})
	_, body := g.post("/wechat/login", `{"code":"`+code+`"}`)
	token := grantOf(t, body).Token
	shown := body
	for _, answer := range []wechattest.Answer{
		wechattest.Errcode(40125), wechattest.Errcode(40164),
		{Body: "<html>" + testSecret},
		{Handler: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.String(), http.StatusFound) }},
	} {
		g.wechat.Next(answer)
		_, body := g.post("/wechat/login", `{"code":"`+freshCode()+`"}`)
		shown += body
	}
	g.do(http.MethodGet, "/", "", bearerHeader(token))
	g.post("/wechat/login", `{"code":"`+code+`"}`)
	g.do(http.MethodGet, "/", "", bearerHeader(token+"x"))
	g.post("/wechat/logout", "", bearerHeader(token))
	config, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	access, err := os.ReadFile(log + ".access")
	if err != nil {
		t.Fatal(err)
	}
	adapted, _, err := adapt(g.caddyfile())
	if err != nil {
		t.Fatal(err)
	}
	lines := string(config) + string(access)
	for name, secret := range map[string]string{"AppSecret": testSecret, "session_key": wechattest.SessionKey, "code": code} {
		if strings.Contains(shown+lines+string(adapted), secret) {
			t.Errorf("%s is shown", name)
		}
	}
	for name, secret := range map[string]string{"token": token, "openid": openIDA, "unionid": unionIDA} {
		if strings.Contains(lines, secret) {
			t.Errorf("%s is in the log", name)
		}
	}
	for _, want := range []string{`"user_hash":"`, `"errcode":40125`, `"rid":"6700abcd-12345678-9abcdef0"`, `"outcome":"gateway_misconfigured"`, "debug logs"} {
		if !strings.Contains(lines, want) {
			t.Errorf("%s is not in the log", want)
		}
	}
	if !strings.Contains(string(access), `"user_id":"`) || strings.Contains(string(access), `"user_id":"`+openIDA) {
		t.Error("user_id of the access log is missing, or the openid")
	}
}

// P14: a panic while deciding is a refusal, and the process lives.
func TestP14PanicIsARefusal(t *testing.T) {
	g := newGateway(t)
	token := g.login(userA)
	gw := activeApp(t).Gateway()
	store := gw.Store
	gw.Store = nil // the next look-up panics
	resp, body := g.do(http.MethodGet, "/", "", bearerHeader(token), "X-OpenID: forged")
	gw.Store = store
	if resp.StatusCode != http.StatusInternalServerError || errorCode(body) != "internal_error" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	g.wantUntouched(t, "panic")
	if resp, _ := g.do(http.MethodGet, "/", "", bearerHeader(token)); resp.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %d", resp.StatusCode)
	}
}

// H5, H15: a route around wechat_auth is named when the configuration starts.
func TestH15RoutesAroundTheGatewayAreNamed(t *testing.T) {
	log := filepath.Join(t.TempDir(), "caddy.log")
	start := func(site func(g *gatewayTest) string) string {
		newGateway(t, func(g *gatewayTest) {
			g.extra = "log {\noutput file " + log + "\n}"
			g.site = site(g)
		})
		data, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(log, 0); err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	const warning = "without wechat_auth"
	if got := start(func(g *gatewayTest) string { return "wechat_auth\nreverse_proxy " + g.app.addr() }); strings.Contains(got, warning) {
		t.Errorf("a covered site is named: %s", got)
	}
	if got := start(func(g *gatewayTest) string {
		return "wechat_auth\nhandle /a/* {\nreverse_proxy " + g.app.addr() + "\n}\nhandle {\nreverse_proxy " + g.app.addr() + "\n}"
	}); strings.Contains(got, warning) {
		t.Errorf("a covered site with handles is named: %s", got)
	}
	if got := start(func(g *gatewayTest) string {
		return "handle /a/* {\nwechat_auth\nreverse_proxy " + g.app.addr() + "\n}\nhandle {\nreverse_proxy 127.0.0.1:1\n}"
	}); !strings.Contains(got, warning) || !strings.Contains(got, "127.0.0.1:1") {
		t.Errorf("an open route of the site is not named: %s", got)
	}
	if got := start(func(g *gatewayTest) string {
		return "wechat_auth /api/* {\nprefix /api/wechat\n}\nreverse_proxy " + g.app.addr()
	}); !strings.Contains(got, warning) {
		t.Errorf("a matcher that leaves paths open is not named: %s", got)
	}
}
