package caddymodule_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

const tripNonce = "0123456789abcdefghij"

// codeHeader is the header of a request that logs in on its way, with a new code.
func (g *gatewayTest) codeHeader(user wechattest.User) (code, header string) {
	code = freshCode()
	g.wechat.AddCode(code, user)
	return code, fmt.Sprintf("Authorization: WeChat-Code code=%q, nonce=%q", code, tripNonce)
}

// wantTrip fails unless an answer has one token that works, and is kept nowhere.
func (g *gatewayTest) wantTrip(t *testing.T, what string, resp *http.Response) string {
	t.Helper()
	got := resp.Header.Values("Authorization")
	if len(got) != 1 || !strings.HasPrefix(got[0], "Bearer ") || !slices.Equal(resp.Header.Values("X-WeChat-Expires-In"), []string{"7200"}) {
		t.Fatalf("%s: %d %v", what, resp.StatusCode, resp.Header)
	}
	if !slices.Equal(resp.Header.Values("Cache-Control"), []string{"no-store"}) {
		t.Errorf("%s: Cache-Control %q", what, resp.Header.Values("Cache-Control"))
	}
	for name := range resp.Header {
		switch identity.Fold(name) {
		case "etag", "x-accel-expires", "cdn-cache-control", "x-wechat-gateway":
			t.Errorf("%s: the client sees %s", what, name)
		}
	}
	token := strings.TrimPrefix(got[0], "Bearer ")
	if session, body := g.do(http.MethodGet, "/wechat/session", "", bearerHeader(token)); session.StatusCode != http.StatusOK {
		t.Errorf("%s: the token: %d %s", what, session.StatusCode, body)
	}
	return token
}

