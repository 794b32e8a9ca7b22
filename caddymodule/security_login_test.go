package caddymodule_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
	if err := json.Unmarshal([]byte(body), &session); err != nil || len(session) != 3 || session["appid"] != testApp || session["expires_in"].(float64) < 7190 || session["session_expires_in"].(float64) < 2591990 {
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

// L1: a code that is replayed, raced or whose answer was lost.
func TestL1OneCodeMakesOneSession(t *testing.T) {
	g := newGateway(t)
	code := freshCode()
	g.wechat.AddCode(code, userA)
	release := g.wechat.Hold()
	body := `{"code":"` + code + `","nonce":"0123456789abcdef"}`
	answers := make(chan string, 10)
	var group sync.WaitGroup
	for range cap(answers) {
		group.Go(func() {
			_, answer := g.post("/wechat/login", body)
			answers <- answer
		})
	}
	for g.wechat.Calls() == 0 {
		runtime.Gosched()
	}
	release()
	group.Wait()
	close(answers)
	first := <-answers
	for answer := range answers {
		if answer != first {
			t.Errorf("two answers: %s and %s", first, answer)
		}
	}
	if _, again := g.post("/wechat/login", body); again != first {
		t.Errorf("with its nonce again: %s", again)
	}
	for _, other := range []string{`{"code":"` + code + `"}`, `{"code":"` + code + `","nonce":"fedcba9876543210"}`} {
		resp, answer := g.post("/wechat/login", other)
		wantRefusal(t, other, resp, answer, http.StatusUnauthorized, "code_used")
	}
	if g.wechat.Calls() != 1 {
		t.Errorf("WeChat was called %d times", g.wechat.Calls())
	}
}

// L2, L6, L7, L14: what a login may look like.
func TestL2L6L7MalformedLogins(t *testing.T) {
	g := newGateway(t)
	long := strings.Repeat("a", 129)
	for name, tc := range map[string]struct {
		body   string
		header []string
		status int
		code   string
	}{
		"empty":            {"", nil, 400, "invalid_request"},
		"not JSON":         {"code=abc", nil, 400, "invalid_request"},
		"list":             {`["abc"]`, nil, 400, "invalid_request"},
		"no code":          {`{}`, nil, 400, "invalid_request"},
		"empty code":       {`{"code":""}`, nil, 400, "invalid_request"},
		"number":           {`{"code":1}`, nil, 400, "invalid_request"},
		"null":             {`{"code":null}`, nil, 400, "invalid_request"},
		"case variant":     {`{"Code":"abc"}`, nil, 400, "invalid_request"},
		"two codes":        {`{"code":"a","code":"b"}`, nil, 400, "invalid_request"},
		"two objects":      {`{"code":"a"}{"code":"b"}`, nil, 400, "invalid_request"},
		"deep":             {`{"code":"a","x":{"x":{"x":{"x":{}}}}}`, nil, 400, "invalid_request"},
		"quote":            {`{"code":"a'b"}`, nil, 400, "invalid_request"},
		"parameter":        {`{"code":"a&secret=b"}`, nil, 400, "invalid_request"},
		"newline":          {`{"code":"a\nb"}`, nil, 400, "invalid_request"},
		"mock code":        {`{"code":"the code is a mock one"}`, nil, 400, "invalid_request"},
		"long code":        {`{"code":"` + long + `"}`, nil, 400, "invalid_request"},
		"short nonce":      {`{"code":"a","nonce":"x"}`, nil, 400, "invalid_request"},
		"empty nonce":      {`{"code":"a","nonce":""}`, nil, 400, "invalid_request"},
		"bad nonce":        {`{"code":"a","nonce":"0123456789abcde!"}`, nil, 400, "invalid_request"},
		"foreign appid":    {`{"code":"a","appid":"` + otherApp + `"}`, nil, 400, "invalid_request"},
		"not UTF-8":        {"{\"code\":\"a\xff\"}", nil, 400, "invalid_request"},
		"4 KiB and a byte": {`{"code":"a","x":"` + strings.Repeat("x", 4096) + `"}`, nil, 413, "body_too_large"},
		"form":             {`{"code":"a"}`, []string{"application/x-www-form-urlencoded"}, 415, "unsupported_media_type"},
		"text":             {`{"code":"a"}`, []string{"text/plain"}, 415, "unsupported_media_type"},
		"no type":          {`{"code":"a"}`, []string{}, 415, "unsupported_media_type"},
		"GBK":              {`{"code":"a"}`, []string{"application/json; charset=gbk"}, 415, "unsupported_media_type"},
		"JSON-like":        {`{"code":"a"}`, []string{"application/json-patch+json"}, 415, "unsupported_media_type"},
		"two types":        {`{"code":"a"}`, []string{"application/json", "text/plain"}, 415, "unsupported_media_type"},
	} {
		headers := []string{"Content-Type: application/json"}
		if tc.header != nil {
			headers = nil
			for _, value := range tc.header {
				headers = append(headers, "Content-Type: "+value)
			}
		}
		resp, body := g.do(http.MethodPost, "/wechat/login?code=inquery", tc.body, headers...)
		wantRefusal(t, name, resp, body, tc.status, tc.code)
	}
	resp, body := g.post("/wechat/login", `{"code":"a"}`, "Content-Encoding: gzip")
	wantRefusal(t, "compressed", resp, body, 415, "unsupported_media_type")
	if g.wechat.Calls() != 0 {
		t.Errorf("WeChat was called %d times", g.wechat.Calls())
	}
	g.wantUntouched(t, "logins")
	code := freshCode()
	g.wechat.AddCode(code, userA)
	resp, body = g.do(http.MethodPost, "/wechat/login", `{"code":"`+code+`","openid":"`+openIDB+`","unionid":"`+unionIDA+`","session_key":"x","extra":{"a":[1]}}`,
		"Content-Type: application/json; charset=UTF-8", "X-OpenID: "+openIDB)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("L14: %d %s", resp.StatusCode, body)
	}
	if _, seen := g.do(http.MethodGet, "/", "", bearerHeader(grantOf(t, body).Token)); !strings.HasPrefix(seen, "openid="+openIDA+" unionid= ") {
		t.Errorf("L14: identity from the request: %s", seen)
	}
}

