package wechat

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/secret"
)

// User is who a login code belongs to.
type User struct {
	// OpenID of the user in this app.
	OpenID string
	// UnionID across the apps of one Open Platform account; empty unless the app
	// is bound to one.
	UnionID string
	// SessionKey signs and decrypts the user's data: base64 of 16 bytes. It
	// never leaves the gateway.
	SessionKey secret.String
}

const sessionKeyBytes = 16

// Code2Session exchanges a login code ("小程序登录凭证校验 code2Session"). The
// error matches one of the errors of this package, and ErrNotSent in addition
// if the code is still good; an errcode is an APIError. When ctx is cancelled
// it is ctx's error.
func (c *Client) Code2Session(ctx context.Context, app App, code string) (User, error) {
	body, err := c.ask(ctx, call{
		method: http.MethodGet, path: "/sns/jscode2session",
		query: url.Values{
			"appid":      {app.ID},
			"secret":     {app.Secret.Reveal()},
			"js_code":    {code},
			"grant_type": {"authorization_code"},
		},
		hidden: []string{app.Secret.Reveal(), code},
	})
	if err != nil {
		return User{}, err
	}
	return parseCode2Session(body)
}

func parseCode2Session(body []byte) (User, error) {
	a, err := parseAnswer(body)
	if err != nil {
		return User{}, err
	}
	var user User
	var ok bool
	if user.OpenID, ok = a.text("openid"); !ok || !identity.ValidID(user.OpenID) {
		return User{}, fmt.Errorf("%w: openid is missing or malformed", ErrBadAnswer)
	}
	key, ok := a.text("session_key")
	if decoded, err := base64.StdEncoding.Strict().DecodeString(key); !ok || err != nil || len(decoded) != sessionKeyBytes {
		return User{}, fmt.Errorf("%w: session_key is missing or malformed", ErrBadAnswer)
	}
	user.SessionKey = secret.New(key)
	if _, present := a["unionid"]; present {
		if user.UnionID, ok = a.text("unionid"); !ok || user.UnionID != "" && !identity.ValidID(user.UnionID) {
			return User{}, fmt.Errorf("%w: unionid is malformed", ErrBadAnswer)
		}
	}
	return user, nil
}
