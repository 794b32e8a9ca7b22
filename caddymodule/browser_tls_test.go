package caddymodule_test

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

// newTLSBrowsers is a gateway of Mini Programs, pages in WeChat and a website with TLS.
func newTLSBrowsers(t *testing.T, options string) *gatewayTest {
	t.Helper()
	return newGateway(t, withBrowsers(options, ""), func(g *gatewayTest) {
		g.scheme = "https"
		g.addr = strings.Replace(g.addr, "127.0.0.1", "localhost", 1)
		g.site = "tls " + selfSigned(t) + "\n" + g.site
	})
}

// tlsCookie logs a browser in, and returns the pair of the cookie that it gets.
func (g *gatewayTest) tlsCookie(t *testing.T, transport http.RoundTripper) string {
	t.Helper()
	headers := append([]string{userAgentWeChat}, navigation...)
	resp := g.tlsDo(t, transport, "GET", "/wechat/authorize?to=/orders", nil, headers...)
	wechat, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || resp.StatusCode != http.StatusFound {
		t.Fatalf("authorize: %d %v", resp.StatusCode, err)
	}
	back := wechat.Query().Get("redirect_uri")
	if !strings.HasPrefix(back, "https://"+g.addr+"/wechat/callback") || len(resp.Cookies()) != 1 {
		t.Fatalf("authorize: back to %s, cookies %v", back, resp.Cookies())
	}
	code := freshCode()
	g.wechat.AddCode(code, wechattest.User{AppID: officialApp, OpenID: openIDA, Scope: "snsapi_base"})
	path := strings.TrimPrefix(back, "https://"+g.addr) + "&code=" + code + "&state=" + wechat.Query().Get("state")
	state := resp.Cookies()[0]
	resp = g.tlsDo(t, transport, "GET", path, nil, append(headers, "Cookie: "+state.Name+"="+state.Value)...)
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/orders" {
		t.Fatalf("callback: %d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	for _, cookie := range resp.Cookies() {
		if cookie.Name != "__Host-wechat_session" {
			continue
		}
		if !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" {
			t.Errorf("the cookie %v", cookie.Raw[strings.IndexByte(cookie.Raw, ';'):])
		}
		return cookie.Name + "=" + cookie.Value
	}
	t.Fatal("no session cookie")
	return ""
}