// speaksOfTokens is what an app says that plants tokens and wants its answer kept.
func speaksOfTokens(w http.ResponseWriter, r *http.Request) {
	plant := func(prefix string) {
		for _, name := range []string{"Authorization", "X-WeChat-Expires-In", "x_wechat_expires_in", "X.WeChat~Expires-In"} {
			w.Header()[prefix+name] = []string{"Bearer planted", "Bearer again"}
		}
	}
	if r.URL.Query().Has("hints") {
		plant("")
		w.WriteHeader(http.StatusEarlyHints)
	}
	plant("")
	w.Header().Set("ETag", `"1"`)
	w.Header().Set("Cache-Control", "public, max-age=600")
	w.Header().Set("CDN-Cache-Control", "max-age=600")
	w.Header().Set("X-Accel-Expires", "600")
	w.Header().Set("X-App", "yes")
	if r.URL.Query().Has("unmodified") {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	for _, name := range []string{"Authorization, X-Sum", "x_wechat_expires_in"} {
		w.Header().Add("Trailer", name)
	}
	if r.URL.Query().Has("broken") {
		w.WriteHeader(http.StatusBadGateway)
	}
	_, _ = io.WriteString(w, "hello")
	_ = http.NewResponseController(w).Flush()
	w.Header().Set("X-Sum", "1")
	plant(http.TrailerPrefix)
}

// K13: whoever answers, there is one token, of the gateway; without a login none.
func TestK13OneTripTokensAreTheGateways(t *testing.T) {
	for name, servers := range map[string]string{"by default": "", "without timeouts": noIdleTimeouts} {
		t.Run(name, func(t *testing.T) { testOneTripTokens(t, servers) })
	}
}

func testOneTripTokens(t *testing.T, servers string) {
	g := newGateway(t, func(g *gatewayTest) {
		g.servers = servers
		app := g.app.addr()
		g.site = "wechat_auth {\none_trip\npublic /public\noptional /optional\n}\n" +
			"handle /fails {\nerror 503\n}\nhandle /words {\nheader Authorization \"Bearer planted\"\nheader +etag x\nrespond hello 418\n}\nhandle /nothing {\nvars a b\n}\n" +
			"handle /away {\nreverse_proxy 127.0.0.1:1\n}\nhandle {\nreverse_proxy " + app + "\n}\nhandle_errors 503 {\nreverse_proxy " + app + "\n}"
	})
	g.app.answerWith(speaksOfTokens)
	for _, path := range []string{"/", "/?hints", "/?unmodified", "/?broken", "/optional", "/fails", "/fails?hints", "/fails?unmodified", "/words", "/nothing", "/away"} {
		_, code := g.codeHeader(userA)
		resp, _ := g.do(http.MethodGet, path, "", code)
		token := g.wantTrip(t, path, resp)
		_, code = g.codeHeader(userA)
		for what, lines := range map[string][]string{"with a code": {code}, "with a token": {bearerHeader(token)}} {
			reply := g.rawGet("GET", path, lines...)
			want := 0
			if what == "with a code" {
				want = 1
			}
			lower := strings.ToLower(reply)
			for _, name := range []string{"\r\nauthorization:", "\r\nx-wechat-expires-in:"} {
				if got := strings.Count(lower, name); got != want {
					t.Errorf("%s %s: %q %d times: %s", path, what, name, got, reply)
				}
			}
			if strings.Contains(reply, "planted") || strings.Contains(lower, "x_wechat") || strings.Contains(lower, "trailer: authorization") {
				t.Errorf("%s %s: %s", path, what, reply)
			}
			early, _, hinted := strings.Cut(lower, "\r\n\r\nhttp/1.1 ")
			if hinted != strings.Contains(path, "hints") || hinted && strings.Contains(early, "authorization") {
				t.Errorf("%s %s: %s", path, what, reply)
			}
		}
	}
	for _, path := range []string{"/public", "/optional"} {
		if resp, _ := g.do(http.MethodGet, path, ""); resp.Header.Get("X-App") != "yes" ||
			len(resp.Header.Values("Authorization")) > 0 || resp.Header.Get("ETag") == "" {
			t.Errorf("%s to nobody: %v", path, resp.Header)
		}
	}
}

// The same over HTTP/2 and HTTP/3, also where an answer has no body.
func TestK13OneTripOverNewerProtocols(t *testing.T) {
	g := newGateway(t, func(g *gatewayTest) { g.overTLS("one_trip\n", "") })
	g.app.answerWith(speaksOfTokens)
	for name, transport := range tlsTransports(t) {
		for _, path := range []string{"/", "/?unmodified", "/?broken"} {
			_, code := g.codeHeader(userA)
			resp := g.tlsDo(t, transport, "GET", path, nil, code)
			if _, err := io.ReadAll(resp.Body); err != nil {
				t.Fatal(err)
			}
			got := resp.Header.Values("Authorization")
			if len(got) != 1 || strings.Contains(got[0], "planted") || len(resp.Header.Values("X-WeChat-Expires-In")) != 1 ||
				resp.Header.Get("ETag") != "" || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: %d %v", name, path, resp.StatusCode, resp.Header)
			}
			for trailer, values := range resp.Trailer {
				if trailer != "X-Sum" && len(values) > 0 {
					t.Errorf("%s %s: trailer %s: %q", name, path, trailer, values)
				}
			}
		}
		_, code := g.codeHeader(userA)
		resp := g.tlsDo(t, transport, "POST", "/", http.Header{"X-Sum": {"1"}}, code)
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: a body of unknown length: %d", name, resp.StatusCode)
		}
	}
}

// One code is one session, whichever ways it comes, and the app gets the user alone.
func TestOneTripIsALogin(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\none_trip\noptional /optional\n}"), withGlobal("login_limit off"))
	code, header := g.codeHeader(wechattest.User{OpenID: openIDA, UnionID: unionIDA})
	resp, body := g.do(http.MethodPost, "/app?x=1", "data", header, "Authorization: Basic YTpi", "X-OpenID: forged", "X-WeChat-Expires-In: 1")
	token := g.wantTrip(t, "first", resp)
	seen := g.only(t)
	if seen.Body != "data" || seen.URI != "/app?x=1" || seen.Header.Get("X-OpenID") != openIDA ||
		!slices.Equal(seen.Header["Authorization"], []string{"Basic YTpi"}) || body == "" {
		t.Errorf("the app got %+v", seen)
	}
	for name, values := range seen.Header {
		if strings.Contains(strings.Join(values, ","), code) {
			t.Errorf("the app got the code in %s", name)
		}
	}
	// Again with the nonce: by the other way and by this.
	if _, body := g.post("/wechat/login", fmt.Sprintf(`{"code":%q,"nonce":%q}`, code, tripNonce)); grantOf(t, body).Token != token {
		t.Errorf("login with the nonce: %s", body)
	}
	resp, _ = g.do(http.MethodGet, "/optional", "", header)
	if again := g.wantTrip(t, "again", resp); again != token || g.wechat.Calls() != 1 {
		t.Errorf("again: another token, or %d calls of WeChat", g.wechat.Calls())
	}
	g.app.requests()
	for what, line := range map[string]string{"no nonce": "Authorization: wechat-code code=" + code, "another nonce": "Authorization: WeChat-Code code=" + code + ", nonce=abcdefghij0123456789"} {
		resp, body := g.do(http.MethodGet, "/optional", "", line)
		wantRefusal(t, what, resp, body, http.StatusUnauthorized, answer.CodeCodeUsed)
	}
	// A session that is over is not begun again by its nonce.
	g.do(http.MethodPost, "/wechat/logout", "", bearerHeader(token))
	resp, body = g.do(http.MethodGet, "/", "", header)
	wantRefusal(t, "after a logout", resp, body, http.StatusUnauthorized, answer.CodeSessionEnded)
	g.wantUntouched(t, "refused")

	release := g.wechat.Hold()
	_, header = g.codeHeader(wechattest.User{OpenID: openIDB})
	before := g.wechat.Calls()
	tokens := make([]string, 8)
	var group sync.WaitGroup
	for i := range tokens {
		group.Go(func() {
			resp, _ := g.do(http.MethodGet, "/", "", header)
			tokens[i] = resp.Header.Get("Authorization")
		})
	}
	release()
	group.Wait()
	if tokens[0] == "" || len(slices.Compact(tokens)) != 1 || g.wechat.Calls() != before+1 {
		t.Errorf("at once: %d tokens, %d calls of WeChat", len(slices.Compact(tokens)), g.wechat.Calls()-before)
	}
}

