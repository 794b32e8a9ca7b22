package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/loginhook"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/token"
)

// Target names what an operator acts on: a session, or without SessionID all of
// a user, or without OpenID all of an app.
type Target struct{ AppID, OpenID, SessionID string }

func (g *Gateway) checkTarget(t Target, needsUser bool) error {
	switch _, found := g.Accounts[t.AppID]; {
	case t.AppID == "":
		return fmt.Errorf("%w: appid is needed", ErrInvalidRequest)
	case !found:
		return fmt.Errorf("%w: appid is not one of the configuration", ErrInvalidRequest)
	case t.OpenID == "" && (needsUser || t.SessionID != ""):
		return fmt.Errorf("%w: openid is needed", ErrInvalidRequest)
	case t.OpenID != "" && !identity.ValidID(t.OpenID):
		return fmt.Errorf("%w: openid is invalid", ErrInvalidRequest)
	}
	return nil
}

var errUserID = fmt.Errorf("%w: user_id must be 1 to 64 characters of A-Z a-z 0-9 . _ : @ -, or empty", ErrInvalidRequest)

// Sessions returns what is known about a user. The error is [ErrInvalidRequest]
// or [ErrStoreUnavailable], as with all operations.
func (g *Gateway) Sessions(ctx context.Context, t Target) (session.Record, error) {
	if err := g.checkTarget(t, true); err != nil {
		return session.Record{}, err
	}
	record, err := g.Store.User(ctx, t.AppID, t.OpenID)
	if err != nil {
		return session.Record{}, g.storeError(ctx, t.AppID, err)
	}
	return record, nil
}

// End ends sessions and returns how many. Like every change it finishes also when
// whoever asked has left.
func (g *Gateway) End(ctx context.Context, t Target) (ended int, err error) {
	ctx = context.WithoutCancel(ctx)
	if err := g.checkTarget(t, false); err != nil {
		return 0, err
	}
	switch {
	case t.OpenID == "":
		ended, err = g.Store.EndApp(ctx, t.AppID)
	case t.SessionID == "":
		ended, err = g.Store.DeleteUser(ctx, t.AppID, t.OpenID)
	default:
		ended, err = g.endOne(ctx, t)
	}
	if err != nil {
		return ended, g.storeError(ctx, t.AppID, err)
	}
	g.State.recheck(t.AppID, t.OpenID)
	return ended, nil
}

func (g *Gateway) endOne(ctx context.Context, t Target) (int, error) {
	record, err := g.Store.User(ctx, t.AppID, t.OpenID)
	if err != nil {
		return 0, err
	}
	if !slices.ContainsFunc(record.Sessions, func(l session.Live) bool { return l.ID == t.SessionID }) {
		return 0, nil
	}
	return 1, g.Store.Delete(ctx, session.Ref(t))
}

// Deny ends the sessions of a user, lets none begin until the time, and returns
// how many ended.
func (g *Gateway) Deny(ctx context.Context, t Target, until time.Time) (int, error) {
	ctx = context.WithoutCancel(ctx)
	if err := g.checkTarget(t, true); err != nil {
		return 0, err
	}
	if !until.After(time.Now()) || until.After(session.LastTime) {
		return 0, fmt.Errorf("%w: until must be in the future and not after %s", ErrInvalidRequest, session.LastTime.Format(time.RFC3339))
	}
	ended, err := g.Store.Deny(ctx, t.AppID, t.OpenID, until)
	if err != nil {
		return ended, g.storeError(ctx, t.AppID, err)
	}
	g.State.recheck(t.AppID, t.OpenID)
	return ended, nil
}

// Allow undoes Deny.
func (g *Gateway) Allow(ctx context.Context, t Target) error {
	ctx = context.WithoutCancel(ctx)
	if err := g.checkTarget(t, true); err != nil {
		return err
	}
	if _, err := g.Store.Deny(ctx, t.AppID, t.OpenID, time.Time{}); err != nil {
		return g.storeError(ctx, t.AppID, err)
	}
	return nil
}

// UserHash is the name of a target's user that is fit for logs; empty for none.
func (g *Gateway) UserHash(t Target) string {
	if t.OpenID == "" {
		return ""
	}
	return g.Keys().UserHash(t.AppID, t.OpenID)
}

// Breaker returns the state of an app's breaker.
func (g *Gateway) Breaker(appID string) BreakerState { return g.State.gate(appID).breaker.state() }

// ResetBreakers closes all breakers: what was wrong with WeChat is known to be over.
func (g *Gateway) ResetBreakers() {
	for appID := range g.Accounts {
		if change := g.State.gate(appID).breaker.reset(); change != nil {
			g.Observer.BreakerChanged(appID, *change)
		}
	}
}

// Verdicts of Explain.
const (
	VerdictLive        = "live"
	VerdictExpired     = "expired"
	VerdictEnded       = "ended"
	VerdictUnknownApp  = "unknown_app"
	VerdictUnknownKey  = "unknown_key"
	VerdictForged      = "wrong_signature"
	VerdictMalformed   = "malformed"
	VerdictUnavailable = "store_unavailable"
)

// Explanation is what there is to say about a token.
type Explanation struct {
	// Verdict is one of the constants above.
	Verdict string
	// Err is what Authenticate would return to a site that lists the app; nil if a
	// request passes.
	Err error
	// Claims, of a token with a good signature. KeyID also of others, if they
	// name a key.
	Claims token.Claims
	// Signs says that new tokens are signed with the same key.
	Signs bool
}

var verdicts = map[token.Problem]string{
	token.Malformed: VerdictMalformed, token.UnknownKey: VerdictUnknownKey, token.WrongSignature: VerdictForged,
	token.Expired: VerdictExpired,
}

// Explain says what a token is and whether it counts. It is for operators: to
// clients the reasons stay unknown.
func (g *Gateway) Explain(ctx context.Context, text string) Explanation {
	ring := g.Keys()
	now := time.Now()
	claims, problem := token.Examine(ring, text, now, g.longestLifetime())
	e := Explanation{Verdict: verdicts[problem], Err: ErrLoginRequired, Claims: claims, Signs: claims.KeyID == ring.Signer().ID()}
	if problem != token.NoProblem && problem != token.Expired {
		return e
	}
	if _, found := g.Accounts[claims.User.AppID]; !found {
		e.Verdict = VerdictUnknownApp
		return e
	}
	if problem == token.Expired {
		e.Err = ErrSessionExpired
		return e
	}
	_, err := g.Store.Get(ctx, session.Query{Ref: ref(claims.User), Now: now, Issued: claims.IssuedAt})
	if err == nil {
		e.Verdict, e.Err = VerdictLive, nil
		return e
	}
	switch e.Err = g.judge(err, claims, now); {
	case errors.Is(e.Err, ErrSessionExpired):
		e.Verdict = VerdictExpired
	case errors.Is(e.Err, ErrSessionEnded):
		e.Verdict = VerdictEnded
	default: // it may pass by grace
		e.Verdict = VerdictUnavailable
	}
	return e
}

// SetUserID changes the application's name for a user in all live sessions, on every
// node within a second; an empty one removes it. The error is [ErrInvalidRequest],
// [ErrStoreUnavailable], or [session.ErrNotFound] for a user who is not logged in.
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
