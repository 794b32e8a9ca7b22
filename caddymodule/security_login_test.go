package caddymodule_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

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

// F4: the session that begins when its client has left is recorded, by the log as by the
// metrics, whichever way it came in.
func TestF4LoginsAreRecordedWhenTheirClientLeaves(t *testing.T) {
	logged, read := withLog(t, "INFO")
	g := newGateway(t, withAdmin, logged, withSite("wechat_auth {\none_trip\npublic /open\n}"))
	login := func() string {
		code := freshCode()
		g.wechat.AddCode(code, userA)
		body := `{"code":"` + code + `"}`
		return "POST /wechat/login HTTP/1.1\r\nHost: " + g.addr + "\r\nContent-Type: application/json\r\nContent-Length: " +
			strconv.Itoa(len(body)) + "\r\n\r\n" + body
	}
	trip := func() string {
		_, header := g.codeHeader(userA)
		return "GET / HTTP/1.1\r\nHost: " + g.addr + "\r\n" + header + "\r\n\r\n"
	}
	for i, request := range []string{login(), trip()} {
		release, before := g.wechat.Hold(), g.wechat.Calls()
		leave(t, g.addr, request)
		eventually(t, "the gateway asks WeChat", func() bool { return g.wechat.Calls() > before })
		for range 100 { // by then it knows that the client has left
			g.do(http.MethodGet, "/open", "")
		}
		release()
		done := strconv.Itoa(i + 1)
		eventually(t, "the login counts", func() bool {
			return g.metric(`caddy_wechat_auth_logins_total{app="`+testApp+`",outcome="ok"}`) == done
		})
		if lines := linesWith(read(), `"msg":"login"`, `"outcome":"ok"`); len(lines) != i+1 {
			t.Errorf("%d lines about %d logins", len(lines), i+1)
		}
	}
	if lines := linesWith(read(), answer.CodeClientClosed); len(lines) != 0 {
		t.Errorf("refused: %q", lines)
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
