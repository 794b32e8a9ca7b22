package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/session"
)

// BrowserLogin is what a browser brings back from WeChat. What it says about the
// account comes from the state that the browser kept, never from an address.
type BrowserLogin struct {
	AppID string
	// Scope that was asked for.
	Scope string
	// State is the browser's own: whoever has it gets the same answer again.
	State string
	// Used: the browser says that this state has been answered. Then no code is exchanged
	// for it, also by a node that knows nothing of it (any more).
	Used bool
	Code string
	// Client is the address that the login limit counts exchanges of.
	Client netip.Addr
	// Lifetime of the session and its cookie, in whole seconds.
	Lifetime time.Duration
}

// LoginBrowser finishes a login in a browser and returns the token for its cookie.
// One state makes at most one session and one call of WeChat, whatever codes come
// with it and at which nodes: callbacks are loaded twice, also with two codes.
// Within [session.ReplyLifetime] the same state has the same answer again, as long as
// the session lives.
//
// Errors are [ErrStateUsed] and those of Login.
func (g *Gateway) LoginBrowser(ctx context.Context, req BrowserLogin) (Grant, error) {
	if !isToken(req.Code, 1, maxCodeLength) {
		return Grant{}, fmt.Errorf("%w: code must be 1 to %d characters of A-Z a-z 0-9 _ -", ErrInvalidRequest, maxCodeLength)
	}
	if _, found := g.Accounts[req.AppID]; !found {
		return Grant{}, ErrStateUsed // of an earlier configuration
	}
	key := stateKey(req.AppID, req.State)
	grant, shared, err := g.once(ctx, key, func(ctx context.Context) (Grant, error) { return g.finishOnce(ctx, key, req) })
	grant.Repeated = grant.Repeated || shared
	return grant, err
}

// stateKey names a state among the codes of an app; no code has this key.
func stateKey(appID, state string) session.CodeKey {
	h := sha256.New()
	h.Write([]byte("state of a browser\x00"))
	h.Write([]byte(appID))
	h.Write([]byte{0})
	h.Write([]byte(state))
	return session.CodeKey{AppID: appID, Hash: [32]byte(h.Sum(nil))}
}

// finishOnce runs once at a time for a state on this node; the store sees to the
// other nodes and to the time after.
func (g *Gateway) finishOnce(ctx context.Context, key session.CodeKey, req BrowserLogin) (Grant, error) {
	claim, reply, err := g.claimState(ctx, key, req)
	if errors.Is(err, ErrRateLimited) {
		return Grant{}, err
	}
	if err != nil {
		return Grant{}, g.storeError(ctx, req.AppID, err)
	}
	if claim != session.ClaimGranted || req.Used {
		g.Observer.CodeRepeated(req.AppID)
		return g.finishedBefore(ctx, reply, req)
	}
	grant, err := g.finish(ctx, req)
	if wasNotSent(err) || errors.Is(err, errUnclaimed) {
		if releaseErr := g.Store.ReleaseCode(ctx, key); releaseErr != nil {
			return Grant{}, fmt.Errorf("%w; releasing the state: %w", err, releaseErr)
		}
		return Grant{}, err
	}
	settled := session.Reply{Nonce: req.State, Body: encodeOutcome(grant, err)}
	if settleErr := g.Store.SettleCode(ctx, key, settled); settleErr != nil && err == nil {
		return grant, nil // as in exchangeOnce
	}
	return grant, err
}

// claimState takes a state, or looks at one that is used. The limit comes before anything
// is taken: a state that is taken and given back pushes another out of the store's table.
func (g *Gateway) claimState(ctx context.Context, key session.CodeKey, req BrowserLogin) (session.Claim, *session.Reply, error) {
	if !req.Used && g.LoginLimit.Events == 0 {
		return g.claim(ctx, key)
	}
	claim, reply, err := g.Store.PeekCode(ctx, key)
	if err != nil || req.Used || claim == session.ClaimSettled {
		return claim, reply, err
	}
	if claim == session.ClaimGranted {
		if wait, ok := g.State.limits.allow(req.Client, g.LoginLimit); !ok {
			g.Observer.LoginLimited(req.AppID)
			return claim, nil, retryAfter(ErrRateLimited, wait)
		}
	}
	return g.claim(ctx, key)
}

// finishedBefore answers a state that was used: with the same session, if it
// still lives. One that was logged out meanwhile starts nothing.
func (g *Gateway) finishedBefore(ctx context.Context, reply *session.Reply, req BrowserLogin) (Grant, error) {
	grant, err := replay(reply, req.State)
	switch {
	case errors.Is(err, ErrCodeUsed):
		return Grant{}, ErrStateUsed
	case err != nil:
		return Grant{}, err
	}
	switch _, _, err := g.verifyLive(ctx, grant.Token, inCookie, Apps{req.AppID}, time.Now()); {
	case errors.Is(err, ErrStoreUnavailable):
		return Grant{}, err
	case err != nil:
		return Grant{}, ErrStateUsed
	}
	grant.Repeated = true
	return grant, nil
}

// errUnclaimed marks errors before the code was spent.
var errUnclaimed = errors.New("the code is not spent")

// finish claims the code, too, asks WeChat and begins the session.
func (g *Gateway) finish(ctx context.Context, req BrowserLogin) (Grant, error) {
	code := codeKey(req.AppID, req.Code)
	claim, _, err := g.claim(ctx, code)
	if err != nil {
		return Grant{}, fmt.Errorf("%w: %w", errUnclaimed, g.storeError(ctx, req.AppID, err))
	}
	if claim != session.ClaimGranted {
		g.Observer.CodeRepeated(req.AppID)
		return Grant{}, ErrCodeUsed
	}
	var user provider.User
	err = g.ask(ctx, req.AppID, func() (err error) {
		user, err = g.Provider.Exchange(ctx, g.Accounts[req.AppID], provider.Proof{Code: req.Code, Scope: req.Scope})
		return err
	})
	if wasNotSent(err) {
		if releaseErr := g.Store.ReleaseCode(ctx, code); releaseErr != nil {
			return Grant{}, fmt.Errorf("%w; releasing the code: %w", err, releaseErr)
		}
		return Grant{}, err
	}
	// The state gives the answer again; the code alone gives nothing.
	_ = g.Store.SettleCode(ctx, code, session.Reply{})
	if err != nil {
		return Grant{}, err
	}
	return g.startSession(ctx, entrance{
		user:     identity.User{AppID: req.AppID, OpenID: user.OpenID, UnionID: user.UnionID},
		lifetime: req.Lifetime, kind: inCookie, silent: user.Silent, loginKind: session.Kind(g.Accounts[req.AppID].Kind), client: req.Client, scope: req.Scope,
	})
}
