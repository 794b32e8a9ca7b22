package caddymodule_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

func withCloudHosting(options string) func(*gatewayTest) {
	return withSite("wechat_auth {\npublic /open\noptional /maybe\nheaders cloud_hosting {\n" + options + "\n}\n}")
}

// wxHeaders are the X-WX headers of the one request that the app got.
func (g *gatewayTest) wxHeaders() map[string]string {
	g.t.Helper()
	seen := g.app.requests()
	if len(seen) != 1 {
		g.t.Fatalf("the app got %d requests", len(seen))
	}
	got := make(map[string]string)
	for name, values := range seen[0].Header {
		if lower := strings.ToLower(name); strings.Contains(lower, "x-wx-") || strings.Contains(lower, "openid") || strings.Contains(lower, "appid") {
			got[lower] = strings.Join(values, "|")
		}
	}
	return got
}

func TestCloudHostingAppsSeeTheirHeaders(t *testing.T) {
	g := newGateway(t, withCloudHosting("env_id prod-1"))
	token := g.login(wechattest.User{OpenID: openIDA, UnionID: unionIDA})
	forged := []string{
		bearerHeader(token), "X-WX-OPENID: oFORGED", "x_wx_source: wx_client", "X-Wx-From-Openid: oFORGED", "X.WX.Unionid: uFORGED",
		"X-OpenID: oFORGED", "X-WX-EXCLUDE-CREDENTIALS: unionid", "X-WX-SERVICE: main", "X-WX-Anything: x",
	}
	g.do(http.MethodGet, "/", "", forged...)
	want := map[string]string{
		"x-wx-openid": openIDA, "x-wx-appid": testApp, "x-wx-source": "wx_client", "x-wx-env": "prod-1",
	}
	if got := g.wxHeaders(); len(got) != len(want) || got["x-wx-openid"] != want["x-wx-openid"] || got["x-wx-appid"] != want["x-wx-appid"] ||
		got["x-wx-source"] != want["x-wx-source"] || got["x-wx-env"] != want["x-wx-env"] {
		t.Errorf("the app sees %v, want %v", got, want)
	}
	// Without a session there is nothing, in particular no source.
	for _, path := range []string{"/open", "/maybe"} {
		headers := forged[1:]
		if path == "/open" {
			headers = forged
		}
		g.do(http.MethodGet, path, "", headers...)
		if got := g.wxHeaders(); len(got) != 0 {
			t.Errorf("%s: the app sees %v", path, got)
		}
	}
}

// Services of one environment are told apart by what the client names.
func TestServiceRoutesAndIsRemoved(t *testing.T) {
	orders := newRecorder(t)
	g := newGateway(t, func(g *gatewayTest) {
		g.site = "wechat_auth {\nheaders cloud_hosting\n}\n@orders header X-WX-SERVICE orders\nhandle @orders {\nreverse_proxy " + orders.addr() +
			"\n}\nhandle {\nreverse_proxy " + g.app.addr() + "\n}"
	})
	token := g.login(userA)
	g.do(http.MethodGet, "/a", "", bearerHeader(token), "X-WX-SERVICE: orders", "Connection: X-WX-Service, X-WX-OPENID")
	g.do(http.MethodGet, "/b", "", bearerHeader(token), "X-WX-SERVICE: other")
	g.do(http.MethodGet, "/c", "", bearerHeader(token))
	at := orders.requests()
	if len(at) != 1 || at[0].URI != "/a" || at[0].Header.Get("X-WX-Openid") != openIDA {
		t.Errorf("orders got %v", at)
	}
	rest := g.app.requests()
	if len(rest) != 2 {
		t.Errorf("the app got %v", rest)
	}
	for _, r := range append(at, rest...) {
		if r.Header.Get("X-WX-SERVICE") != "" {
			t.Errorf("%s: the service reaches the app", r.URI)
		}
	}
}

// Session and user of the app's own are no headers of a preset: they go with each, under
// the names they are given.
func TestCloudHostingHasHeadersBesideIt(t *testing.T) {
	hook := newHookApp(t)
	hook.say(http.StatusOK, `{"user_id":"42"}`)
	g := newGateway(t, withGlobal(hook.option("")), withAdmin, withSite("wechat_auth {\nheaders cloud_hosting\nheader session_id X-Session\nheader user_id X-Customer\n}"))
	token := g.login(userA)
	g.do(http.MethodGet, "/", "", bearerHeader(token), "X_Session: forged", "X-Customer: forged", "X-WeChat-User-ID: forged")
	got := g.only(t).Header
	_, sessionID := g.operate(http.MethodPost, "/wechat/sessions/list", `{"appid":"`+testApp+`","openid":"`+openIDA+`"}`)
	if session := got["X-Session"]; len(session) != 1 || !strings.Contains(sessionID, `"session_id":"`+session[0]+`"`) {
		t.Errorf("session %q of %s", session, sessionID)
	}
	if !slices.Equal(got["X-Customer"], []string{"42"}) || got["X-Wechat-User-Id"] != nil || got.Get("X-WX-OPENID") != openIDA {
		t.Errorf("the app sees %v", got)
	}
}

