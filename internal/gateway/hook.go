package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-wechat/gateway/internal/loginhook"
	"github.com/caddy-wechat/gateway/internal/session"
)

// LoginHook asks the application about a user who wants to come in. Its errors are
// those of package loginhook.
type LoginHook interface {
	Ask(ctx context.Context, login loginhook.Login) (loginhook.Verdict, error)
	// Timeout bounds a call.
	Timeout() time.Duration
}

// Hook is a login hook and what becomes of a login that it cannot judge.
type Hook struct {
	LoginHook
	// AllowOnFailure lets a user in whom the hook cannot judge, under the name that is
	// known.
	AllowOnFailure bool
}

// askHook returns the application's name for the user; empty if it gave none. It runs
// once for a code or a state: whoever brings the same gets the same answer.
func (g *Gateway) askHook(ctx context.Context, e *entrance) (userID string, err error) {
	if g.Hook.LoginHook == nil {
		return "", nil
	}
	login := loginhook.Login{
		AppID: e.user.AppID, Kind: string(e.loginKind), OpenID: e.user.OpenID, UnionID: e.user.UnionID, Scope: e.scope,
	}
	if e.client.IsValid() {
		login.ClientIP = e.client.Unmap().String()
	}
	start := time.Now()
	verdict, err := g.Hook.Ask(ctx, login)
	g.Observer.HookAsked(e.user.AppID, time.Since(start), err)
	if err != nil && g.Hook.AllowOnFailure && !errors.Is(err, loginhook.ErrNotAllowed) {
		return "", nil
	}
	return verdict.UserID, err
}

// pendingTime is how long a node waits for another one that finishes the same login.
func (g *Gateway) pendingTime(appID string) time.Duration {
	wait := g.ExchangeTimeout
	if wait <= 0 {
		wait = defaultExchangeTimeout
	}
	if g.Accounts[appID].AskUnionID {
		wait += wait // for the unionid
	}
	if g.Hook.LoginHook != nil {
		wait += g.Hook.Timeout()
	}
	return wait + time.Second
}

// SetUserID changes the application's name for a user in all live sessions, on every
// node within a second; an empty one removes it. The error is ErrInvalidRequest,
// ErrStoreUnavailable, or session.ErrNotFound for a user who is not logged in.
func (g *Gateway) SetUserID(ctx context.Context, t Target, userID string) error {
	if err := g.checkTarget(t, true); err != nil {
		return err
	}
	if userID != "" && !loginhook.ValidUserID(userID) {
		return errUserID
	}
	err := g.Store.SetUserID(context.WithoutCancel(ctx), t.AppID, t.OpenID, userID)
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		return g.storeError(ctx, t.AppID, err)
	}
	return err
}
