package wechat

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/providertest"
	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/secret"
)

// errors of every call, in WeChat's numbers.
var sharedErrors = map[string]error{
	`{"errcode":-1}`: provider.ErrUnavailable, `{"errcode":40029,"errmsg":"x"}`: provider.ErrCodeRejected, `{"errcode":41008}`: provider.ErrCodeRejected,
	`{"errcode":"40163"}`: provider.ErrCodeUsed, `{"errcode":40226}`: provider.ErrUserBlocked, `{"errcode":45011}`: provider.ErrRateLimited,
	`{"errcode":45009}`: provider.ErrQuota, `{"errcode":40013}`: provider.ErrMisconfigured, `{"errcode":12345}`: provider.ErrBadAnswer,
}

const oauth2Success = `{"access_token":"x","expires_in":7200,"refresh_token":"y","openid":"` + providertest.OpenID + `","scope":"snsapi_base,snsapi_userinfo,snsapi_login,"}`

func TestProvidersPassTheContract(t *testing.T) {
	for name, tc := range map[string]struct {
		of      func(*Client) provider.Provider
		success string
	}{
		"mini_program":     {func(c *Client) provider.Provider { return MiniProgram{c} }, `{"openid":"` + providertest.OpenID + `","session_key":"` + wechattest.SessionKey + `"}`},
		"mobile":           {func(c *Client) provider.Provider { return Mobile{c} }, oauth2Success},
		"official_account": {func(c *Client) provider.Provider { return OfficialAccount{c, DefaultAuthorizeBase} }, oauth2Success},
		"website":          {func(c *Client) provider.Provider { return Website{c, DefaultAuthorizeBase} }, oauth2Success},
	} {
		t.Run(name, func(t *testing.T) {
			providertest.Run(t, providertest.Subject{
				New: func(t *testing.T, base string, timeout time.Duration) provider.Provider {
					return tc.of(newClient(t, timeout, base))
				},
				API: func() http.Handler {
					fake := wechattest.New(providertest.AccountID, providertest.Secret)
					fake.AddCode(providertest.Code, wechattest.User{OpenID: providertest.OpenID, UnionID: providertest.UnionID})
					return fake
				},
				Success: tc.success, Errors: sharedErrors,
			})
		})
	}
}

func TestOAuth2Answers(t *testing.T) {
	const member = `"openid":"` + openID + `"`
	for name, tc := range map[string]struct {
		body, asked string
		want        provider.User
		err         error
	}{
		"silent":              {`{` + member + `,"scope":"snsapi_base"}`, ScopeBase, provider.User{OpenID: openID, Silent: true}, nil},
		"silent with unionid": {`{` + member + `,"unionid":"` + unionID + `"}`, ScopeBase, provider.User{OpenID: openID, UnionID: unionID, Silent: true}, nil},
		"with consent":        {`{` + member + `,"scope":"snsapi_base,snsapi_userinfo,"}`, ScopeUserInfo, provider.User{OpenID: openID}, nil},
		"no scope":            {`{` + member + `,"scope":null}`, ScopeUserInfo, provider.User{OpenID: openID}, nil},
		"nothing asked":       {`{` + member + `,"scope":"snsapi_userinfo"}`, "", provider.User{OpenID: openID}, nil},
		"another scope":       {`{` + member + `,"scope":"snsapi_base"}`, ScopeUserInfo, provider.User{}, provider.ErrBadAnswer},
		"scope is a list":     {`{` + member + `,"scope":["snsapi_userinfo"]}`, ScopeUserInfo, provider.User{}, provider.ErrBadAnswer},
		"no snapshot":         {`{` + member + `,"is_snapshotuser":0}`, "", provider.User{OpenID: openID}, nil},
		"a snapshot":          {`{` + member + `,"is_snapshotuser":1}`, "", provider.User{}, provider.ErrSnapshotUser},
		"as text":             {`{` + member + `,"is_snapshotuser":"1"}`, "", provider.User{}, provider.ErrSnapshotUser},
		"another number":      {`{` + member + `,"is_snapshotuser":2}`, "", provider.User{}, provider.ErrSnapshotUser},
		"a boolean":           {`{` + member + `,"is_snapshotuser":true}`, "", provider.User{}, provider.ErrSnapshotUser},
		"without openid":      {`{"access_token":"x","unionid":"` + unionID + `"}`, "", provider.User{}, provider.ErrBadAnswer},
	} {
		user, err := parseOAuth2([]byte(tc.body), tc.asked)
		if user != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("%s: %+v, %v", name, user, err)
		}
	}
}

