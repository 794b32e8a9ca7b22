package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/token"
)

// Renew returns a new token of the same session. The old one lives on until
// its own end, so parallel renewals are harmless. No renewal passes the end of
// the session. The errors are those of Authenticate; nothing is renewed by grace.
func (g *Gateway) Renew(ctx context.Context, text string, apps Apps) (Grant, error) {
	claims, live, err := g.verifyLive(ctx, text, carried, apps, time.Now())
	if err != nil {
		return Grant{}, err
	}
	claims.User.UnionID = live.UnionID
	return g.grant(claims.Claims, live.Ends)
}

// issueTime is now in whole seconds, or the second after the token that is being
// renewed: two tokens of one second would be the same text. Tokens from the
// future are accepted up to [token.Leeway].
func issueTime(renewed time.Time) time.Time {
	now := time.Now().Truncate(time.Second)
	if next := renewed.Add(time.Second); next.After(now) && next.Before(now.Add(token.Leeway)) {
		return next
	}
	return now
}

// grant mints a token for the user of the claims that ends with the session at
// the latest; one in a browser's cookie exactly then, because nobody renews it.
func (g *Gateway) grant(claims token.Claims, ends time.Time) (Grant, error) {
	ring := g.Keys()
	claims.IssuedAt = issueTime(claims.IssuedAt)
	claims.Expires = claims.IssuedAt.Add(g.TokenLifetime)
	if claims.Browser || ends.Before(claims.Expires) {
		claims.Expires = ends.Truncate(time.Second)
	}
	if !claims.Expires.After(claims.IssuedAt) {
		return Grant{}, ErrSessionExpired
	}
	text, err := token.Mint(ring, claims)
	if err != nil {
		return Grant{}, fmt.Errorf("minting token: %w", err)
	}
	return Grant{
		Token: text, ExpiresIn: claims.Expires.Sub(claims.IssuedAt),
		AppID: claims.User.AppID, UserHash: ring.UserHash(claims.User.AppID, claims.User.OpenID),
	}, nil
}

// Logout ends the session of a token and returns whose it was. A token that has expired or whose session
// is over already is no error: the session is over, which is what was asked
// for. The error is [ErrLoginRequired] or [ErrStoreUnavailable]. It finishes also when
// its client leaves.
func (g *Gateway) Logout(ctx context.Context, text string, apps Apps) (identity.User, error) {
	return g.logout(ctx, text, carried, apps)
}

func (g *Gateway) logout(ctx context.Context, text string, k kind, apps Apps) (identity.User, error) {
	ctx = context.WithoutCancel(ctx)
	claims, err := g.verify(text, k, apps, time.Now())
	if err != nil && !errors.Is(err, ErrSessionExpired) {
		return identity.User{}, err
	}
	if err := g.Store.Delete(ctx, ref(claims.User)); err != nil {
		return identity.User{}, g.storeError(ctx, claims.User.AppID, err)
	}
	g.State.recheck(claims.User.AppID, claims.User.OpenID)
	return claims.User, nil
}

// Description is what a client may know about its session.
type Description struct {
	AppID string
	// ExpiresIn is what is left of the token, SessionExpiresIn of the session;
	// whole seconds, never negative.
	ExpiresIn, SessionExpiresIn time.Duration
}

// Describe returns what is left of a token and its session. The errors are
// those of Authenticate.
func (g *Gateway) Describe(ctx context.Context, text string, apps Apps) (Description, error) {
	return g.describe(ctx, text, carried, apps)
}

func (g *Gateway) describe(ctx context.Context, text string, k kind, apps Apps) (Description, error) {
	now := time.Now()
	claims, err := g.verify(text, k, apps, now)
	if err != nil {
		return Description{}, err
	}
	live, err := g.session(ctx, &claims, now)
	if err != nil {
		return Description{}, err
	}
	return Description{
		AppID:            claims.User.AppID,
		ExpiresIn:        remaining(claims.Expires),
		SessionExpiresIn: remaining(live.Ends),
	}, nil
}

func remaining(end time.Time) time.Duration {
	return max(time.Until(end), 0).Truncate(time.Second)
}