func TestSeveralAppsNeedAnAppID(t *testing.T) {
	g := newGateway(t, withGlobal("app "+testApp+" "+testSecret+"\napp "+otherApp+" other-secret"), withSite("wechat_auth {\napp "+testApp+" "+otherApp+"\n}"))
	g.wechat.AddApp(otherApp, "other-secret")
	resp, body := g.post("/wechat/login", `{"code":"abc"}`)
	wantRefusal(t, "no appid", resp, body, 400, "invalid_request")
	if !strings.Contains(body, "appid") {
		t.Errorf("the message does not name appid: %s", body)
	}
	code := freshCode()
	g.wechat.AddCode(code, wechattest.User{AppID: otherApp, OpenID: openIDB})
	resp, body = g.post("/wechat/login", `{"code":"`+code+`","appid":"`+otherApp+`"}`)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	if _, seen := g.do(http.MethodGet, "/", "", bearerHeader(grantOf(t, body).Token)); seen != "openid="+openIDB+" unionid= appid="+otherApp {
		t.Errorf("the app sees %s", seen)
	}
}

// L3, L15: a flood from one address, under many names.
func TestL3L15LoginLimitCountsTheRealAddress(t *testing.T) {
	g := newGateway(t, withGlobal("login_limit 3 1m"))
	for n := range 3 {
		resp, _ := g.post("/wechat/login", `{"code":"bad-`+strconv.Itoa(n)+`"}`, "X-Forwarded-For: 192.0.2."+strconv.Itoa(n))
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("login %d: %d", n, resp.StatusCode)
		}
	}
	resp, body := g.post("/wechat/login", `{"code":"bad-4"}`, "X-Forwarded-For: 192.0.2.99", "X-Real-IP: 192.0.2.99")
	wantRefusal(t, "one too many", resp, body, http.StatusTooManyRequests, "rate_limited")
	if g.wechat.Calls() != 3 {
		t.Errorf("WeChat was called %d times", g.wechat.Calls())
	}
	trusting := newGateway(t, withGlobal("login_limit 1 1m"), func(g *gatewayTest) { g.servers = "trusted_proxies static 127.0.0.1/32" })
	for _, client := range []string{"198.51.100.1", "198.51.100.2"} {
		if resp, _ := trusting.post("/wechat/login", `{"code":"`+freshCode()+`"}`, "X-Forwarded-For: "+client); resp.StatusCode == http.StatusTooManyRequests {
			t.Errorf("clients of a trusted proxy share one limit")
		}
	}
}

