package gateway

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/netip"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/loginhook"
	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/token"
)

// entrance is a user who may come in, as WeChat told, and for how long.
type entrance struct {
	user       identity.User // without a session id
	sessionKey secret.String
	lifetime   time.Duration
	kind       kind
	// loginKind says how the session begins, for operators.
	loginKind session.Kind
	// client and scope are for the login hook.
	client netip.Addr
	scope  string
	// silent says that this kind of login cannot tell a unionid.
	silent bool
}

// startSession starts the session and returns its first token.
func (g *Gateway) startSession(ctx context.Context, e entrance) (Grant, error) {
	g.askUnionID(ctx, &e)
	userID, err := g.askHook(ctx, &e)
	if err != nil {
		return Grant{AppID: e.user.AppID, UserHash: g.Keys().UserHash(e.user.AppID, e.user.OpenID)}, err
	}
	e.user.SessionID = newSessionID()
	login := session.Login{
		Ref: ref(e.user), UnionID: e.user.UnionID, KeepUnionID: e.silent, SessionKey: e.sessionKey, UserID: userID,
		Kind: e.loginKind, Ends: time.Now().Truncate(time.Second).Add(e.lifetime),
	}
	before, err := g.Store.Put(ctx, login, g.MaxPerUser)
	switch {
	case errors.Is(err, session.ErrDenied):
		return Grant{AppID: e.user.AppID, UserHash: g.Keys().UserHash(e.user.AppID, e.user.OpenID)}, ErrUserDenied
	case err != nil:
		return Grant{}, g.storeError(ctx, e.user.AppID, err)
	}
	g.State.recheck(e.user.AppID, e.user.OpenID) // an older session may have ended for this one
	if e.silent && e.user.UnionID == "" {
		e.user.UnionID = before
	}
	grant, err := g.grant(token.Claims{User: e.user, Browser: e.kind == inCookie}, login.Ends)
	grant.UnionIDChanged = before != "" && before != e.user.UnionID
	return grant, err
}

// askUnionID asks for a UnionID that neither this login nor one before it told.
// If this fails, the login goes on without it.
func (g *Gateway) askUnionID(ctx context.Context, e *entrance) {
	account := g.Accounts[e.user.AppID]
	if e.user.UnionID != "" || !account.AskUnionID || g.UnionIDs == nil {
		return
	}
	record, err := g.Store.User(ctx, e.user.AppID, e.user.OpenID)
	if err != nil || record.UnionID != "" {
		return
	}
	if unionID, err := g.UnionIDs.UnionID(ctx, account, e.user.OpenID); err == nil {
		e.user.UnionID = unionID
	}
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

const sessionIDBytes = 16

func newSessionID() string {
	var id [sessionIDBytes]byte
	rand.Read(id[:]) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(id[:])
}
