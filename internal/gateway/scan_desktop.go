package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/ticket"
	"github.com/caddy-wechat/gateway/internal/token"
)

// SealScan returns what a desktop keeps of its scan, good in a cookie of this name at
// this host.
func (g *Gateway) SealScan(s Scan, host, name string) (string, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	return ticket.Seal(g.Keys(), ticket.Scan, ticket.Place{Host: host, Name: name}, data)
}

// OpenScan reads what SealScan has written, if the scan can still be finished as far
// as its time tells.
func (g *Gateway) OpenScan(text, host, name string) (Scan, bool) {
	var s Scan
	data, err := ticket.Open(g.Keys(), ticket.Scan, ticket.Place{Host: host, Name: name}, text)
	if err != nil || json.Unmarshal(data, &s) != nil || len(s.Numbers) != scanNumbers || !isScene(s.Scene) {
		return Scan{}, false
	}
	return s, true
}

// timeLeft is how much time a scan has. A scan whose claims the store may have forgotten
// has none.
func (g *Gateway) timeLeft(s *Scan, now time.Time) time.Duration {
	age := now.Sub(s.Made)
	if age < -token.Leeway || s.Made.Before(g.Store.ClaimsSince(s.AppID)) {
		return 0
	}
	return max(ScanLifetime-age, 0)
}

// ScanState is what a desktop learns while it waits.
type ScanState string

// The states of a scan.
const (
	ScanWaiting ScanState = "waiting"
	ScanSeen    ScanState = "seen"
	ScanDenied  ScanState = "denied"
	ScanExpired ScanState = "expired"
	ScanDone    ScanState = "done"
)

// ScanOver reports whether a scan is known to be over, so that its desktop needs
// another one.
func (g *Gateway) ScanOver(ctx context.Context, s Scan) bool {
	if g.timeLeft(&s, time.Now()) < ScanLifetime/8 { // no user is that fast
		return true
	}
	claim, _, err := g.Store.PeekCode(ctx, s.key(scanVerdict))
	return err == nil && claim != session.ClaimGranted
}

// PollScan says what became of a scan, and logs its desktop in, once, for a lifetime.
// A desktop may ask once a second. Errors are [ErrTooSoon], [ErrStoreUnavailable] and those of
// a login hook.
func (g *Gateway) PollScan(ctx context.Context, s Scan, client netip.Addr, lifetime time.Duration) (ScanState, Grant, error) {
	now := time.Now()
	if wait := g.State.scans.tooSoon(s.Scene, now); wait > 0 {
		return "", Grant{}, retryAfter(ErrTooSoon, wait)
	}
	if g.timeLeft(&s, now) == 0 {
		return ScanExpired, Grant{}, nil
	}
	claim, reply, err := g.Store.PeekCode(ctx, s.key(scanVerdict))
	switch {
	case err != nil:
		return "", Grant{}, g.storeError(ctx, s.AppID, err)
	case claim == session.ClaimSettled:
		return g.takeVerdict(context.WithoutCancel(ctx), &s, reply, client, lifetime)
	}
	claim, _, err = g.Store.PeekCode(ctx, s.key(scanSeen))
	switch {
	case err != nil:
		return "", Grant{}, g.storeError(ctx, s.AppID, err)
	case claim == session.ClaimGranted:
		return ScanWaiting, Grant{}, nil
	}
	return ScanSeen, Grant{}, nil
}

// takeVerdict logs the desktop in if the verdict is yes.
func (g *Gateway) takeVerdict(ctx context.Context, s *Scan, reply *session.Reply, client netip.Addr, lifetime time.Duration) (ScanState, Grant, error) {
	var v scanVerdictOf
	if reply != nil {
		_ = json.Unmarshal(reply.Body, &v) // what cannot be read is no yes
	}
	if v.OpenID == "" {
		return ScanDenied, Grant{}, nil
	}
	approver := session.Query{Ref: session.Ref{AppID: s.AppID, OpenID: v.OpenID, SessionID: v.SessionID}, Now: time.Now()}
	live, err := g.Store.Get(ctx, approver)
	switch {
	case errors.Is(err, session.ErrNotFound): // a user who has logged out meanwhile lets no desktop in
		return ScanDenied, Grant{}, nil
	case err != nil:
		return "", Grant{}, g.storeError(ctx, s.AppID, err)
	}
	taken := s.key(scanTaken)
	claim, _, err := g.Store.ClaimCode(ctx, taken)
	switch {
	case err != nil:
		return "", Grant{}, g.storeError(ctx, s.AppID, err)
	case claim != session.ClaimGranted:
		return ScanExpired, Grant{}, nil
	}
	grant, err := g.startSession(ctx, entrance{
		user:     identity.User{AppID: s.AppID, OpenID: v.OpenID, UnionID: live.UnionID},
		lifetime: lifetime, kind: inCookie, silent: true, loginKind: session.Scan, client: client,
	})
	if errors.Is(err, ErrStoreUnavailable) {
		_ = g.Store.ReleaseCode(ctx, taken) // should it fail, there is another code to scan
		return "", grant, err
	}
	// The claim counts as it is, for longer than any scan.
	_ = g.Store.SettleCode(ctx, taken, session.Reply{})
	if err != nil {
		return "", grant, err
	}
	return ScanDone, grant, nil
}