// L4: an exhausted quota is not asked again, and another app does not suffer.
func TestL4QuotaOpensTheBreakerOfOneApp(t *testing.T) {
	g := newGateway(t, withGlobal("app "+testApp+" "+testSecret+"\napp "+otherApp+" other-secret"), withSite("wechat_auth {\napp "+testApp+" "+otherApp+"\n}"))
	g.wechat.AddApp(otherApp, "other-secret")
	login := func(app string) (*http.Response, string) {
		code := freshCode()
		g.wechat.AddCode(code, wechattest.User{OpenID: openIDA})
		return g.post("/wechat/login", `{"code":"`+code+`","appid":"`+app+`"}`)
	}
	g.wechat.Next(wechattest.Errcode(45011), wechattest.Errcode(45009))
	resp, body := login(testApp)
	wantRefusal(t, "one user's limit", resp, body, 429, "rate_limited")
	for range 3 {
		resp, body = login(testApp)
		wantRefusal(t, "quota", resp, body, 503, "wechat_unavailable")
	}
	if g.wechat.Calls() != 2 {
		t.Errorf("WeChat was called %d times", g.wechat.Calls())
	}
	if resp, body := login(otherApp); resp.StatusCode != http.StatusOK {
		t.Errorf("the other app: %d %s", resp.StatusCode, body)
	}
}

// L5: a body that comes slowly, or is declared too long.
func TestL5SlowAndLongBodiesAreEnded(t *testing.T) {
	g := newGateway(t)
	answer := g.raw("POST /wechat/login HTTP/1.1\r\nHost: " + g.addr + "\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\nConnection: close\r\n\r\n{")
	if statusOf(answer) != "413" {
		t.Errorf("declared too long: %s", answer)
	}
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 2000, strings.Repeat(" ", 2000))
	answer = g.raw("POST /wechat/login HTTP/1.1\r\nHost: " + g.addr + "\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + strings.Repeat(chunk, 5) + "0\r\n\r\n")
	if statusOf(answer) != "413" {
		t.Errorf("chunked too long: %s", answer)
	}
	if testing.Short() {
		t.Log("the slow body takes the 5 s that it is about")
		return
	}
	answer = g.raw("POST /wechat/login HTTP/1.1\r\nHost: " + g.addr + "\r\nContent-Type: application/json\r\nContent-Length: 20\r\nConnection: close\r\n\r\n{")
	if statusOf(answer) != "400" {
		t.Errorf("slow: %s", answer)
	}
}

// L8: a page of another site logs the browser in as somebody, or out.
func TestL8CookiesNeedTheirOwnSite(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\ntoken cookie sid\n}"))
	code := freshCode()
	g.wechat.AddCode(code, userA)
	for _, line := range []string{"Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: http://" + g.addr + ".evil.example"} {
		resp, body := g.post("/wechat/login", `{"code":"`+code+`"}`, line)
		wantRefusal(t, line, resp, body, 403, "cross_site")
	}
	resp, _ := g.post("/wechat/login", `{"code":"`+code+`"}`, "Origin: http://"+g.addr, "Sec-Fetch-Site: same-origin")
	cookies := resp.Cookies()
	if resp.StatusCode != http.StatusOK || len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode || cookies[0].Path != "/" || cookies[0].MaxAge != 7200 || cookies[0].Secure {
		t.Fatalf("login: %d, cookies %+v", resp.StatusCode, cookies)
	}
	if _, seen := g.do(http.MethodGet, "/", "", "Cookie: sid="+cookies[0].Value); !strings.HasPrefix(seen, "openid="+openIDA) {
		t.Errorf("with the cookie: %s", seen)
	}
	resp, _ = g.post("/wechat/logout", "", "Cookie: sid="+cookies[0].Value)
	if cookies := resp.Cookies(); resp.StatusCode != http.StatusNoContent || len(cookies) != 1 || cookies[0].MaxAge >= 0 || cookies[0].Value != "" {
		t.Errorf("logout: %d, cookies %+v", resp.StatusCode, cookies)
	}
}

