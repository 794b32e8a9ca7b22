package caddymodule_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

// P1: requests whose end is seen differently by two servers.
func TestP1FramingTricksEndAtTheGateway(t *testing.T) {
	g := newGateway(t)
	head := "POST / HTTP/1.1\r\nHost: " + g.addr + "\r\n"
	smuggled := "GET /smuggled HTTP/1.1\r\nHost: x\r\nX-OpenID: forged\r\n\r\n"
	for name, request := range map[string]string{
		"both lengths":        head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n" + smuggled,
		"two lengths":         head + "Content-Length: 0\r\nContent-Length: 50\r\nConnection: close\r\n\r\n" + smuggled,
		"space before colon":  head + "Content-Length : 5\r\nConnection: close\r\n\r\nhello",
		"obs-fold":            head + "X-A: b\r\n X-OpenID: forged\r\nConnection: close\r\n\r\n",
		"bare CR":             head + "X-A: b\rX-OpenID: forged\r\nConnection: close\r\n\r\n",
		"bare LF in chunk":    head + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5;x\nhello\r\n0\r\n\r\n",
		"unknown coding":      head + "Transfer-Encoding: chunked, identity\r\nConnection: close\r\n\r\n0\r\n\r\n",
		"NUL in a value":      head + "X-A: \x00\r\nConnection: close\r\n\r\n",
		"signed length":       head + "Content-Length: +5\r\nConnection: close\r\n\r\nhello",
		"space in the target": "GET / /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	} {
		g.raw(request)
		g.wantUntouched(t, name)
	}
}

// P2, P7: methods that have no use for an app.
func TestP2P7DangerousMethodsAreRefused(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\npublic /public\n}"))
	token := g.login(userA)
	for _, request := range []string{"TRACE /public", "TRACE /", "TRACE /wechat/login", "CONNECT /public", "CONNECT " + g.addr, "CONNECT /wechat/login"} {
		method, target, _ := strings.Cut(request, " ")
		answer := g.rawGet(method, target, bearerHeader(token))
		if statusOf(answer) != "405" || !strings.Contains(answer, `"method_not_allowed"`) {
			t.Errorf("%s: %s", request, answer)
		}
		g.wantUntouched(t, request)
	}
	for _, method := range []string{"OPTIONS", "HEAD", "get", "PURGE", "PROPFIND"} {
		answer := g.rawGet(method, "/", "Access-Control-Request-Method: GET", "X-HTTP-Method-Override: TRACE")
		if statusOf(answer) != "401" {
			t.Errorf("%s without a token: %s", method, answer)
		}
		g.wantUntouched(t, method)
		g.rawGet(method, "/?_method=TRACE", bearerHeader(token), "X-HTTP-Method-Override: TRACE")
		if got := g.only(t); got.Method != method {
			t.Errorf("%s arrives as %s", method, got.Method)
		}
	}
}

// P3: Upgrade makes a tunnel in which nobody strips anything.
func TestP3OnlyWebSocketsUpgrade(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\npublic /public\n}"))
	token := g.login(userA)
	for _, upgrade := range []string{"h2c", "foo", "websocket, h2c", "TLS/1.0", "websocket\r\nUpgrade: h2c"} {
		for _, path := range []string{"/", "/public"} {
			g.raw("GET " + path + " HTTP/1.1\r\nHost: " + g.addr + "\r\n" + bearerHeader(token) + "\r\nUpgrade: " + upgrade +
				"\r\nHTTP2-Settings: AAMAAABkAAQ\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\r\n")
			got := g.only(t)
			if got.Header.Get("Upgrade") != "" || got.Header.Get("Connection") != "" || got.Header.Get("Http2-Settings") != "" {
				t.Errorf("%q at %s: %v", upgrade, path, got.Header)
			}
		}
	}
}

// webSocket upgrades and returns the connection, or the answer that refused.
func (g *gatewayTest) webSocket(t *testing.T, lines ...string) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n%s\r\n\r\n",
		g.addr, strings.Join(lines, "\r\n"))
	reader := bufio.NewReader(conn)
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	return conn, reader, resp
}

// echoUpgrades lets the app accept upgrades and send back what it gets.
func (g *gatewayTest) echoUpgrades() {
	g.app.answerWith(func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		fmt.Fprintf(
			conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Seen: %s\r\n\r\n",
			r.Header.Get("X-OpenID"),
		)
		_, _ = io.Copy(conn, buffered)
	})
}

// P4: a WebSocket that outlives its login.
func TestP4WebSocketHasIdentityAndEndsWithItsSession(t *testing.T) {
	g := newGateway(t)
	g.echoUpgrades()
	token := g.login(userA)
	conn, reader, resp := g.webSocket(t, bearerHeader(token), "X-OpenID: forged")
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("X-Seen") != openIDA {
		t.Fatalf("%d, the app saw %q", resp.StatusCode, resp.Header.Get("X-Seen"))
	}
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	echo := make([]byte, 5)
	if _, err := io.ReadFull(reader, echo); err != nil || string(echo) != "hello" {
		t.Fatalf("echo %q, %v", echo, err)
	}
	if resp, body := g.post("/wechat/logout", "", bearerHeader(token)); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("logout: %d %s", resp.StatusCode, body)
	}
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, reader); err != nil {
		t.Errorf("not closed after the logout: %v", err)
	}
	if _, _, resp := g.webSocket(t, "X-OpenID: forged"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %d", resp.StatusCode)
	}
}

