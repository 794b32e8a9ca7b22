package wechat

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"

	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/transport"
	"github.com/caddy-wechat/gateway/internal/secret"
)

// sessionKeyBytes is the length of a session_key, which comes as base64.
const sessionKeyBytes = 16

// MiniProgram is the [provider.Provider] of Mini Programs and mini games.
type MiniProgram struct{ *Client }

// Exchange implements [provider.Provider].
func (m MiniProgram) Exchange(ctx context.Context, a provider.Account, p provider.Proof) (provider.User, error) {
	return m.Code2Session(ctx, a, p.Code)
}

// Code2Session exchanges a login code ("小程序登录凭证校验 code2Session"). The
// error is that of [provider.Provider]; an errcode is an [APIError].
func (c *Client) Code2Session(ctx context.Context, account provider.Account, code string) (provider.User, error) {
	body, err := c.Ask(ctx, transport.Call{
		Method: http.MethodGet, Path: "/sns/jscode2session",
		Query: url.Values{
			"appid":      {account.ID},
			"secret":     {account.Secret.Reveal()},
			"js_code":    {code},
			"grant_type": {"authorization_code"},
		},
		Hidden: []string{account.Secret.Reveal(), code},
	})
	if err != nil {
		return provider.User{}, err
	}
	return parseCode2Session(body)
}

func parseCode2Session(body []byte) (provider.User, error) {
	a, err := parseAnswer(body)
	if err != nil {
		return provider.User{}, err
	}
	var user provider.User
	if user.OpenID, user.UnionID, err = a.identifiers(); err != nil {
		return provider.User{}, err
	}
	key, ok := a.text("session_key")
	if decoded, err := base64.StdEncoding.Strict().DecodeString(key); !ok || err != nil || len(decoded) != sessionKeyBytes {
		return provider.User{}, fmt.Errorf("%w: session_key is missing or malformed", provider.ErrBadAnswer)
	}
	user.SessionKey = secret.New(key)
	return user, nil
}