// P10: somebody repeats the early data of a TLS handshake.
func TestP10EarlyDataChangesNothing(t *testing.T) {
	g := newGateway(t, func(g *gatewayTest) { g.servers = "trusted_proxies static 127.0.0.1/32" })
	token := g.login(userA)
	for _, route := range []string{"login", "renew", "logout"} {
		resp, body := g.post("/wechat/"+route, `{"code":"abc"}`, "Early-Data: 1", bearerHeader(token))
		wantRefusal(t, route, resp, body, http.StatusTooEarly, "too_early")
	}
	if resp, body := g.do(http.MethodGet, "/wechat/session", "", "Early-Data: 1", bearerHeader(token)); resp.StatusCode != http.StatusOK {
		t.Errorf("session: %d %s", resp.StatusCode, body)
	}
	untrusting := newGateway(t)
	if resp, body := untrusting.post("/wechat/login", `{"code":"abc"}`, "Early-Data: 1"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("from anybody: %d %s", resp.StatusCode, body)
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
	for _, answer := range []wechattest.Answer{wechattest.Errcode(40125), wechattest.Errcode(40164), {Body: "<html>" + testSecret}, {Handler: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.String(), http.StatusFound) }}} {
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

// L13: each errcode has one public answer, whatever WeChat's words are.
func TestL13ErrcodesHavePublicAnswers(t *testing.T) {
	g := newGateway(t)
	for errcode, want := range map[int]struct {
		status int
		code   string
	}{
		40029: {401, "code_rejected"}, 41008: {401, "code_rejected"}, 42003: {401, "code_rejected"}, 40163: {401, "code_used"}, 40226: {403, "user_blocked"},
		45011: {429, "rate_limited"}, 40013: {502, "gateway_misconfigured"}, 40125: {502, "gateway_misconfigured"}, 40164: {502, "gateway_misconfigured"},
		40243: {502, "gateway_misconfigured"}, 41002: {502, "gateway_misconfigured"}, 50002: {502, "gateway_misconfigured"}, 48001: {502, "gateway_misconfigured"},
		99999: {502, "wechat_error"}, -1: {503, "wechat_unavailable"},
	} {
		g.wechat.Next(wechattest.Errcode(errcode))
		resp, body := g.post("/wechat/login", `{"code":"`+freshCode()+`"}`)
		wantRefusal(t, strconv.Itoa(errcode), resp, body, want.status, want.code)
		if strings.Contains(body, "rid") || strings.Contains(body, strconv.Itoa(errcode)) {
			t.Errorf("%d: the client sees %s", errcode, body)
		}
	}
}

// W1–W6 at the gateway: whatever WeChat sends, a client gets 502, 503 or 504 in
// time, and nobody is logged in.
func TestW1ToW6HostileWeChat(t *testing.T) {
	g := newGateway(t, withGlobal("api_timeout 300ms"))
	for name, tc := range map[string]struct {
		answer wechattest.Answer
		status int
		code   string
	}{
		"HTML":    {wechattest.Answer{ContentType: "text/html", Body: "<html>"}, 502, "wechat_error"},
		"nothing": {wechattest.Answer{Body: ""}, 502, "wechat_error"},
		"10 MB":   {wechattest.Answer{Body: strings.Repeat("x", 10<<20)}, 502, "wechat_error"},
		"half body": {wechattest.Answer{Handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}}, 502, "wechat_error"},
		"redirect":       {wechattest.Answer{Handler: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusMovedPermanently) }}, 502, "wechat_error"},
		"hostile openid": {wechattest.Answer{Body: `{"openid":"a\r\nX: y","session_key":"` + wechattest.SessionKey + `"}`}, 502, "wechat_error"},
		"status 500":     {wechattest.Answer{Status: 500, Body: `{"openid":"` + openIDA + `","session_key":"` + wechattest.SessionKey + `"}`}, 502, "wechat_error"},
		"hangs up":       {wechattest.Answer{Handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }}, 503, "wechat_unavailable"},
		"hangs":          {wechattest.Answer{Handler: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }}, 504, "wechat_timeout"},
	} {
		g.wechat.Next(tc.answer)
		calls := g.wechat.Calls()
		code := freshCode()
		resp, body := g.post("/wechat/login", `{"code":"`+code+`"}`)
		wantRefusal(t, name, resp, body, tc.status, tc.code)
		resp, body = g.post("/wechat/login", `{"code":"`+code+`"}`)
		wantRefusal(t, name+", the same code", resp, body, 401, "code_used")
		if g.wechat.Calls() != calls+1 {
			t.Errorf("%s: WeChat was called %d times", name, g.wechat.Calls()-calls)
		}
	}
}

