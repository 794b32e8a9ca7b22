package caddymodule_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// O6: a token that comes many times is one logout.
func TestB5RepeatedTokenCookieIsOneLogout(t *testing.T) {
	seenEvents.Lock()
	seenEvents.events = nil
	seenEvents.Unlock()
	g := newGateway(t, withSite("wechat_auth {\ntoken cookie tok\n}"), func(g *gatewayTest) { g.extra = "events {\non wechat_logout wechat_test\n}" })
	token := g.login(userA)
	resp, body := g.do(http.MethodPost, "/wechat/logout", "", "Cookie: "+strings.Repeat("tok="+token+"; ", 20)+"a=b", "Sec-Fetch-Site: same-origin")
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("logout: %d %s", resp.StatusCode, body)
	}
	seenEvents.Lock()
	defer seenEvents.Unlock()
	if n := len(seenEvents.events); n != 1 {
		t.Errorf("%d events", n)
	}
}

// H6: who intercepts a refusal may be slow, and the next request on the connection, which
// behind a proxy is another user's, is none the worse for it.
func TestRefusalThatIsInterceptedLeavesTheConnectionGood(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(1500 * time.Millisecond) // longer than any deadline that an answer may leave behind
		_, _ = io.WriteString(w, "please log in")
	}))
	defer page.Close()
	to := strings.TrimPrefix(page.URL, "http://")
	g := newGateway(t, withSite("route {\nintercept {\n@refused status 401\nhandle_response @refused {\nroute {\nheader -Content-Length\nreverse_proxy "+to+
		"\n}\n}\n}\nwechat_auth {\npublic /open\n}\nreverse_proxy "+to+"\n}"))
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for _, path := range []string{"/", "/open"} {
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, g.addr)
		resp, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(path, err)
		}
		if body, _ := io.ReadAll(resp.Body); string(body) != "please log in" {
			t.Errorf("%s: %d %q", path, resp.StatusCode, body)
		}
	}
}
