package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

// signURL returns the signed URL of a path.
func (g *gatewayTest) signURL(token, path string) string {
	g.t.Helper()
	resp, body := g.post("/wechat/sign", fmt.Sprintf(`{"path":%q,"expires_in":300}`, path), bearerHeader(token))
	var answer struct {
		URL       string `json:"url"`
		ExpiresIn int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || resp.StatusCode != http.StatusOK || answer.ExpiresIn < 299 ||
		answer.ExpiresIn > 360 {
		g.t.Fatalf("signing %s: %d %s %v", path, resp.StatusCode, body, err)
	}
	signature := answer.URL[strings.LastIndex(answer.URL, "=")+1:]
	if !strings.HasPrefix(answer.URL, path) || len(signature) > 200 || strings.Contains(answer.URL, openIDA) {
		g.t.Fatalf("URL %s", answer.URL)
	}
	return answer.URL
}

// The app sees the user and not the signature; a picture is private and ends with it
// (K9, K10).
func TestSignedURLOpensOneThing(t *testing.T) {
	g := newGateway(
		t,
		withSite("route {\nwechat_auth\nheader X-Saw \"{http.request.uri} {http.request.orig_uri} {http.request.orig_uri.query} {http.request.uri.query}\"\n}"),
	)
	g.app.answerWith(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", r.Header.Get("X-Want"))
		w.Header().Set("Cdn-Cache-Control", "public, max-age=9999")
		w.Header().Set("Expires", "Fri, 01 Jan 2100 00:00:00 GMT")
	})
	token := g.login(wechattest.User{OpenID: openIDA, UnionID: unionIDA})
	for _, path := range []string{"/pic.png", "/pic.png?w=1&h=2", "/pic.png?", "/%E5%9B%BE.png?q=%2F"} {
		signed := g.signURL(token, path)
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			resp, body := g.do(method, signed, "", "X-Want: public, max-age=86400")
			seen := g.app.requests()
			if resp.StatusCode != http.StatusOK || len(seen) != 1 || seen[0].Header.Get("X-OpenID") != openIDA || seen[0].Header.Get("X-UnionID") != unionIDA ||
				strings.TrimSuffix(seen[0].URI, "?") != strings.TrimSuffix(path, "?") {
				t.Fatalf("%s %s: %d %s; the app saw %+v", method, path, resp.StatusCode, body, seen)
			}
			var age int
			if _, err := fmt.Sscanf(resp.Header.Get("Cache-Control"), "private, max-age=%d", &age); err != nil || age < 200 || age > 360 ||
				resp.Header.Get("Referrer-Policy") != "no-referrer" || resp.Header.Get("Expires")+resp.Header.Get("Cdn-Cache-Control") != "" {
				t.Errorf("answer %v", resp.Header)
			}
			if saw := fmt.Sprint(resp.Header, seen[0].Header); strings.Contains(saw, "wechat_sig") || resp.Header.Get("X-Saw") == "" {
				t.Errorf("the signature travels on: %s", saw)
			}
		}
		if resp, _ := g.do(http.MethodGet, signed, "", "X-Want: private, no-store"); resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("no-store became %q", resp.Header.Get("Cache-Control"))
		}
		g.app.requests()
	}
}

