package wechat

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/transport"
	"github.com/caddy-wechat/gateway/internal/secret"
)

// AccessToken is an app's credential for WeChat's server API.
type AccessToken struct {
	Value secret.String
	// ExpiresIn is how long it is good from the call on.
	ExpiresIn time.Duration
}

const (
	// maxAccessToken is twice what the documentation tells apps to reserve.
	maxAccessToken = 1024
	// maxTokenLifetime is far above the documented 7200 s.
	maxTokenLifetime = 24 * time.Hour
)

// StableToken returns the app's access_token ("获取稳定版接口调用凭据
// getStableAccessToken"): the same one for everybody who asks, until about five
// minutes before its end. With force, WeChat replaces it and the old one ends at
// once, at most 20 times a day; that is for a token that leaked. The errors are
// those of Code2Session.
func (c *Client) StableToken(ctx context.Context, account provider.Account, force bool) (AccessToken, error) {
	form, err := json.Marshal(map[string]any{
		"grant_type":    "client_credential",
		"appid":         account.ID,
		"secret":        account.Secret.Reveal(),
		"force_refresh": force,
	})
	if err != nil {
		panic(err) // strings and booleans always encode
	}
	body, err := c.Ask(ctx, transport.Call{
		Method: http.MethodPost, Path: "/cgi-bin/stable_token", Body: form,
		Hidden: []string{account.Secret.Reveal()},
	})
	if err != nil {
		return AccessToken{}, err
	}
	return parseStableToken(body)
}

func parseStableToken(body []byte) (AccessToken, error) {
	a, err := parseAnswer(body)
	if err != nil {
		return AccessToken{}, err
	}
	value, ok := a.text("access_token")
	if !ok || !validAccessToken(value) {
		return AccessToken{}, fmt.Errorf("%w: access_token is missing or malformed", provider.ErrBadAnswer)
	}
	seconds, ok := a.number("expires_in")
	if !ok || seconds < 1 || seconds > int64(maxTokenLifetime/time.Second) {
		return AccessToken{}, fmt.Errorf("%w: expires_in is missing or malformed", provider.ErrBadAnswer)
	}
	return AccessToken{Value: secret.New(value), ExpiresIn: time.Duration(seconds) * time.Second}, nil
}

// validAccessToken accepts visible ASCII: the alphabet is not documented.
func validAccessToken(text string) bool {
	if text == "" || len(text) > maxAccessToken {
		return false
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
