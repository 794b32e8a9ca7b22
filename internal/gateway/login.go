package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/loginhook"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/token"
)

// LoginRequest is what a client posts, and where it comes from.
type LoginRequest struct {
	Code  string
	AppID string // optional when the site has one app
	Nonce string // optional
	// Client is the address that the login limit counts.
	Client netip.Addr
}

const (
	maxCodeLength  = 128
	minNonceLength = 16
	maxNonceLength = 64
	sessionIDBytes = 16
	// pendingPoll is how often a node looks whether another one has finished
	// exchanging the same code.
	pendingPoll            = 50 * time.Millisecond
	defaultExchangeTimeout = 5 * time.Second
)

// Login exchanges a code for a session and returns its first token. One code
// makes at most one session and one call of WeChat: whoever sends it while it
// is exchanged shares the answer; afterwards it is given again only with the
// nonce it was asked for with, for session.ReplyLifetime.
//
// Errors are ErrInvalidRequest, ErrCodeUsed, ErrUserDenied, ErrRateLimited,
// ErrPaused, ErrStoreUnavailable and those of [provider.Provider].
func (g *Gateway) Login(ctx context.Context, req LoginRequest, apps Apps) (Grant, error) {
	app, err := g.check(&req, apps)
	if err != nil {
		return Grant{}, err
	}
	if g.LoginLimit.Events > 0 {
		if wait, ok := g.State.limits.allow(req.Client, g.LoginLimit); !ok {
			g.Observer.LoginLimited(app.ID)
			return Grant{}, retryAfter(ErrRateLimited, wait)
		}
	}
	key := codeKey(app.ID, req.Code)
	// The exchange goes on when its first client leaves: others may wait for
	// it, and its code is spent either way.
	first := false
	result := g.State.logins.DoChan(string(key.Hash[:]), func() (grant any, err error) {
		first = true
		defer func() {
			if p := recover(); p != nil { // in a goroutine of its own, a panic would end the process
				err = fmt.Errorf("panic during login: %v", p)
			}
		}()
		return g.exchangeOnce(context.WithoutCancel(ctx), app, key, req)
	})
	select {
	case <-ctx.Done():
		return Grant{}, ctx.Err()
	case r := <-result:
		if !first {
			g.Observer.CodeRepeated(app.ID)
		}
		grant, _ := r.Val.(Grant)
		return grant, r.Err
	}
}

// check validates the request and finds its app.
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

// codeKey hashes the app with the code: one code text may occur in two apps.
func codeKey(appID, code string) session.CodeKey {
	h := sha256.New()
	h.Write([]byte{byte(len(appID))}) //nolint:gosec // at most 64; so that no two pairs spell the same
	h.Write([]byte(appID))
	h.Write([]byte(code))
	return session.CodeKey{AppID: appID, Hash: [32]byte(h.Sum(nil))}
}

// exchangeOnce runs once at a time for a code on this node; the store sees to
// the other nodes and to the time after.
func (g *Gateway) exchangeOnce(ctx context.Context, app provider.Account, key session.CodeKey, req LoginRequest) (Grant, error) {
	claim, reply, err := g.claim(ctx, key)
	if err != nil {
		return Grant{}, g.storeError(ctx, app.ID, err)
	}
	if claim != session.ClaimGranted {
		g.Observer.CodeRepeated(app.ID)
		return replay(reply, req.Nonce)
	}
	grant, err := g.exchange(ctx, app, req)
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

// claim asks for the code until the answer is final.
func (g *Gateway) claim(ctx context.Context, key session.CodeKey) (session.Claim, *session.Reply, error) {
	deadline := time.Now().Add(g.pendingTime(key.AppID))
	for {
		claim, reply, err := g.Store.ClaimCode(ctx, key)
		if err != nil || claim != session.ClaimPending || time.Now().After(deadline) {
			return claim, reply, err
		}
		select {
		case <-time.After(pendingPoll):
		case <-ctx.Done():
			return claim, nil, nil
		}
	}
}

// exchange asks WeChat and begins the session.
func (g *Gateway) exchange(ctx context.Context, app provider.Account, req LoginRequest) (Grant, error) {
	var user provider.User
	err := g.ask(ctx, app.ID, func() (err error) {
		user, err = g.Provider.Exchange(ctx, app, provider.Proof{Code: req.Code})
		return err
	})
	if err != nil {
		return Grant{}, err
	}
	return g.startSession(ctx, entrance{
		user: identity.User{AppID: app.ID, OpenID: user.OpenID, UnionID: user.UnionID}, sessionKey: user.SessionKey, lifetime: g.MaxLifetime, silent: user.Silent,
		loginKind: session.Kind(app.Kind), client: req.Client,
	})
}

// ask calls WeChat through the gate of an app.
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

// askUnionID asks for a UnionID that neither this login nor one before it told.
// Whatever goes wrong, the login goes on without.
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

func newSessionID() string {
	var id [sessionIDBytes]byte
	rand.Read(id[:]) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// outcome is an answer as kept for the client that lost it.
type outcome struct {
	Grant   *Grant `json:"grant,omitempty"`
	Refusal string `json:"refusal,omitempty"`
	// Message of the login hook, with its refusal.
	Message string `json:"message,omitempty"`
}

// refusals are the answers of WeChat that can be given again, by a name that
// nodes of different versions agree on.
var refusals = map[string]error{
	"code_rejected": provider.ErrCodeRejected,
	"code_used":     provider.ErrCodeUsed,
	"user_blocked":  provider.ErrUserBlocked,
	"rate_limited":  provider.ErrRateLimited,
	"quota":         provider.ErrQuota,
	"unavailable":   provider.ErrUnavailable,
	"timeout":       provider.ErrTimeout,
	"misconfigured": provider.ErrMisconfigured,
	"bad_answer":    provider.ErrBadAnswer,
	"denied":        ErrUserDenied,
	"snapshot":      provider.ErrSnapshotUser,
	notAllowed:      loginhook.ErrNotAllowed,
	"hook_answer":   loginhook.ErrBadAnswer,
	"hook_paused":   loginhook.ErrPaused,
	"hook_timeout":  loginhook.ErrTimeout,
}

const notAllowed = "not_allowed"

func encodeOutcome(grant Grant, err error) []byte {
	kept := outcome{Grant: &grant}
	if err != nil {
		kept = outcome{}
		for name, refusal := range refusals {
			if errors.Is(err, refusal) {
				kept.Refusal = name
			}
		}
		if no, ok := errors.AsType[*loginhook.Refusal](err); ok {
			kept.Message = no.Message
		}
	}
	body, err := json.Marshal(kept)
	if err != nil {
		panic(err) // strings and integers always encode
	}
	return body
}

// replay answers a code that was seen before.
func replay(reply *session.Reply, nonce string) (Grant, error) {
	if reply == nil || nonce == "" || subtle.ConstantTimeCompare([]byte(reply.Nonce), []byte(nonce)) != 1 {
		return Grant{}, ErrCodeUsed
	}
	var kept outcome
	if err := json.Unmarshal(reply.Body, &kept); err != nil {
		return Grant{}, ErrCodeUsed
	}
	if kept.Grant != nil {
		return *kept.Grant, nil
	}
	if kept.Refusal == notAllowed {
		return Grant{}, &loginhook.Refusal{Message: kept.Message}
	}
	if refusal, known := refusals[kept.Refusal]; known {
		return Grant{}, refusal
	}
	return Grant{}, ErrCodeUsed
}