// Whatever is not exactly what was signed is nobody's (K3, P5).
func TestK3SignatureIsForOneAddress(t *testing.T) {
	g := newGateway(t)
	token := g.login(wechattest.User{OpenID: openIDA})
	signed := g.signURL(token, "/a/pic.png?x=1&y=2")
	_, sig, _ := strings.Cut(signed, "&wechat_sig=")
	sig = "wechat_sig=" + sig
	swapped := []byte(sig)
	swapped[len(swapped)-30] ^= 1
	for _, uri := range []string{
		"/a/pic.png?" + sig, "/a/pic.png?x=1&" + sig, "/a/pic.png?y=2&x=1&" + sig, "/a/pic.png?x=1&y=2&z=3&" + sig,
		"/a/pic.png?" + sig + "&x=1&y=2", "/a/pic.png?x=1&y=2&" + sig + "&" + sig, "/a/pic.png?x=1&y=2&" + sig + "&z=1", "/a/pic.png?x=1&y=%32&" + sig,
		"/A/pic.png?x=1&y=2&" + sig, "/a/pic.PNG?x=1&y=2&" + sig, "//a/pic.png?x=1&y=2&" + sig, "/a//pic.png?x=1&y=2&" + sig, "/a/./pic.png?x=1&y=2&" + sig,
		"/a/b/../pic.png?x=1&y=2&" + sig, "/a/..;/a/pic.png?x=1&y=2&" + sig, "/a/%70ic.png?x=1&y=2&" + sig, "/a%2fpic.png?x=1&y=2&" + sig, `/a\pic.png?x=1&y=2&` + sig,
		"/a/pic.png/?x=1&y=2&" + sig, "/a/pic.png;?x=1&y=2&" + sig, "/a/%252e%252e/a/pic.png?x=1&y=2&" + sig,
		"/a/pic.png?x=1&y=2&wechat%5Fsig=" + sig[len("wechat_sig="):], "/a/pic.png?x=1&y=2&WECHAT_SIG=" + sig[len("wechat_sig="):],
		"/a/pic.png?x=1&y=2&" + string(swapped), "/a/pic.png?x=1&y=2&" + sig + "=", "/a/pic.png?x=1&y=2&" + sig[:len(sig)-1], "/a/pic.png?x=1&y=2&wechat_sig=",
		"/wechat/session?" + sig, "/?" + sig,
	} {
		answer := g.raw("GET " + uri + " HTTP/1.1\r\nHost: " + g.addr + "\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 401") || !strings.Contains(answer, "login_required") {
			t.Errorf("%s: %s", uri, answer)
		}
	}
	for name, request := range map[string]string{
		"POST":       "POST " + signed + " HTTP/1.1\r\nHost: " + g.addr + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		"an upgrade": "GET " + signed + " HTTP/1.1\r\nHost: " + g.addr + "\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
	} {
		if answer := g.raw(request); !strings.HasPrefix(answer, "HTTP/1.1 401") {
			t.Errorf("%s: %s", name, answer)
		}
	}
	if seen := g.app.requests(); len(seen) > 0 {
		t.Errorf("the app saw %+v", seen)
	}
	// A live token counts instead; one that does not count does not spoil it.
	other := g.login(wechattest.User{OpenID: openIDB})
	for header, want := range map[string]string{bearerHeader(other): openIDB, "Authorization: Bearer nonsense": openIDA} {
		g.do(http.MethodGet, signed, "", header)
		if seen := g.app.requests(); len(seen) != 1 || seen[0].Header.Get("X-OpenID") != want ||
			strings.Contains(seen[0].URI, "wechat_sig") || seen[0].Header.Get("Authorization") != "" {
			t.Errorf("%s: the app saw %+v", header, seen)
		}
	}
}

func TestK3SignatureEndsWithItsSession(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\npublic /open\noptional /maybe\n}"))
	token := g.login(wechattest.User{OpenID: openIDA})
	signed, maybe := g.signURL(token, "/pic.png"), g.signURL(token, "/maybe")
	begun := make(chan struct{})
	g.app.stream(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(begun)
	})
	resp, err := http.Get(g.url(signed))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp, body := g.post("/wechat/logout", "", bearerHeader(token)); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("the begun answer looks complete")
	}
	<-begun
	g.app.stream(nil)
	for _, url := range []string{signed, maybe} {
		resp, body := g.do(http.MethodGet, url, "", "Accept: application/json")
		if resp.StatusCode != http.StatusUnauthorized || errorCode(body) != "session_ended" {
			t.Errorf("%s: %d %s", url, resp.StatusCode, body)
		}
	}
	g.do(http.MethodGet, "/open?wechat_sig=x&wechat%5fsig=y&a=1", "")
	if seen := g.app.requests(); len(seen) != 1 || seen[0].URI != "/open?a=1" {
		t.Errorf("on a public path the app saw %+v", seen)
	}
}

