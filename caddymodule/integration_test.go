package caddymodule_test

import (
	"net/http"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

func TestLoginThenAppSeesUser(t *testing.T) {
	g := newGateway(t)
	token := g.login(wechattest.User{OpenID: openIDA, UnionID: unionIDA})
	resp, body := g.do(http.MethodGet, "/hello?x=1", "", bearerHeader(token))
	if want := "openid=" + openIDA + " unionid=" + unionIDA + " appid=" + testApp; resp.StatusCode != 200 || body != want {
		t.Fatalf("got %d %q, want %q", resp.StatusCode, body, want)
	}
}
