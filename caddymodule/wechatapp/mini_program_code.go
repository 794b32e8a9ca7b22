package wechatapp

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-wechat/gateway/internal/credential"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
	"github.com/caddy-wechat/gateway/internal/secret"
)

// pictures draws Mini Program codes with the account's own access_token.
type pictures struct {
	client  *wechat.Client
	owners  map[string]*credential.Owner
	timeout time.Duration
	metrics *metrics
}

const endpointCode = "getwxacodeunlimit"

// MiniProgramCode implements gateway.Codes. With a token that WeChat refuses it tries
// once more.
func (p pictures) MiniProgramCode(ctx context.Context, appID string, code provider.Code) (picture []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout) // of the token, too
	defer cancel()
	for range 2 {
		var token secret.String
		if token, err = p.owners[appID].Token(ctx); err != nil {
			return nil, err
		}
		err = p.metrics.observe(ctx, endpointCode, appID, func(ctx context.Context) error {
			picture, err = p.client.MiniProgramCode(ctx, token, code)
			return err
		})
		api, ok := errors.AsType[*wechat.APIError](err)
		if !ok || !wechat.RefusesToken(api.Code) || !p.owners[appID].Drop(context.WithoutCancel(ctx), token) {
			break
		}
	}
	return picture, err
}