func TestSignRefusesWhatIsNoPath(t *testing.T) {
	g := newGateway(t, withBrowsers("", ""))
	g.wechat.AddCode("mini-code", wechattest.User{AppID: testApp, OpenID: openIDA})
	_, body := g.post("/wechat/login", `{"code":"mini-code"}`)
	token := bearerHeader(grantOf(t, body).Token)
	many := strings.TrimSuffix(strings.Repeat(`"/a",`, 51), ",")
	for _, body := range []string{
		``, `[]`, `{}`, `{"path":1}`, `{"path":""}`, `{"path":"a"}`, `{"path":"/a","paths":["/b"]}`, `{"paths":[]}`, `{"paths":"/a"}`, `{"paths":null}`, `{"paths":[null]}`, `{"paths":["/a",7]}`,
		`{"paths":[` + many + `]}`, `{"path":"//a"}`, `{"path":"/a/../b"}`, `{"path":"/a b"}`, `{"path":"/a#b"}`, `{"path":"/a?b#c"}`, `{"path":"/a?b c"}`, `{"path":"https://example.com/a"}`,
		`{"path":"/a?wechat_sig=x"}`, `{"path":"/a?wechat%5Fsig=x"}`, `{"path":"/wechat/session"}`, `{"path":"/WeChat/session"}`, `{"path":"/wechat"}`, `{"path":"/` + strings.Repeat("a", 2048) + `"}`,
		`{"path":"/a","expires_in":9}`, `{"path":"/a","expires_in":3601}`, `{"path":"/a","expires_in":"60"}`, `{"path":"/a","expires_in":9223372036854775807}`, `{"path":"/a","expires_in":-60}`,
	} {
		if resp, answer := g.post("/wechat/sign", body, token); resp.StatusCode != http.StatusBadRequest ||
			errorCode(answer) != "invalid_request" {
			t.Errorf("%.60s: %d %s", body, resp.StatusCode, answer)
		}
	}
	if resp, answer := g.post("/wechat/sign", `{"paths":["/b?x=1","/a"],"expires_in":10}`, token); resp.StatusCode != http.StatusOK ||
		!strings.Contains(answer, `{"urls":["/b?x=1\u0026wechat_sig=`) {
		t.Errorf("%d %s", resp.StatusCode, answer)
	}
	if resp, answer := g.post("/wechat/sign", `{"path":"`+strings.Repeat("a", 65<<10)+`"}`, token); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", resp.StatusCode, answer)
	}
	s := g.surfer(userAgentWeChat)
	s.logIn("/", pageUser)
	if resp, answer := s.send(http.MethodPost, "/wechat/sign", `{"path":"/a"}`, "Content-Type: application/json", "Sec-Fetch-Site: same-origin"); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("by cookie: %d %s", resp.StatusCode, answer)
	}
	// A page load with a signature that does not count is not sent to WeChat.
	if resp, answer := g.surfer(userAgentWeChat).load("/a?wechat_sig=x"); resp.StatusCode != http.StatusUnauthorized ||
		resp.Header.Get("Location") != "" {
		t.Errorf("challenged: %d %s", resp.StatusCode, answer)
	}
}

// While Redis is away nothing is signed and nothing signed passes, grace or not.
func TestSignedURLNeedsTheStore(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	g := newGateway(t, withGlobal(redisGlobal(server, "on_failure grace 10m")))
	token := g.login(wechattest.User{OpenID: openIDA})
	signed := g.signURL(token, "/pic.png")
	if resp, body := g.do(http.MethodGet, signed, ""); resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	server.Kill()
	eventually(t, "the node knows that Redis is away", func() bool {
		resp, _ := g.post("/wechat/renew", "", bearerHeader(token))
		return resp.StatusCode == http.StatusServiceUnavailable
	})
	if resp, body := g.do(http.MethodGet, "/", "", bearerHeader(token)); resp.StatusCode != http.StatusOK {
		t.Errorf("the control passes by grace: %d %s", resp.StatusCode, body)
	}
	if resp, body := g.do(http.MethodGet, signed, ""); resp.StatusCode != http.StatusServiceUnavailable ||
		errorCode(body) != "store_unavailable" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, body := g.post("/wechat/sign", `{"path":"/a"}`, bearerHeader(token)); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}