// W12: without a connection the code is still good.
func TestW12UnreachableWeChatKeepsTheCode(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	g := newGateway(t, withGlobal("api http://"+addr))
	code := freshCode()
	g.wechat.AddCode(code, userA)
	resp, body := g.post("/wechat/login", `{"code":"`+code+`"}`)
	wantRefusal(t, "nobody there", resp, body, 503, "wechat_unavailable")
	ln, err = net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(g.wechat)
	server.Listener = ln
	server.Start()
	defer server.Close()
	if resp, body := g.post("/wechat/login", `{"code":"`+code+`"}`); resp.StatusCode != http.StatusOK {
		t.Errorf("the same code when WeChat is back: %d %s", resp.StatusCode, body)
	}
}

// J1–J9, J18 at the gateway, by somebody who knows the signing key: only what
// the gateway would mint is a token.
func TestJTokensOfOurKeyInAnotherForm(t *testing.T) {
	g := newGateway(t, withGlobal("signing_key "+testKey))
	token := g.login(userA)
	parts := strings.Split(token, ".")
	header, payload := decodePart(t, parts[0]), decodePart(t, parts[1])
	key, err := base64.StdEncoding.DecodeString(testKey)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(header, payload string) string {
		signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(signed))
		return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	if resp, body := g.do(http.MethodGet, "/", "", bearerHeader(sign(header, payload))); resp.StatusCode != http.StatusOK {
		t.Fatalf("the control: %d %s", resp.StatusCode, body)
	}
	g.app.requests()
	exp := payload[strings.Index(payload, `"exp":`)+6:][:10]
	swap := func(text, old, replacement string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in %q", old, text)
		}
		return strings.Replace(text, old, replacement, 1)
	}
	for name, text := range map[string]string{
		"J1 none":       sign(swap(header, "HS256", "none"), payload),
		"J1 unsigned":   parts[0] + "." + parts[1] + ".",
		"J2 kid":        sign(swap(header, `"kid":"`, `"kid":"../`), payload),
		"J2 jku":        sign(swap(header, "{", `{"jku":"http://127.0.0.1:1",`), payload),
		"J3 crit":       sign(swap(header, "{", `{"crit":["x"],"x":1,`), payload),
		"J3 typ":        sign(swap(header, "wxgw+jwt", "JWT"), payload),
		"J4 exp absent": sign(header, swap(payload, `"exp":`+exp, `"x":1`)),
		"J4 exp zero":   sign(header, swap(payload, exp, "0")),
		"J4 exp text":   sign(header, swap(payload, exp, `"`+exp+`"`)),
		"J4 exp far":    sign(header, swap(payload, exp, "9999999999")),
		"J5 aud":        sign(header, swap(payload, testApp, otherApp)),
		"J5 iss":        sign(header, swap(payload, "caddy-wechat", "somebody")),
		"J8 duplicate":  sign(header, swap(payload, "{", `{"sub":"`+openIDB+`",`)),
		"J8 case":       sign(header, swap(payload, "{", `{"SUB":"`+openIDB+`",`)),
		"J9 respelled":  token[:len(token)-1] + string(token[len(token)-1]^1),
		"J18 sub":       sign(header, swap(payload, openIDA, "")),
		"J18 payload":   sign(header, "null"),
	} {
		resp, body := g.do(http.MethodGet, "/", "", bearerHeader(text))
		wantRefusal(t, name, resp, body, 401, "login_required")
		g.wantUntouched(t, name)
	}
	// J11: a token that is right in every way, of a session that never was.
	resp, body := g.do(http.MethodGet, "/", "", bearerHeader(sign(header, swap(payload, `"sid":"`, `"sid":"AAAA`))))
	wantRefusal(t, "J11", resp, body, 401, "session_ended")
	resp, body = g.do(http.MethodGet, "/", "", bearerHeader(sign(header, swap(payload, openIDA, openIDB))))
	wantRefusal(t, "J11 another user's", resp, body, 401, "session_ended")
	g.wantUntouched(t, "J11")
}