// What cannot carry a code is refused with the code unspent, and the app hears nothing.
func TestOneTripRefusesWhatCannotCarryACode(t *testing.T) {
	g := newGateway(t, func(g *gatewayTest) {
		g.servers = "trusted_proxies static 127.0.0.1/32"
		g.site = "wechat_auth {\none_trip\npublic /public\noptional /optional\n}"
	})
	token := g.login(userA)
	calls := g.wechat.Calls()
	code, header := g.codeHeader(userA)
	for what, lines := range map[string][]string{
		"a WebSocket":             {header, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="},
		"another upgrade":         {header, "Connection: Upgrade", "Upgrade: h2c"},
		"a token":                 {header, bearerHeader(token)},
		"a bad token":             {header, bearerHeader("bad")},
		"two codes":               {header, header},
		"two codes in a line":     {header + ", WeChat-Code code=abc"},
		"a code twice":            {header + ", code=" + code},
		"a nonce twice":           {header + `, Nonce="` + tripNonce + `"`},
		"something else":          {header + `, openid="` + openIDA + `"`},
		"nothing":                 {"Authorization: WeChat-Code"},
		"no code":                 {`Authorization: WeChat-Code nonce="` + tripNonce + `"`},
		"an empty code":           {`Authorization: WeChat-Code code=""`},
		"an empty nonce":          {`Authorization: WeChat-Code code="` + code + `", nonce=""`},
		"a short nonce":           {`Authorization: WeChat-Code code="` + code + `", nonce="a"`},
		"another app":             {`Authorization: WeChat-Code code="` + code + `", appid="` + otherApp + `"`},
		"an open quote":           {`Authorization: WeChat-Code code="` + code},
		"a bare code":             {"Authorization: WeChat-Code " + code},
		"a long code":             {"Authorization: WeChat-Code code=" + strings.Repeat("a", 129)},
		"a code of other letters": {`Authorization: WeChat-Code code="a b"`},
	} {
		for _, path := range []string{"/", "/optional"} {
			reply := g.rawGet("POST", path, lines...)
			if strings.HasPrefix(what, "a WebSocket") {
				reply = g.rawGet("GET", path, lines...)
			}
			if statusOf(reply) != "400" || !strings.Contains(reply, answer.CodeInvalidRequest) ||
				strings.Contains(reply, "\r\nAuthorization:") || strings.Contains(reply, code) || strings.Contains(reply, " 100 ") {
				t.Errorf("%s: %s", what, reply)
			}
		}
	}
	resp, body := g.do(http.MethodPost, "/", strings.Repeat("a", 64<<10+1), header)
	wantRefusal(t, "a big body", resp, body, http.StatusBadRequest, answer.CodeInvalidRequest)
	if reply := g.raw("POST / HTTP/1.1\r\nHost: " + g.addr + "\r\n" + header + "\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n0\r\n\r\n"); statusOf(reply) != "400" {
		t.Errorf("a body of unknown length: %s", reply)
	}
	if reply := g.rawGet("GET", "/", header, "Early-Data: 1"); statusOf(reply) != "425" {
		t.Errorf("early data: %s", reply)
	}
	g.wantUntouched(t, "refused")
	// On public it is nobody's, on gateway routes no token, and in neither case spent.
	for _, line := range []string{header, header + ", code=" + code, "Authorization: WeChat-Code"} {
		if reply := g.rawGet("GET", "/public", line); statusOf(reply) != "200" || strings.Contains(reply, "Bearer") {
			t.Errorf("public: %s", reply)
		}
		if seen := g.only(t).Header; seen["Authorization"] != nil || seen["X-Openid"] != nil {
			t.Errorf("public: the app got %v", seen)
		}
		if reply := g.rawGet("GET", "/wechat/session", line); statusOf(reply) != "401" {
			t.Errorf("session: %s", reply)
		}
	}
	if got := g.wechat.Calls(); got != calls {
		t.Fatalf("%d calls of WeChat", got-calls)
	}
	resp, _ = g.do(http.MethodPost, "/", strings.Repeat("a", 64<<10), header)
	g.wantTrip(t, "at last", resp)
	if got := g.only(t); len(got.Body) != 64<<10 {
		t.Errorf("the app got %d bytes", len(got.Body))
	}
}

// A failed login is answered before the body is read, and as login answers.
func TestOneTripFailsAsLoginDoes(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\none_trip\noptional /optional\n}"), withGlobal("login_limit 4 1h"))
	for _, test := range []struct {
		errcode, status int
		code            string
	}{{40029, 401, answer.CodeCodeRejected}, {40226, 403, answer.CodeUserBlocked}, {40125, 502, answer.CodeGatewayMisconfigured}} {
		g.wechat.Next(wechattest.Answer{Body: fmt.Sprintf(`{"errcode":%d,"errmsg":"no"}`, test.errcode)})
		_, header := g.codeHeader(userA)
		reply := g.rawGet("POST", "/optional", header)
		if statusOf(reply) != fmt.Sprint(test.status) || !strings.Contains(reply, "X-Wechat-Gateway: "+test.code) {
			t.Errorf("%d: %s", test.errcode, reply)
		}
	}
	_, header := g.codeHeader(userA)
	resp, _ := g.do(http.MethodGet, "/", "", header)
	g.wantTrip(t, "the fourth", resp)
	g.only(t)
	_, header = g.codeHeader(userA)
	resp, body := g.do(http.MethodGet, "/", "", header)
	wantRefusal(t, "the fifth", resp, body, http.StatusTooManyRequests, answer.CodeRateLimited)
	g.wantUntouched(t, "refused")
}

