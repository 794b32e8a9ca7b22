package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/session"
)

// Approval is what a user of a Mini Program brings to a scan.
type Approval struct {
	Token, Scene string
	// Client is where the user is.
	Client netip.Addr
	// Apps of the site.
	Apps Apps
}

// ScanView is what an approver sees of a scan.
type ScanView struct {
	// User is the approver. Together with an error it is good for nothing but a log.
	User identity.User
	// Numbers to choose from, the same each time.
	Numbers     []int
	Browser     string
	SameNetwork bool
	ExpiresIn   time.Duration
}

func (g *Gateway) view(s *Scan, user identity.User, client netip.Addr) ScanView {
	return ScanView{
		User: user, Numbers: s.Numbers, Browser: s.Browser, ExpiresIn: g.timeLeft(s, time.Now()).Truncate(time.Second),
		SameNetwork: client.IsValid() && s.Network.IsValid() && limitKey(client) == limitKey(s.Network),
	}
}

// DescribeScan shows a scan to the user whose token it is, and makes it his: another
// one who looks at it ends it. Errors are [ErrScanEnded], [ErrInvalidRequest] and those of
// Authenticate; nothing passes by grace. Like the other acts of an approver it
// finishes also when its client leaves.
func (g *Gateway) DescribeScan(ctx context.Context, a Approval) (ScanView, error) {
	s, user, err := g.pendingScan(ctx, a)
	if err != nil {
		return ScanView{User: user}, err
	}
	return g.view(&s, user, a.Client), nil
}

// ApproveScan lets the desktop in that shows a number. A wrong number ends the scan.
// Errors are those of DescribeScan and [ErrScanWrongNumber].
func (g *Gateway) ApproveScan(ctx context.Context, a Approval, number int) (ScanView, error) {
	s, user, err := g.pendingScan(ctx, a)
	if err != nil {
		return ScanView{User: user}, err
	}
	var verdict scanVerdictOf
	matches := number == s.Right
	if matches {
		verdict = scanVerdictOf{OpenID: user.OpenID, SessionID: user.SessionID}
	}
	if err := g.decide(ctx, &s, verdict); err != nil {
		return ScanView{User: user}, err
	}
	if !matches {
		return ScanView{User: user}, ErrScanWrongNumber
	}
	return g.view(&s, user, a.Client), nil
}

// DenyScan ends a scan. Errors are those of DescribeScan.
func (g *Gateway) DenyScan(ctx context.Context, a Approval) (ScanView, error) {
	s, user, err := g.pendingScan(ctx, a)
	if err == nil {
		err = g.decide(ctx, &s, scanVerdictOf{})
	}
	if err != nil {
		return ScanView{User: user}, err
	}
	return g.view(&s, user, a.Client), nil
}

// pendingScan finds a scan that waits for a verdict, for the user of a token.
func (g *Gateway) pendingScan(ctx context.Context, a Approval) (Scan, identity.User, error) {
	claims, _, err := g.verifyLive(ctx, a.Token, carried, a.Apps, time.Now())
	if err != nil {
		return Scan{}, identity.User{}, err
	}
	if !isScene(a.Scene) {
		return Scan{}, identity.User{}, fmt.Errorf("%w: scene must be the %d characters that the Mini Program was opened with", ErrInvalidRequest, sceneLength)
	}
	ctx = context.WithoutCancel(ctx)
	user := claims.User
	named := Scan{Scene: a.Scene, AppID: user.AppID}
	_, reply, err := g.Store.PeekCode(ctx, named.key(scanOffer))
	if err != nil {
		return Scan{}, user, g.storeError(ctx, user.AppID, err)
	}
	var s Scan
	if reply == nil || json.Unmarshal(reply.Body, &s) != nil || s.Scene != a.Scene || s.AppID != user.AppID || g.timeLeft(&s, time.Now()) == 0 {
		return Scan{}, user, ErrScanEnded
	}
	approver, err := g.isApprover(ctx, &s, user.OpenID)
	switch {
	case err != nil:
		return Scan{}, user, err
	case !approver: // two people before one desktop: one of them does not belong there
		if err := g.decide(ctx, &s, scanVerdictOf{}); err != nil {
			return Scan{}, user, err
		}
		return Scan{}, user, ErrScanEnded
	}
	claim, _, err := g.Store.PeekCode(ctx, s.key(scanVerdict))
	switch {
	case err != nil:
		return Scan{}, user, g.storeError(ctx, user.AppID, err)
	case claim != session.ClaimGranted:
		return Scan{}, user, ErrScanEnded
	}
	return s, user, nil
}

// isApprover reports whether the user is the first to open the scan, and so its approver.
func (g *Gateway) isApprover(ctx context.Context, s *Scan, openID string) (bool, error) {
	key := s.key(scanSeen)
	claim, reply, err := g.claim(ctx, key)
	if err == nil && claim == session.ClaimGranted {
		err = g.Store.SettleCode(ctx, key, scanReply(s, openID))
	}
	if err != nil {
		return false, g.storeError(ctx, s.AppID, err)
	}
	if claim == session.ClaimGranted {
		return true, nil
	}
	var first string
	return reply != nil && json.Unmarshal(reply.Body, &first) == nil && first == openID, nil
}

// decide ends a scan. The error is [ErrScanEnded] if it was decided before.
func (g *Gateway) decide(ctx context.Context, s *Scan, v scanVerdictOf) error {
	ctx = context.WithoutCancel(ctx)
	key := s.key(scanVerdict)
	claim, _, err := g.Store.ClaimCode(ctx, key)
	switch {
	case err != nil:
		return g.storeError(ctx, s.AppID, err)
	case claim != session.ClaimGranted:
		return ErrScanEnded
	}
	if err := g.Store.SettleCode(ctx, key, scanReply(s, v)); err != nil {
		return g.storeError(ctx, s.AppID, err)
	}
	return nil
}
