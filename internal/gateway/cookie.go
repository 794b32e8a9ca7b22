package gateway

import (
	"context"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/token"
)

// AuthenticateCookie is Authenticate for the token in a browser's cookie.
func (g *Gateway) AuthenticateCookie(ctx context.Context, text string, apps Apps) (identity.User, error) {
	pass, err := g.AdmitCookie(ctx, text, apps)
	return pass.User, err
}

// AdmitCookie is Admit for the token in a browser's cookie.
func (g *Gateway) AdmitCookie(ctx context.Context, text string, apps Apps) (Pass, error) {
	return g.admit(ctx, text, inCookie, apps)
}

// AdmitCookieSurely is AdmitSurely for the token in a browser's cookie.
func (g *Gateway) AdmitCookieSurely(ctx context.Context, text string, apps Apps) (Pass, error) {
	return g.admitSurely(ctx, text, inCookie, apps)
}

// DescribeCookie is Describe for the token in a browser's cookie.
func (g *Gateway) DescribeCookie(ctx context.Context, text string, apps Apps) (Description, error) {
	return g.describe(ctx, text, inCookie, apps)
}

// LogoutCookie is Logout for the token in a browser's cookie.
func (g *Gateway) LogoutCookie(ctx context.Context, text string, apps Apps) (identity.User, error) {
	return g.logout(ctx, text, inCookie, apps)
}

// Signed reports whether a text is a token that this gateway signed, of whatever
// kind and app, and whether or not it still counts. Others belong to the app.
func (g *Gateway) Signed(text string) bool {
	if len(text) > maxCredentialBytes {
		return false
	}
	_, problem := token.Examine(g.Keys(), text, time.Now(), g.longestLifetime())
	return problem == token.NoProblem || problem == token.Expired
}