func TestSharedResourcesNameTheCaller(t *testing.T) {
	g := newGateway(t, withCloudHosting("reuse "+otherApp))
	g.do(http.MethodGet, "/", "", bearerHeader(g.login(userA)))
	got := g.wxHeaders()
	if got["x-wx-from-openid"] != openIDA || got["x-wx-from-appid"] != testApp || got["x-wx-appid"] != otherApp || got["x-wx-openid"] != "" {
		t.Errorf("the app sees %v", got)
	}
}

// assertionOf returns header and claims after checking the signature against the
// published keys, with nothing of the gateway's own code.
func (g *gatewayTest) assertionOf(text string) (header, claims map[string]any) {
	g.t.Helper()
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		g.t.Fatalf("not a JWT: %q", text)
	}
	decode := func(part string) (object map[string]any) {
		data, err := base64.RawURLEncoding.DecodeString(part)
		if err == nil {
			err = json.Unmarshal(data, &object)
		}
		if err != nil {
			g.t.Fatalf("part of a JWT: %v", err)
		}
		return object
	}
	header, claims = decode(parts[0]), decode(parts[1])
	resp, body := g.do(http.MethodGet, "/wechat/jwks.json", "")
	if resp.StatusCode != http.StatusOK || !strings.Contains(resp.Header.Get("Cache-Control"), "max-age=300") {
		g.t.Fatalf("jwks.json: %d %v", resp.StatusCode, resp.Header)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		g.t.Fatal(err)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		g.t.Fatal(err)
	}
	for _, key := range set.Keys {
		if key["kid"] != header["kid"] || key["kty"] != "OKP" || key["crv"] != "Ed25519" || key["d"] != "" {
			continue
		}
		public, err := base64.RawURLEncoding.DecodeString(key["x"])
		if err != nil || !ed25519.Verify(public, []byte(parts[0]+"."+parts[1]), signature) {
			g.t.Fatalf("the signature is wrong: %v", err)
		}
		return header, claims
	}
	g.t.Fatalf("no published key for %v: %s", header, body)
	return nil, nil
}

func TestAssertionVerifies(t *testing.T) {
	for name, global := range map[string]string{"own keys": "", "derived keys": "signing_key " + testKey} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, withGlobal(global), withSite("wechat_auth {\npublic /open\nassertion X-Signed-User {\naudience shop\nlifetime 30s\n}\n}"))
			token := g.login(wechattest.User{OpenID: openIDA, UnionID: unionIDA})
			var texts []string
			for range 3 {
				g.do(http.MethodGet, "/", "", bearerHeader(token), "X-Signed-User: forged", "x_signed_user: forged")
				seen := g.app.requests()
				if len(seen) != 1 || len(seen[0].Header["X-Signed-User"]) != 1 || len(seen[0].Header["X_signed_user"]) != 0 {
					t.Fatalf("the app sees %v", seen)
				}
				texts = append(texts, seen[0].Header.Get("X-Signed-User"))
			}
			if texts[0] != texts[1] || texts[1] != texts[2] {
				t.Error("signed again within its half-life")
			}
			header, claims := g.assertionOf(texts[0])
			if header["alg"] != "EdDSA" || header["typ"] != "wxgw-assertion+jwt" {
				t.Errorf("header %v", header)
			}
			iat, _ := claims["iat"].(float64)
			exp, _ := claims["exp"].(float64)
			if exp-iat != 30 || time.Unix(int64(iat), 0).Before(time.Now().Add(-time.Minute)) {
				t.Errorf("from %v to %v", iat, exp)
			}
			if claims["iss"] != "caddy-wechat" || claims["sub"] != openIDA || claims["appid"] != testApp || claims["unionid"] != unionIDA ||
				claims["aud"] != "shop" || len(claims) != 7 {
				t.Errorf("claims %v", claims)
			}
			for _, spelling := range []string{"X-Signed-User", "x_signed_user", "X~Signed.User"} {
				g.do(http.MethodGet, "/open", "", spelling+": forged")
				if seen := g.app.requests(); len(seen) != 1 || strings.Contains(fmt.Sprint(seen[0].Header), "forged") {
					t.Errorf("without a login the app sees %v", seen)
				}
			}
			// It is no token: another type, another key.
			g.wantToken(texts[0], "login_required", 401)
			// Keys and sessions outlive a reload.
			if err := load(g.caddyfile()); err != nil {
				t.Fatal(err)
			}
			g.assertionOf(texts[0])
		})
	}
}

func TestNoKeysArePublishedWithoutAssertions(t *testing.T) {
	g := newGateway(t)
	resp, body := g.do(http.MethodGet, "/wechat/jwks.json", "")
	wantCode(t, "jwks.json", resp.StatusCode, body, "not_found", 404)
}