// Header sets of real clients over TLS and every protocol (B11, B12).
func TestB11B12RealClientsOverEveryProtocol(t *testing.T) {
	g := newTLSBrowsers(t, "browser {\ntrust_origin https://pay.example\n}")
	for name, transport := range tlsTransports(t) {
		for client, headers := range map[string][]string{
			"page: WeChat on Android": {
				userAgentWeChat, "Accept: text/html,image/wxpic,*/*;q=0.8", "X-Requested-With: com.tencent.mm", "Sec-Fetch-Site: none",
				"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document",
			},
			"page: WeChat on iOS": {userAgentWeChat, "Accept: text/html,application/xhtml+xml,*/*;q=0.8"},
			"page: WeChat on Windows": {
				userAgentWeChat, "Accept: text/html,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7", "Sec-Fetch-Site: none",
				"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document",
			},
			"page: Firefox":                      {userAgentDesktop, "Accept: text/html,*/*;q=0.8", "Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: cross-site"},
			"page: Safari 15":                    {userAgentDesktop, "Accept: text/html,*/*;q=0.8"},
			"wx.request on Windows":              {userAgentWeChat, "Accept: */*", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"},
			"axios":                              {userAgentDesktop, "Accept: application/json, text/plain, */*"},
			"jQuery that loads HTML":             {userAgentDesktop, "Accept: text/html, */*; q=0.01", "X-Requested-With: XMLHttpRequest"},
			"fetch that asks for HTML":           {userAgentDesktop, "Accept: text/html", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"},
			"htmx":                               {userAgentDesktop, "Accept: text/html", "Hx-Request: true"},
			"a frame":                            {userAgentDesktop, "Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"},
			"a prefetch":                         {userAgentDesktop, "Accept: text/html", "Sec-Purpose: prefetch", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"},
			"curl":                               {"User-Agent: curl/8.5.0", "Accept: */*"},
			"navigate and cors, both":            {userAgentDesktop, "Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: document"},
			"a look-alike of what HTML is":       {userAgentDesktop, "Accept: text/html5"},
			"WeChat's request without an Accept": {userAgentWeChat},
		} {
			resp := g.tlsDo(t, transport, "GET", "/orders?x=1", nil, headers...)
			body, _ := io.ReadAll(resp.Body)
			if strings.HasPrefix(client, "page: ") {
				if resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != "/wechat/authorize?to=%2Forders%3Fx%3D1" {
					t.Errorf("%s, %s: %d to %q", name, client, resp.StatusCode, resp.Header.Get("Location"))
				}
			} else if resp.StatusCode != http.StatusUnauthorized || errorCode(string(body)) != "login_required" ||
				resp.Header.Get("Location") != "" {
				t.Errorf("%s, %s: %d %s", name, client, resp.StatusCode, body)
			}
		}
		cookie := "Cookie: " + g.tlsCookie(t, transport)
		token := bearerHeader(g.tlsLogin(t, transport))
		own := "Origin: https://" + g.addr
		for client, test := range map[string]struct {
			headers []string
			status  int
		}{
			"own page":                {[]string{"Sec-Fetch-Site: same-origin", own}, http.StatusOK},
			"trusted":                 {[]string{"Sec-Fetch-Site: cross-site", "Origin: https://pay.example"}, http.StatusOK},
			"another site":            {[]string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, http.StatusForbidden},
			"another site, no Origin": {[]string{"Sec-Fetch-Site: cross-site"}, http.StatusForbidden},
			"its plain namesake":      {[]string{"Origin: http://" + g.addr}, http.StatusForbidden},
			"a program":               {nil, http.StatusOK},
			"wx.request on Windows":   {[]string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors"}, http.StatusForbidden},
		} {
			resp := g.tlsDo(t, transport, "DELETE", "/orders/1", nil, append(test.headers, cookie)...)
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != test.status || test.status == http.StatusForbidden && errorCode(string(body)) != "cross_site" {
				t.Errorf("%s, %s: %d %s, want %d", name, client, resp.StatusCode, body, test.status)
			}
			if resp := g.tlsDo(t, transport, "DELETE", "/orders/1", nil, append(test.headers, token)...); resp.StatusCode != http.StatusOK {
				t.Errorf("%s, %s, with a token: %d", name, client, resp.StatusCode)
			}
		}
	}
}

// Early hints and answers of an app set no cookie of the gateway, over TLS either (B14).
func TestB14EarlyHintsOverTLSSetNoCookieOfTheGateway(t *testing.T) {
	g := newTLSBrowsers(t, "")
	g.app.answerWith(func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"__Host-wechat_session", "wechat_session", "__Host-wechat_session_out", "__Host-wechat_session_state_01234567", "wechat_session_snapshot"} {
			w.Header().Add("Set-Cookie", name+"=planted; Path=/; Secure")
		}
		w.Header().Add("Set-Cookie", "sid=kept; Path=/")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "hello")
	})
	for name, transport := range tlsTransports(t) {
		cookie := g.tlsCookie(t, transport)
		var hints []string
		hinted := false
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
			hinted, hints = true, append(hints, h["Set-Cookie"]...)
			return nil
		}})
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+g.addr+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Cookie", cookie)
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		for _, text := range append(hints, resp.Header["Set-Cookie"]...) {
			if !strings.HasPrefix(text, "sid=kept") {
				t.Errorf("%s: %s", name, text)
			}
		}
		if resp.StatusCode != http.StatusOK || !hinted || len(resp.Header["Set-Cookie"]) != 1 {
			t.Errorf("%s: %d, hinted %v, %v", name, resp.StatusCode, hinted, resp.Header)
		}
	}
}
