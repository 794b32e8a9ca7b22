package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/session"
)

// LoginRequest is what a client posts, and where it comes from.
type LoginRequest struct {
	Code  string
	AppID string // optional when the site has one account
	Nonce string // optional
	// Client is the address that the login limit counts.
	Client netip.Addr
}

const (
	maxCodeLength  = 128
	minNonceLength = 16
	maxNonceLength = 64
)

// Login exchanges a code for a session and returns its first token. One code
// makes at most one session and one call of WeChat: a request that repeats it while it
// is exchanged shares the answer; afterwards it is given again only with the
// nonce it was asked for with, for [session.ReplyLifetime].
//
// Errors are [ErrInvalidRequest], [ErrCodeUsed], [ErrUserDenied], [ErrRateLimited],
// [ErrPaused], [ErrStoreUnavailable] and those of [provider.Provider].
func (g *Gateway) Login(ctx context.Context, req LoginRequest, apps Apps) (Grant, error) {
	account, err := g.check(&req, apps)
	if err != nil {
		return Grant{}, err
	}
	if g.LoginLimit.Events > 0 {
		if wait, ok := g.State.limits.allow(req.Client, g.LoginLimit); !ok {
			g.Observer.LoginLimited(account.ID)
			return Grant{}, retryAfter(ErrRateLimited, wait)
		}
	}
	key := codeKey(account.ID, req.Code)
	grant, _, err := g.once(ctx, key, func(ctx context.Context) (Grant, error) { return g.exchangeOnce(ctx, account, key, req) })
	return grant, err
}

// check validates the request and finds its account.
func (g *Gateway) check(req *LoginRequest, apps Apps) (provider.Account, error) {
	switch {
	case !isToken(req.Code, 1, maxCodeLength):
		return provider.Account{}, fmt.Errorf("%w: code must be 1 to %d characters of A-Z a-z 0-9 _ -, as wx.login gives it", ErrInvalidRequest, maxCodeLength)
	case req.Nonce != "" && !isToken(req.Nonce, minNonceLength, maxNonceLength):
		return provider.Account{}, fmt.Errorf("%w: nonce must be %d to %d characters of A-Z a-z 0-9 _ -", ErrInvalidRequest, minNonceLength, maxNonceLength)
	case len(apps) == 0:
		return provider.Account{}, fmt.Errorf("%w: no app of this site logs in with a code that a client posts", ErrInvalidRequest)
	case req.AppID == "" && len(apps) > 1:
		return provider.Account{}, fmt.Errorf("%w: this site has several apps, so appid is needed", ErrInvalidRequest)
	case req.AppID == "":
		req.AppID = apps[0]
	case !apps.Has(req.AppID):
		return provider.Account{}, fmt.Errorf("%w: appid is not one of this site", ErrInvalidRequest)
	}
	return g.Accounts[req.AppID], nil
}

// isToken reports whether s has between shortest and longest characters, all of
// [A-Za-z0-9_-].
func isToken(s string, shortest, longest int) bool {
	if len(s) < shortest || len(s) > longest {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// codeKey hashes the AppID with the code: two accounts may have the same code.
func codeKey(appID, code string) session.CodeKey {
	h := sha256.New()
	h.Write([]byte{byte(len(appID))}) //nolint:gosec // at most 64; so that no two pairs spell the same
	h.Write([]byte(appID))
	h.Write([]byte(code))
	return session.CodeKey{AppID: appID, Hash: [32]byte(h.Sum(nil))}
}

// exchangeOnce runs once at a time for a code on this node; the store sees to
// the other nodes and to the time after.
func (g *Gateway) exchangeOnce(ctx context.Context, account provider.Account, key session.CodeKey, req LoginRequest) (Grant, error) {
	claim, reply, err := g.claim(ctx, key)
	if err != nil {
		return Grant{}, g.storeError(ctx, account.ID, err)
	}
	if claim != session.ClaimGranted {
		g.Observer.CodeRepeated(account.ID)
		return replay(reply, req.Nonce)
	}
	grant, err := g.exchange(ctx, account, req)
	if wasNotSent(err) {
		if releaseErr := g.Store.ReleaseCode(ctx, key); releaseErr != nil {
			return Grant{}, fmt.Errorf("%w; releasing the code: %w", err, releaseErr)
		}
		return Grant{}, err
	}
	settled := session.Reply{Nonce: req.Nonce, Body: encodeOutcome(grant, err)}
	if settleErr := g.Store.SettleCode(ctx, key, settled); settleErr != nil && err == nil {
		// The session exists and the client gets it; only a repeat will not.
		// The pending claim keeps the code from being exchanged again.
		return grant, nil
	}
	return grant, err
}

// exchange asks WeChat and begins the session.
func (g *Gateway) exchange(ctx context.Context, account provider.Account, req LoginRequest) (Grant, error) {
	var user provider.User
	err := g.ask(ctx, account.ID, func() (err error) {
		user, err = g.Provider.Exchange(ctx, account, provider.Proof{Code: req.Code})
		return err
	})
	if err != nil {
		return Grant{}, err
	}
	return g.startSession(ctx, entrance{
		user: identity.User{AppID: account.ID, OpenID: user.OpenID, UnionID: user.UnionID}, sessionKey: user.SessionKey, lifetime: g.MaxLifetime, silent: user.Silent,
		loginKind: session.Kind(account.Kind), client: req.Client,
	})
}

// ask calls WeChat through the gate of an account.
func (g *Gateway) ask(ctx context.Context, appID string, call func() error) error {
	change, err := g.State.gate(appID).do(ctx, call)
	if change != nil {
		g.Observer.BreakerChanged(appID, *change)
	}
	if errors.Is(err, ErrRateLimited) {
		g.Observer.LoginLimited(appID)
	}
	return err
}
