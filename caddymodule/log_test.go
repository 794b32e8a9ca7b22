package caddymodule_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

// To block somebody, an operator needs the address, as the access log has it.
func TestLimitedLoginsNameTheAddress(t *testing.T) {
	logged, read := withLog(t, "INFO")
	g := newGateway(t, logged, withGlobal("login_limit 1 1m"), func(g *gatewayTest) { g.servers = "trusted_proxies static 127.0.0.1" })
	g.wechat.Next(wechattest.Errcode(40029))
	for range 2 {
		g.post("/wechat/login", `{"code":"`+freshCode()+`"}`, "X-Forwarded-For: 198.51.100.7")
	}
	log := read()
	if lines := linesWith(log, `"login refused"`, `"outcome":"rate_limited"`, `"client_ip":"198.51.100.7"`); len(lines) != 1 {
		t.Errorf("limited: %q", lines)
	}
	if lines := linesWith(log, `"login refused"`, `"outcome":"code_rejected"`, "198.51.100.7"); len(lines) != 0 {
		t.Errorf("an address without need: %q", lines)
	}
}

// Why a token does not count is for the log at DEBUG only.
func TestDebugLogSaysWhyATokenIsRefused(t *testing.T) {
	for _, level := range []string{"DEBUG", "INFO"} {
		logged, read := withLog(t, level)
		g := newGateway(
			t, logged, withGlobal("app "+testApp+" "+testSecret+"\napp "+otherApp+" "+testSecret),
			withSite("wechat_auth {\napp "+testApp+"\n}"),
		)
		token := g.login(userA)
		g.post("/wechat/logout", "", bearerHeader(token))
		altered := token[:len(token)-4] + "AAAA"
		for _, text := range []string{token, altered, "hello", "a.b.c"} {
			g.do(http.MethodGet, "/", "", bearerHeader(text))
		}
		g.do(http.MethodGet, "/wechat/session", "", bearerHeader(altered))
		log := read()
		for reason, want := range map[string]int{"ended": 1, "wrong_signature": 2, "malformed": 2} {
			if level == "INFO" {
				want = 0
			}
			if lines := linesWith(log, `"token refused"`, `"level":"debug"`, `"reason":"`+reason+`"`); len(lines) != want {
				t.Errorf("%s, %s: %d lines, want %d:\n%s", level, reason, len(lines), want, log)
			}
		}
		for _, part := range strings.Split(token, ".")[1:] {
			if strings.Contains(log, part) {
				t.Errorf("%s: the token is in the log", level)
			}
		}
	}
}

// Lines about breakers say why and until when; the one at the end for how long.
func TestBreakerLinesHaveCauseAndEnd(t *testing.T) {
	logged, read := withLog(t, "INFO")
	g := newGateway(t, logged)
	for range 5 {
		g.wechat.Next(wechattest.Errcode(-1))
		g.post("/wechat/login", `{"code":"`+freshCode()+`"}`)
	}
	eventually(t, "logins again", func() bool {
		code := freshCode()
		g.wechat.AddCode(code, userA)
		resp, _ := g.post("/wechat/login", `{"code":"`+code+`"}`)
		return resp.StatusCode == http.StatusOK
	})
	log := read()
	if lines := linesWith(log, "suspended after failures", `"level":"warn"`, `"app":"`+testApp, `"errcode":-1`, `"rid":"`, `"until":`, "WeChat is busy"); len(lines) != 1 {
		t.Errorf("opening: %q", lines)
	}
	if lines := linesWith(log, "not suspended any more", `"app":"`+testApp, `"lasted":`); len(lines) != 1 {
		t.Errorf("closing: %q", lines)
	}
}

// V2: Caddy redacts Authorization and cookies in access logs, and nothing else.
func TestTokensInAccessLogsAreWarnedAbout(t *testing.T) {
	for name, tc := range map[string]struct {
		servers, log, token, want string
	}{
		"a header":              {"", "log", "token header X-Token", "request>headers>X-Token delete"},
		"a query":               {"", "log", "token query t", "request>uri query { delete t }"},
		"a header, not logged":  {"", "", "token header X-Token", ""},
		"Authorization":         {"", "log", "", ""},
		"a cookie":              {"", "log", "token cookie c", ""},
		"Authorization, logged": {"log_credentials", "log", "", "log_credentials"},
	} {
		logged, read := withLog(t, "WARN")
		newGateway(t, logged, func(g *gatewayTest) { g.servers = tc.servers }, withSite(tc.log+"\nwechat_auth {\n"+tc.token+"\n}"))
		lines := linesWith(read(), "show tokens")
		if len(lines) > 1 || (len(lines) == 1) != (tc.want != "") ||
			len(lines) == 1 && !strings.Contains(strings.ReplaceAll(lines[0], `\u003e`, ">"), tc.want) {
			t.Errorf("%s: %q", name, lines)
		}
	}
}

// Whatever a login is answered with has its counter from the start.
func TestLoginCodesAreComplete(t *testing.T) {
	g := newGateway(t, withAdmin)
	for _, reply := range []wechattest.Answer{
		wechattest.Errcode(40029), wechattest.Errcode(40163), wechattest.Errcode(40226), wechattest.Errcode(45011), wechattest.Errcode(40125),
		wechattest.Errcode(12345), wechattest.Errcode(-1),
		{Body: "<html>"},
	} {
		g.wechat.Next(reply)
		if _, body := g.post("/wechat/login", `{"code":"`+freshCode()+`"}`); !slices.Contains(answer.LoginCodes, errorCode(body)) {
			t.Errorf("%s is not among the codes of logins", body)
		}
	}
}

// Who plays with the simulator makes WeChat refuse, and then answer again.
func TestSimulatorWakesTheGatewayOfItsProcess(t *testing.T) {
	simulator := freeAddr(t)
	g := newGateway(t, withGlobal("app "+testApp+" "+testSecret+"\napi http://"+simulator), func(g *gatewayTest) {
		g.site = "wechat_auth\nreverse_proxy 127.0.0.1:1\n}\nhttp://" + simulator + " {\nwechat_simulator {\ngateway http://" + g.addr + "\n}"
	})
	ask := func(path, body string) string {
		t.Helper()
		resp, err := testClient.Post("http://"+simulator+"/simulator/"+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s, %v", path, resp.StatusCode, answer, err)
		}
		return string(answer)
	}
	login := func(want int) {
		t.Helper()
		code := strings.Split(ask("code", `{"user":"alice"}`), `"`)[3]
		if resp, body := g.post("/wechat/login", `{"code":"`+code+`"}`); resp.StatusCode != want {
			t.Errorf("login: %d %s, want %d", resp.StatusCode, body, want)
		}
	}
	for _, wake := range []string{"answer", "reset"} {
		ask("answer", `{"errcode":45009,"times":1}`)
		login(http.StatusServiceUnavailable)
		login(http.StatusServiceUnavailable)
		ask(wake, `{}`)
		login(http.StatusOK)
	}
}
