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

const (
	sessionKeyBytes  = 16
	sessionKeyLength = 24 // in base64
)

// IsSessionKey tells the text of a session_key: 16 bytes in base64. Go's decoder
// skips line breaks, which are none of the text.
func IsSessionKey(text string) bool {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	return err == nil && len(raw) == sessionKeyBytes && len(text) == sessionKeyLength
}

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
	if !ok || !IsSessionKey(key) {
		return provider.User{}, fmt.Errorf("%w: session_key is missing or malformed", provider.ErrBadAnswer)
	}
	user.SessionKey = secret.New(key)
	return user, nil
}