func decodePart(t *testing.T, part string) string {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestJ11TooManySessionsEndTheOldest(t *testing.T) {
	g := newGateway(t, withGlobal("session {\nmax_per_user 2\n}"))
	one, two, three := g.login(userA), g.login(userA), g.login(userA)
	resp, body := g.do(http.MethodGet, "/", "", bearerHeader(one))
	wantRefusal(t, "the oldest", resp, body, 401, "session_ended")
	for _, token := range []string{two, three} {
		if resp, body := g.do(http.MethodGet, "/", "", bearerHeader(token)); resp.StatusCode != http.StatusOK {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
	}
}

// O1, J12: a change of configuration, under load, that loses nobody.
func TestO1ReloadLosesNothing(t *testing.T) {
	g := newGateway(t)
	token := g.login(userA)
	code := freshCode()
	g.wechat.AddCode(code, userA)
	if resp, _ := g.post("/wechat/login", `{"code":"`+code+`"}`); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.StatusCode)
	}
	stop := make(chan struct{})
	var answered atomic.Int32
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				req, err := http.NewRequest(http.MethodGet, g.url("/"), nil)
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+token)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					// Caddy closes the old listener with what is still in its
					// queue; clients connect again then.
					continue
				}
				answered.Add(1)
				if resp.StatusCode != http.StatusOK {
					t.Errorf("during a reload: %d", resp.StatusCode)
				}
				resp.Body.Close()
			}
		})
	}
	for n := range 5 {
		g.global += "\n# change " + strconv.Itoa(n)
		g.global = strings.Replace(g.global, "api ", "api_timeout 4s\napi ", 1-min(n, 1))
		g.global = strings.Replace(g.global, "app ", "session {\ntoken_lifetime "+strconv.Itoa(n+1)+"h\n}\napp ", 1-min(n, 1))
		if err := load(g.caddyfile()); err != nil {
			t.Errorf("reload: %v", err)
		}
		if err := load(strings.Replace(g.caddyfile(), "wechat {", "wechat {\nnonsense\n", 1)); err == nil {
			t.Error("nonsense was loaded")
		}
	}
	for before := answered.Load(); answered.Load() < before+10; {
		runtime.Gosched()
	}
	close(stop)
	group.Wait()
	resp, body := g.post("/wechat/login", `{"code":"`+code+`"}`)
	wantRefusal(t, "a code from before the reload", resp, body, 401, "code_used")
	if g.wechat.Calls() != 2 {
		t.Errorf("WeChat was called %d times", g.wechat.Calls())
	}
}

// J12, O7: the key in storage outlives the process, and one that is removed
// takes its tokens with it at once.
func TestJ12KeysAreKeptAndRemoved(t *testing.T) {
	g := newGateway(t, withGlobal("signing_key "+testKey))
	token := g.login(userA)
	other := base64.StdEncoding.EncodeToString([]byte("\x99\x01\xfe\x02\xfd\x03\xfc\x04\xfb\x05\xfa\x06\xf9\x07\xf8\x08\xf7\x09\xf6\x0a\xf5\x0b\xf4\x0c\xf3\x0d\xf2\x0e\xf1\x0f\xf0\x10"))
	for _, step := range []struct {
		keys   string
		status int
	}{{other + " " + testKey, 200}, {other, 401}, {testKey, 200}} {
		text := strings.Replace(g.caddyfile(), "signing_key "+testKey, "signing_key "+step.keys, 1)
		if err := load(text); err != nil {
			t.Fatal(err)
		}
		if resp, body := g.do(http.MethodGet, "/", "", bearerHeader(token)); resp.StatusCode != step.status {
			t.Errorf("with %s: %d %s", step.keys, resp.StatusCode, body)
		}
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
