package caddymodule_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

// L4: an exhausted quota is not asked again, and another app does not suffer.
func TestL4QuotaOpensTheBreakerOfOneApp(t *testing.T) {
	g := newGateway(
		t, withGlobal("app "+testApp+" "+testSecret+"\napp "+otherApp+" other-secret"),
		withSite("wechat_auth {\napp "+testApp+" "+otherApp+"\n}"),
	)
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