// P4: a WebSocket that outlives its token.
func TestP4WebSocketEndsWithItsToken(t *testing.T) {
	g := newGateway(t, withGlobal("session {\ntoken_lifetime 2s\n}"))
	g.echoUpgrades()
	start := time.Now()
	conn, reader, resp := g.webSocket(t, bearerHeader(g.login(userA)))
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp.StatusCode)
	}
	if err := conn.SetReadDeadline(start.Add(7 * time.Second)); err != nil { // its end and the 5 s that are allowed
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, reader); err != nil {
		t.Errorf("not closed: %v", err)
	}
}

// P4, cookie mode: another site's page opens a WebSocket with the user's cookie.
func TestP4WebSocketWithACookieNeedsItsOrigin(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\ntoken cookie sid\n}"))
	g.echoUpgrades()
	token := g.login(userA)
	for origin, want := range map[string]int{
		"Origin: http://" + g.addr: 101, "X-No: origin": 101, "Origin: https://evil.example": 403, "Origin: null": 403, "Sec-Fetch-Site: cross-site": 403,
		"Origin: http://" + g.addr + "\r\nSec-Fetch-Site: same-origin": 101, "Origin: https://evil.example\r\nSec-Fetch-Site: same-origin": 403, "Origin: https://" + g.addr: 403,
	} {
		if _, _, resp := g.webSocket(t, "Cookie: sid="+token, origin); resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", origin, resp.StatusCode, want)
		}
	}
}

// notCanonical are spellings of paths that some server reads as another page.
var notCanonical = []string{
	"/public/..;/x", "/public/;/../x", "/public/%252e%252e/x", "/public/..%5cx", "/x/../public/y", "/public/../x", "/public/./x", "//public/x", "/public//x",
	"/public/%2e%2e/x", "/public/%2E./x", "/public/..%2fx", "/public/x%2f..", `/public/..\x`, "/public/x;y=1", "/public/%00", "/public/x%00.png", "/public/%41",
	"/public/x%0a", "/public/%c0%ae%c0%ae/x", "/public/%ff", "/public/\xe4", "/public/x%3fy", "/public/x%23y", "/public/%u002e", "/public/%", "/public/x%7e",
	"/Public/x", "/PUBLIC/x", "/publicx", "/public", "/public%2fx", "/%70ublic/x", "/x/..;/public/y", "/.;/public/x", "/health/", "/health;x", "/healthz", "/Health", "/health%20", "/health/x",
	"/public/%ef%bc%8e%ef%bc%8e/api/me", "/public/..%ef%bc%8fapi/me", "/public/%e2%80%a5/api/me", "/public/%ef%b8%b0/api/me", "/public/%e2%80%a4%e2%80%a4/x", "/public/x%ef%bc%bcy",
	"/public/%c2%a5/x", "/public/x%cd%bey", "/public/x%e2%88%95y", "/public/x%ef%bc%852e",
}

