package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/userdata"
)

// ErrNoSession says that the user is not logged in, so there is no session_key.
var ErrNoSession = errors.New("the user has no session")

// Decrypt returns what WeChat encrypted for a user of a Mini Program. The user's newest
// session_key is tried, then the one before while it counts. The error is
// [ErrInvalidRequest], [ErrRateLimited], [ErrNoSession], [ErrStoreUnavailable], or
// [userdata.ErrStale] for whatever else is wrong.
func (g *Gateway) Decrypt(ctx context.Context, appID, openID, encryptedData, iv string) (json.RawMessage, error) {
	if err := g.checkKeyHolder(appID, openID); err != nil {
		return nil, err
	}
	user := appID + " " + openID
	limiter, _ := g.State.decrypts.GetOrAdd(user, func() *rate.Limiter {
		return rate.NewLimiter(rate.Limit(decryptsPerMinute)/60, decryptsPerMinute)
	})
	g.State.decrypts.Extend(user, decryptsKept)
	if !limiter.Allow() {
		return nil, retryAfter(ErrRateLimited, time.Second)
	}
	keys, err := g.sessionKeys(ctx, appID, openID)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	data, err := userdata.Decrypt(keys.Newest, appID, encryptedData, iv, now)
	if err != nil && !keys.Previous.IsZero() {
		data, err = userdata.Decrypt(keys.Previous, appID, encryptedData, iv, now)
	}
	return data, err
}

// SignFor returns the user's signature of a message. The error is [ErrInvalidRequest],
// [ErrNoSession] or [ErrStoreUnavailable].
func (g *Gateway) SignFor(ctx context.Context, appID, openID string, message []byte) (string, error) {
	if err := g.checkKeyHolder(appID, openID); err != nil {
		return "", err
	}
	keys, err := g.sessionKeys(ctx, appID, openID)
	if err != nil {
		return "", err
	}
	return userdata.Signature(keys.Newest, message), nil
}

// KeepSessionKey makes key the newest one of a user; a user who has logged out meanwhile
// needs none. The error is [ErrStoreUnavailable].
func (g *Gateway) KeepSessionKey(ctx context.Context, appID, openID string, key secret.String) error {
	err := g.Store.ReplaceSessionKey(context.WithoutCancel(ctx), appID, openID, key)
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		return g.storeError(ctx, appID, err)
	}
	return nil
}

// checkKeyHolder accepts users of Mini Programs: others have no session_key.
func (g *Gateway) checkKeyHolder(appID, openID string) error {
	switch account, found := g.Accounts[appID]; {
	case !found:
		return fmt.Errorf("%w: appid is not one of the configuration", ErrInvalidRequest)
	case account.Kind != provider.MiniProgram:
		return fmt.Errorf("%w: only users of a Mini Program have a session_key, and this account is of kind %s", ErrInvalidRequest, account.Kind)
	case !identity.ValidID(openID):
		return fmt.Errorf("%w: openid is missing or none", ErrInvalidRequest)
	}
	return nil
}

func (g *Gateway) sessionKeys(ctx context.Context, appID, openID string) (session.Keys, error) {
	keys, err := g.Store.SessionKeys(ctx, appID, openID)
	switch {
	case errors.Is(err, session.ErrNotFound):
		return keys, ErrNoSession
	case err != nil:
		return keys, g.storeError(ctx, appID, err)
	}
	return keys, nil
}
