package wechat

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/strictjson"
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

const (
	maxAnswerDepth  = 8
	sessionKeyBytes = 16
)

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

// parseCode2Session reads an answer, whatever its content type says: WeChat
// sends JSON as text/plain, too.
func parseCode2Session(body []byte) (User, error) {
	members, err := strictjson.Object(body, maxAnswerDepth)
	if err != nil {
		return User{}, fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	if err := errcode(members); err != nil {
		return User{}, err
	}
	var user User
	var ok bool
	if user.OpenID, ok = strictjson.String(members["openid"]); !ok || !identity.ValidID(user.OpenID) {
		return User{}, fmt.Errorf("%w: openid is missing or malformed", ErrBadAnswer)
	}
	key, ok := strictjson.String(members["session_key"])
	if decoded, err := base64.StdEncoding.Strict().DecodeString(key); !ok || err != nil || len(decoded) != sessionKeyBytes {
		return User{}, fmt.Errorf("%w: session_key is missing or malformed", ErrBadAnswer)
	}
	user.SessionKey = secret.New(key)
	if raw, present := members["unionid"]; present {
		if user.UnionID, ok = strictjson.String(raw); !ok || user.UnionID != "" && !identity.ValidID(user.UnionID) {
			return User{}, fmt.Errorf("%w: unionid is malformed", ErrBadAnswer)
		}
	}
	return user, nil
}

// errcode returns the error of an answer that has one. The code is a number by
// the documentation, and a string in one of its samples.
func errcode(members map[string]json.RawMessage) error {
	raw, present := members["errcode"]
	if !present {
		return nil
	}
	code, ok := strictjson.Int(raw)
	if ok && code == 0 {
		return nil
	}
	if text, isString := strictjson.String(raw); isString {
		parsed, err := strconv.Atoi(text)
		code, ok = int64(parsed), err == nil && parsed != 0
	}
	if !ok {
		return fmt.Errorf("%w: errcode is malformed", ErrBadAnswer)
	}
	errmsg, _ := strictjson.String(members["errmsg"])
	return newAPIError(int(code), errmsg)
}
