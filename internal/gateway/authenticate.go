package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/token"
)

// maxCredentialBytes bounds the work on something that only may be a token.
const maxCredentialBytes = 4 << 10

// kind is where a token counts. One of the one kind is nobody's in the place of
// the other: what a page's script could read would undo HttpOnly.
type kind bool

const (
	carried  kind = false // sent by clients themselves, in a header for example
	inCookie kind = true  // in a browser's cookie
)

// Authenticate returns the user of a token. The error is [ErrLoginRequired],
// [ErrSessionExpired], [ErrSessionEnded] or [ErrStoreUnavailable]; after all but the
// first the user is who the token was made for, good for nothing but a log.
func (g *Gateway) Authenticate(ctx context.Context, text string, apps Apps) (identity.User, error) {
	pass, err := g.Admit(ctx, text, apps)
	return pass.User, err
}

// Admit is Authenticate for a request whose answer is watched, see [Gateway.Watch].
func (g *Gateway) Admit(ctx context.Context, text string, apps Apps) (Pass, error) {
	return g.admit(ctx, text, carried, apps)
}

func (g *Gateway) admit(ctx context.Context, text string, k kind, apps Apps) (Pass, error) {
	now := time.Now()
	claims, err := g.verify(text, k, apps, now)
	if err != nil {
		return Pass{User: claims.User}, err
	}
	live, err := g.session(ctx, &claims, now)
	if err != nil {
		return Pass{User: claims.User}, err
	}
	return claims.pass(live), nil
}

// AdmitSurely is Admit without grace, for whoever hands out something that is
// believed later: while the store cannot tell, the error is [ErrStoreUnavailable].
func (g *Gateway) AdmitSurely(ctx context.Context, text string, apps Apps) (Pass, error) {
	return g.admitSurely(ctx, text, carried, apps)
}

func (g *Gateway) admitSurely(ctx context.Context, text string, k kind, apps Apps) (Pass, error) {
	claims, live, err := g.verifyLive(ctx, text, k, apps, time.Now())
	if err != nil {
		return Pass{User: claims.User}, err
	}
	return claims.pass(live), nil
}

// verifyLive returns the claims of a token and its session, which the store has just
// said is live.
func (g *Gateway) verifyLive(ctx context.Context, text string, k kind, apps Apps, now time.Time) (knownToken, session.Session, error) {
	claims, err := g.verify(text, k, apps, now)
	if err != nil {
		return claims, session.Session{}, err
	}
	live, storeErr := g.askStore(ctx, &claims, now)
	if storeErr != nil {
		return claims, session.Session{}, g.counted(ctx, &claims, verdict(storeErr, claims.Claims, now))
	}
	return claims, live, nil
}

// verify finds out whether the token is one of ours that this site accepts in its
// place and that has not expired; its session is another question. For an expired
// token the claims are returned together with [ErrSessionExpired].
func (g *Gateway) verify(text string, k kind, apps Apps, now time.Time) (knownToken, error) {
	if len(text) > maxCredentialBytes {
		return knownToken{}, ErrLoginRequired
	}
	ring := g.Keys()
	sum := g.State.tokenHash(text)
	known, ok := g.State.verified.get(sum)
	ok = ok && ring.Has(known.KeyID) && !now.After(known.Expires.Add(token.Leeway))
	g.Observer.TokenSeen(ok)
	if ok {
		if kind(known.Browser) != k || !apps.Has(known.User.AppID) {
			return knownToken{}, ErrLoginRequired
		}
		return known, nil
	}
	claims, err := token.Verify(ring, text, now, g.longestLifetime())
	switch {
	case err != nil && !errors.Is(err, token.ErrExpired), kind(claims.Browser) != k, !apps.Has(claims.User.AppID):
		return knownToken{}, ErrLoginRequired
	case err != nil:
		return knownToken{Claims: claims}, ErrSessionExpired
	}
	g.State.verified.add(sum, claims)
	return knownToken{Claims: claims, sum: sum}, nil
}

// session returns the live session of a verified token, by grace if need be.
func (g *Gateway) session(ctx context.Context, claims *knownToken, now time.Time) (session.Session, error) {
	live, storeErr := g.askStore(ctx, claims, now)
	if storeErr == nil {
		return live, nil
	}
	// Without the application's name for him a user would be another one to it.
	nameless := g.Hook.LoginHook != nil && !live.Remembered
	if err := g.judge(storeErr, claims.Claims, now); err != nil || clientLeft(ctx) != nil {
		return session.Session{}, g.counted(ctx, claims, err)
	} else if nameless {
		return session.Session{}, g.counted(ctx, claims, verdict(storeErr, claims.Claims, now))
	}
	g.Observer.StoreFailed(claims.User.AppID)
	g.Observer.GracePassed(claims.User.AppID)
	return session.Session{UnionID: claims.User.UnionID, UserID: live.UserID, Ends: claims.Expires}, nil
}

// askStore asks the store; its errors are the store's own.
func (g *Gateway) askStore(ctx context.Context, claims *knownToken, now time.Time) (session.Session, error) {
	live, err := g.Store.Get(ctx, session.Query{
		Ref: ref(claims.User), UnionID: claims.User.UnionID, Now: now, Issued: claims.IssuedAt, Hint: claims.hint,
	})
	if err == nil && live.Hint != claims.hint {
		g.State.verified.remember(claims.sum, live.Hint)
	}
	return live, err
}

// judge says what a good token is worth whose session the store did not return:
// nil if it passes by Config.Grace.
func (g *Gateway) judge(storeErr error, claims token.Claims, now time.Time) error {
	if g.Grace > 0 && errors.Is(storeErr, session.ErrAway) && now.Sub(claims.IssuedAt) <= g.Grace {
		return nil
	}
	return verdict(storeErr, claims, now)
}

// verdict is judge without grace.
func verdict(storeErr error, claims token.Claims, now time.Time) error {
	switch {
	case errors.Is(storeErr, session.ErrNotFound) && !now.Before(claims.Expires):
		// Tokens end with their session at the latest: in the leeway of the
		// token the session can only have run out.
		return ErrSessionExpired
	case errors.Is(storeErr, session.ErrNotFound):
		return ErrSessionEnded
	}
	return unavailable(storeErr)
}

// counted counts a failure of the store. If the client has left, nothing
// is wrong with the store.
func (g *Gateway) counted(ctx context.Context, claims *knownToken, err error) error {
	if err != nil && !errors.Is(err, ErrStoreUnavailable) {
		return err
	}
	if leftErr := clientLeft(ctx); leftErr != nil {
		return leftErr
	}
	g.Observer.StoreFailed(claims.User.AppID)
	return err
}
