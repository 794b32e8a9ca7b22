package wechat

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/transport"
)

// The scopes of WeChat's OAuth 2.0.
const (
	// ScopeBase asks the user nothing and tells the openid only.
	ScopeBase = "snsapi_base"
	// ScopeUserInfo asks the user, and tells the unionid as well.
	ScopeUserInfo = "snsapi_userinfo"
	// ScopeLogin is the one of websites.
	ScopeLogin = "snsapi_login"
)

// Mobile is the [provider.Provider] of mobile apps, which get their code from
// WeChat's SDK ("移动应用微信登录").
type Mobile struct{ *Client }

// Exchange implements [provider.Provider].
func (m Mobile) Exchange(ctx context.Context, a provider.Account, p provider.Proof) (provider.User, error) {
	return m.oauth2(ctx, a, p)
}

// oauth2 exchanges a code of OAuth 2.0 ("换取用户授权凭证 snsAccessToken"). The
// user's access_token and refresh_token in the answer are not even read: nothing
// here acts in the name of users.
func (c *Client) oauth2(ctx context.Context, a provider.Account, p provider.Proof) (provider.User, error) {
	body, err := c.Ask(ctx, transport.Call{
		Method: http.MethodGet, Path: "/sns/oauth2/access_token",
		Query: url.Values{
			"appid":      {a.ID},
			"secret":     {a.Secret.Reveal()},
			"code":       {p.Code},
			"grant_type": {"authorization_code"},
		},
		Hidden: []string{a.Secret.Reveal(), p.Code},
	})
	if err != nil {
		return provider.User{}, err
	}
	return parseOAuth2(body, p.Scope)
}

func parseOAuth2(body []byte, asked string) (provider.User, error) {
	a, err := parseAnswer(body)
	if err != nil {
		return provider.User{}, err
	}
	if _, present := a["is_snapshotuser"]; present {
		if snapshot, isNumber := a.number("is_snapshotuser"); !isNumber || snapshot != 0 {
			return provider.User{}, provider.ErrSnapshotUser
		}
	}
	user := provider.User{Silent: asked == ScopeBase}
	if user.OpenID, user.UnionID, err = a.identifiers(); err != nil {
		return provider.User{}, err
	}
	if _, present := a["scope"]; present && asked != "" {
		scopes, ok := a.text("scope")
		if !ok || !slices.Contains(strings.Split(scopes, ","), asked) {
			return provider.User{}, fmt.Errorf("%w: it has another scope than the request", provider.ErrBadAnswer)
		}
	}
	return user, nil
}
