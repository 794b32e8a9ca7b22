package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/netip"
	"slices"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/ticket"
	"github.com/caddy-wechat/gateway/internal/token"
)

const (
	// ScanLifetime is how long a desktop waits for a Mini Program.
	ScanLifetime = 2 * time.Minute
	// scanKept is how long the store must know what became of a scan: longer than
	// its clock and that of a node are apart.
	scanKept = ScanLifetime + 30*time.Second

	sceneBytes  = 16
	sceneLength = 22
	scanNumbers = 3
)

// Scan is a desktop that waits for a Mini Program to let it in. The desktop has it,
// sealed, in a cookie; once its code is drawn the store has a copy for the other side.
type Scan struct {
	// Scene is what the Mini Program code says: 22 characters of base64url.
	Scene string `json:"scene"`
	// AppID of the Mini Program.
	AppID string `json:"app"`
	// Numbers that the approver chooses from; Right is the one that the desktop shows.
	Numbers []int `json:"numbers"`
	Right   int   `json:"right"`
	// Browser is what the desktop is, in words; Network is where it is.
	Browser string     `json:"browser"`
	Network netip.Addr `json:"network"`
	// To is where the desktop goes afterwards.
	To   string    `json:"to"`
	Made time.Time `json:"made"`
}

// NewScan begins a scan. Nothing is kept of it.
func NewScan(appID, browser, to string, client netip.Addr) Scan {
	var scene [sceneBytes]byte
	rand.Read(scene[:]) // never fails since Go 1.24
	s := Scan{
		Scene: base64.RawURLEncoding.EncodeToString(scene[:]), AppID: appID,
		Browser: browser, Network: client.Unmap().WithZone(""), To: to, Made: time.Now().Round(0),
	}
	for len(s.Numbers) < scanNumbers {
		if n := 10 + below(90); !slices.Contains(s.Numbers, n) {
			s.Numbers = append(s.Numbers, n)
		}
	}
	s.Right = s.Numbers[below(scanNumbers)]
	return s
}

func below(n int64) int {
	v, err := rand.Int(rand.Reader, big.NewInt(n))
	if err != nil {
		panic(err) // never since Go 1.24
	}
	return int(v.Int64())
}

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

// isScene reports whether a text has the form of a scene.
func isScene(text string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(text) == sceneLength && len(raw) == sceneBytes
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

// The things that the store remembers about a scan, each claimed once.
const (
	scanOffer   = "offer"   // its code was drawn; the reply is the Scan
	scanSeen    = "seen"    // by the approver that the reply names
	scanVerdict = "verdict" // the reply is a verdict
	scanTaken   = "taken"   // its desktop was logged in
)

// key names one of these among the codes of an app; no code has this key.
func (s *Scan) key(what string) session.CodeKey {
	return session.CodeKey{AppID: s.AppID, Hash: sha256.Sum256([]byte("scan\x00" + what + "\x00" + s.Scene))}
}

// scanReply is what the store keeps for a key.
func scanReply(s *Scan, value any) session.Reply {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // strings, numbers and times always encode
	}
	return session.Reply{Nonce: s.Scene, Body: body, Keep: scanKept}
}

// scanVerdictOf is what an approver decided. Without a user it is no.
type scanVerdictOf struct {
	OpenID    string `json:"openid,omitempty"`
	SessionID string `json:"sid,omitempty"`
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
	if g.timeLeft(&s, time.Now()) < ScanLifetime/8 { // nobody is that fast
		return true
	}
	claim, _, err := g.Store.PeekCode(ctx, s.key(scanVerdict))
	return err == nil && claim != session.ClaimGranted
}

// PollScan says what became of a scan, and logs its desktop in, once, for a lifetime.
// A desktop may ask once a second. Errors are ErrTooSoon, ErrStoreUnavailable and those of
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
	case errors.Is(err, session.ErrNotFound): // who has logged out meanwhile lets nobody in
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
