package wechatapp

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-wechat/gateway/internal/credential"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
)

// followers asks WeChat for unionids with the account's own access_token.
type followers struct {
	client  *wechat.Client
	owners  map[string]*credential.Owner
	timeout time.Duration
	metrics *metrics
}

const endpointUserInfo = "user_info"

// UnionID implements gateway.UnionIDs.
func (f followers) UnionID(ctx context.Context, a provider.Account, openID string) (unionID string, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout) // of the token, too
	defer cancel()
	token, err := f.owners[a.ID].Token(ctx)
	if err != nil {
		return "", err
	}
	err = f.metrics.observe(ctx, endpointUserInfo, a.ID, func(ctx context.Context) error {
		unionID, err = f.client.UserInfo(ctx, token, openID)
		return err
	})
	if api, ok := errors.AsType[*wechat.APIError](err); ok && wechat.RefusesToken(api.Code) {
		f.owners[a.ID].Drop(context.WithoutCancel(ctx), token)
	}
	return unionID, err
}