// Without one_trip the scheme is the app's, and so are the headers of its answers.
func TestOneTripIsOffByDefault(t *testing.T) {
	g := newGateway(t, withSite("wechat_auth {\noptional\n}"))
	_, header := g.codeHeader(userA)
	g.app.answerWith(speaksOfTokens)
	resp, _ := g.do(http.MethodGet, "/", "", header)
	if seen := g.only(t).Header; !strings.HasPrefix(seen.Get("Authorization"), "WeChat-Code ") || seen["X-Openid"] != nil ||
		g.wechat.Calls() != 0 {
		t.Errorf("the app got %v", seen)
	}
	if got := resp.Header.Get("Authorization"); got != "Bearer planted" {
		t.Errorf("the client got %q", got)
	}
}

// The token's place of the site is another matter; beside a code it is refused there.
func TestOneTripWithOtherCarriers(t *testing.T) {
	for carrier, line := range map[string]string{"header X-Token": "X-Token: ", "cookie sid": "Cookie: sid="} {
		g := newGateway(t, withSite("wechat_auth {\none_trip\ntoken "+carrier+"\n}"))
		_, header := g.codeHeader(userA)
		resp, body := g.do(http.MethodGet, "/", "", header, line+"abc")
		wantRefusal(t, carrier, resp, body, http.StatusBadRequest, answer.CodeInvalidRequest)
		resp, _ = g.do(http.MethodGet, "/", "", header, "Sec-Fetch-Site: cross-site")
		token := resp.Header.Get("Authorization")
		if resp.StatusCode != http.StatusOK || len(resp.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %d %v", carrier, resp.StatusCode, resp.Header)
		}
		if resp, body := g.do(http.MethodGet, "/", "", line+strings.TrimPrefix(token, "Bearer ")); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: the token: %d %s", carrier, resp.StatusCode, body)
		}
	}
}