// P5, P6: a protected page in a spelling that looks public.
func TestP5P6OnlyCanonicalPathsArePublic(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\npublic /public/* /health\n}"))
	for _, path := range append(notCanonical, "/x?y=/public/z", "/x#/public/z", "/?/health", "/x/public/y") {
		answer := g.rawGet("GET", path)
		if status := statusOf(answer); status != "401" && status != "400" {
			t.Errorf("%s: %s", path, status)
		}
		g.wantUntouched(t, path)
	}
	for _, path := range []string{"/public/x", "/public/", "/public/a.b/c", "/public/%E4%BD%A0", "/health", "/health?x=%2e%2e"} {
		if answer := g.rawGet("GET", path); statusOf(answer) != "200" {
			t.Errorf("the control %s: %s", path, answer)
		}
		g.app.requests()
	}
}

func TestP5OptionalTakesCanonicalPathsOnly(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\noptional /public/* /health\n}"))
	for _, path := range notCanonical {
		g.rawGet("GET", path)
		g.wantUntouched(t, path)
	}
	if answer := g.rawGet("GET", "/public/x"); statusOf(answer) != "200" {
		t.Errorf("the control: %s", answer)
	}
}

// P5: what is not canonical still works with a token, byte for byte.
func TestP5ProtectedPathsArriveAsSent(t *testing.T) {
	g := newGateway(t)
	token := g.login(userA)
	for _, path := range []string{"/a%2Fb", "/a;b=c", "/%7Euser", "/a%20b?x=%2F&y=a+b"} {
		g.rawGet("GET", path, bearerHeader(token))
		if got := g.only(t); got.URI != path {
			t.Errorf("%s arrives as %s", path, got.URI)
		}
	}
}

// P8: nothing a client says about itself opens a door.
func TestP8HeadersDecideNothing(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\npublic /public\n}"))
	for _, line := range []string{
		"X-Forwarded-Uri: /public", "X-Original-URL: /public", "X-Rewrite-URL: /public", "User-Agent: kube-probe/1.30", "User-Agent: GoogleHC/1.0",
		"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Method: OPTIONS", "Referer: https://servicewechat.com/" + testApp + "/0/page-frame.html",
	} {
		if answer := g.rawGet("GET", "/", line); statusOf(answer) != "401" {
			t.Errorf("%s: %s", line, answer)
		}
		g.wantUntouched(t, line)
	}
}

// P9: a client does not choose its app.
func TestP9AppComesFromTheSite(t *testing.T) {
	g := newGateway(
		t, withGlobal("app "+testApp+" "+testSecret+"\napp "+otherApp+" secret-of-the-other"),
		withSite("wechat_auth {\napp "+testApp+"\n}"),
	)
	g.wechat.AddApp(otherApp, "secret-of-the-other")
	code := freshCode()
	g.wechat.AddCode(code, wechattest.User{OpenID: openIDA})
	resp, body := g.post(
		"/wechat/login?appid="+otherApp, `{"code":"`+code+`","appid":"`+otherApp+`"}`, "X-WX-APPID: "+otherApp, "X-AppID: "+otherApp,
	)
	if resp.StatusCode != http.StatusBadRequest || g.wechat.Calls() != 0 {
		t.Errorf("another site's app: %d %s", resp.StatusCode, body)
	}
	if resp, body := g.post("/wechat/login?appid="+otherApp, `{"code":"`+code+`"}`, "X-AppID: "+otherApp); resp.StatusCode != http.StatusOK ||
		g.wechat.Queries()[0].Get("appid") != testApp {
		t.Errorf("the site's own: %d %s", resp.StatusCode, body)
	}
}

// P11: whatever cannot be understood is refused.
func TestP11BrokenCredentialsAreRefused(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\noptional\n}"))
	for _, value := range []string{
		"Bearer", "Bearer ", "Bearer x", "Bearer a.b.c", "bearer null", "BEARER undefined", "Bearer " + strings.Repeat("a", 5000), "Bearer ..", "Bearer \x80\x81",
		"Bearer " + strings.Repeat(".", 1000), "Bearer\ta.b.c", "Bearer  a.b.c",
	} {
		answer := g.rawGet("GET", "/", "Authorization: "+value)
		if status := statusOf(answer); status != "401" && status != "400" {
			t.Errorf("%.40q: %s", value, status)
		}
		g.wantUntouched(t, value)
	}
}

// P12: many headers are work in proportion.
func TestP12ManyHeadersAreServed(t *testing.T) {
	g := newGateway(t)
	token := g.login(userA)
	var lines []string
	for i := range 150 { // Caddy takes 16 KiB of header by default
		lines = append(lines, fmt.Sprintf("X-H-%d: x", i), fmt.Sprintf("X~OpenID: %d", i))
	}
	g.rawGet("GET", "/", append(lines, bearerHeader(token))...)
	wantHonest(t, g.only(t), isA)
}

// P13: a login posted to a look-alike would give the code to the app.
func TestP13LookAlikesOfRoutesEndAtTheGateway(t *testing.T) {
	for _, site := range []string{"wechat_auth", "wechat_auth {\noptional\n}", "wechat_auth {\npublic /public/*\n}"} {
		g := newGateway(t, withSite(site))
		token := g.login(userA)
		calls := g.wechat.Calls()
		for _, path := range []string{
			"/wechat/login/", "/wechat/login;x", "/wechat/login%2f", "/wechat/login%20", "/wechat/login%09", "/WECHAT/LOGIN", "/Wechat/login", "/wechat//login", "//wechat/login",
			"/wechat/./login", "/x/../wechat/login", "/wechat/x/../login", "/wechat%2flogin", "/wechat%252flogin", `/wechat\login`, "/wechat%5clogin", "/%77echat/login",
			"/wechat/log%69n", "/wechat;v=1/login", "/wechat/login%00", "/wechat/login.", "/wechat/", "/wechat/nothing", "/wechat/login/x", "/wechat/..;/wechat/login", "/public/../wechat/login",
			"/public/%2e%2e/wechat/login", "/wechat/jwks.json", "/wechat/../x",
			"/wechat%ef%bc%8flogin", "/%ef%bd%97echat/login", "/wechat/%ef%bd%8cogin", "/x/%e2%80%a5/wechat/login", "/wechat%c2%a5login",
		} {
			request := "POST " + path + " HTTP/1.1\r\nHost: " + g.addr + "\r\nContent-Type: application/json\r\n" + bearerHeader(token) + "\r\nConnection: close\r\nContent-Length: 16\r\n\r\n{\"code\":\"secret\"}"
			answer := g.raw(request)
			if status := statusOf(answer); status != "404" && status != "400" {
				t.Errorf("%s: %s", path, status)
			}
			g.wantUntouched(t, path)
		}
		if g.wechat.Calls() != calls {
			t.Error("a look-alike logged in")
		}
		if answer := g.rawGet("GET", "/wechat", bearerHeader(token)); statusOf(answer) != "200" {
			t.Errorf("the prefix itself is the app's: %s", answer)
		}
	}
}