// The order of parameters and the fragment are WeChat's own.
func TestAuthorizeURLs(t *testing.T) {
	account := provider.Account{ID: appID}
	for got, want := range map[string]string{
		OfficialAccount{nil, DefaultAuthorizeBase}.AuthorizeURL(account, "", "st", "https://a.example/c?n=1"): "https://open.weixin.qq.com/connect/oauth2/authorize?appid=" + appID +
			"&redirect_uri=https%3A%2F%2Fa.example%2Fc%3Fn%3D1&response_type=code&scope=snsapi_base&state=st&connect_redirect=1#wechat_redirect",
		OfficialAccount{nil, "http://127.0.0.1:9"}.AuthorizeURL(account, ScopeUserInfo, "st", "https://a.example/c"): "http://127.0.0.1:9/connect/oauth2/authorize?appid=" + appID +
			"&redirect_uri=https%3A%2F%2Fa.example%2Fc&response_type=code&scope=snsapi_userinfo&state=st&connect_redirect=1#wechat_redirect",
		Website{nil, DefaultAuthorizeBase}.AuthorizeURL(account, ScopeUserInfo, "st", "https://a.example/c"): "https://open.weixin.qq.com/connect/qrconnect?appid=" + appID +
			"&redirect_uri=https%3A%2F%2Fa.example%2Fc&response_type=code&scope=snsapi_login&state=st#wechat_redirect",
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	for base, good := range map[string]bool{
		DefaultAuthorizeBase: true, "https://sim.example:8443": true, "http://127.0.0.1:9080": true, "http://localhost": true,
		"http://sim.example": false, "https://x.example/path": false, "https://x.example/": false, "https://u:p@x.example": false, "https://x.example?a": false, "https://x.example?": false,
		"x.example": false, "": false, "ftp://127.0.0.1": false, "https://": false, "mailto:x": false,
	} {
		if err := CheckAuthorizeBase(base); (err == nil) != good {
			t.Errorf("CheckAuthorizeBase(%q): %v", base, err)
		}
	}
}

// The user's tokens let whoever has them act for the user; nobody here needs them.
func TestUserTokensAreDropped(t *testing.T) {
	fake := wechattest.New(appID, theSecret)
	fake.AddCode(theCode, wechattest.User{OpenID: openID, Scope: ScopeUserInfo})
	user, err := Mobile{serve(t, fake)}.Exchange(t.Context(), account, provider.Proof{Code: theCode})
	if err != nil || user != (provider.User{OpenID: openID}) {
		t.Errorf("%+v, %v", user, err)
	}
	fake.AddCode("of-a-snapshot", wechattest.User{OpenID: openID, Snapshot: true})
	if _, err := (Mobile{serve(t, fake)}).Exchange(t.Context(), account, provider.Proof{Code: "of-a-snapshot"}); !errors.Is(err, provider.ErrSnapshotUser) ||
		strings.Contains(err.Error(), wechattest.UserToken) {
		t.Errorf("%v", err)
	}
}

func TestUnionIDsOfFollowers(t *testing.T) {
	fake := wechattest.New(appID, theSecret)
	fake.AddFollower(openID, unionID)
	client := serve(t, fake)
	token := secret.New(wechattest.AccessToken(appID, 0))
	if got, err := client.UserInfo(t.Context(), token, openID); err != nil || got != unionID {
		t.Errorf("a follower: %q, %v", got, err)
	}
	if got, err := client.UserInfo(t.Context(), token, "oBBBBBBBBBBBBBBBBBBBBBBBBBBB"); err != nil || got != "" {
		t.Errorf("somebody else: %q, %v", got, err)
	}
	_, err := client.UserInfo(t.Context(), secret.New("stale"), openID)
	if api, ok := errors.AsType[*APIError](err); !ok || !RefusesToken(api.Code) {
		t.Errorf("a stale token: %v", err)
	}
	for _, body := range []string{`{"subscribe":1,"unionid":"` + unionID + `"}`, `{"openid":"oBBBBBBBBBBBBBBBBBBBBBBBBBBB","unionid":"` + unionID + `"}`, `<html>`} {
		fake.Next(wechattest.Answer{Body: body})
		if got, err := client.UserInfo(t.Context(), token, openID); !errors.Is(err, provider.ErrBadAnswer) || got != "" {
			t.Errorf("%s: %q, %v", body, got, err)
		}
	}
}
