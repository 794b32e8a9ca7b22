package gateway

import (
	"context"
	"net/netip"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/session"
)

// ScanCode returns the picture of a scan's code, which it draws once, at whatever
// node. Errors are [ErrScanEnded], [ErrRateLimited], [ErrStoreUnavailable] and those of
// WeChat.
func (g *Gateway) ScanCode(ctx context.Context, s Scan, client netip.Addr, page, version string) ([]byte, error) {
	if g.timeLeft(&s, time.Now()) == 0 {
		return nil, ErrScanEnded
	}
	key := s.key(scanOffer)
	claim, _, err := g.Store.PeekCode(ctx, key)
	if err != nil {
		return nil, g.storeError(ctx, s.AppID, err)
	}
	if claim == session.ClaimGranted {
		if err := g.allowDraw(s.AppID, client); err != nil {
			return nil, err
		}
	}
	claim, _, err = g.claim(ctx, key) // who only waits stops when its client leaves
	switch {
	case err != nil:
		return nil, g.storeError(ctx, s.AppID, err)
	case claim != session.ClaimGranted:
		return g.drawn(ctx, &s)
	}
	ctx = context.WithoutCancel(ctx) // others may wait for it
	picture, err := g.Codes.MiniProgramCode(ctx, s.AppID, provider.Code{Scene: s.Scene, Page: page, Version: version})
	if err != nil {
		_ = g.Store.ReleaseCode(ctx, key) // should it fail, the page gets another code
		return nil, err
	}
	g.keepPicture(ctx, &s, picture)
	if err := g.Store.SettleCode(ctx, key, scanReply(&s, s)); err != nil {
		return nil, g.storeError(ctx, s.AppID, err)
	}
	return picture, nil
}

// allowDraw counts a picture for the client and for the app.
func (g *Gateway) allowDraw(appID string, client netip.Addr) error {
	if g.LoginLimit.Events > 0 {
		if wait, ok := g.State.limits.allow(client, g.LoginLimit); !ok {
			g.Observer.LoginLimited(appID)
			return retryAfter(ErrRateLimited, wait)
		}
	}
	if wait := g.State.scans.allowDraw(appID, time.Now()); wait > 0 {
		g.Observer.LoginLimited(appID)
		return retryAfter(ErrRateLimited, wait)
	}
	return nil
}

// pictureName is what nodes share a picture by.
func pictureName(s *Scan) string { return "scan " + s.AppID + " " + s.Scene }

// keepPicture keeps a picture for pages that are loaded again, also at other nodes if
// there can be any. Without it a page shows another code.
func (g *Gateway) keepPicture(ctx context.Context, s *Scan, picture []byte) {
	g.State.scans.pictures.GetOrAdd(s.Scene, func() []byte { return picture })
	if _, alone := g.Store.Ended(); !alone {
		_ = g.Store.SaveShared(ctx, pictureName(s), picture, ScanLifetime)
	}
}

// drawn returns a picture that was drawn before.
func (g *Gateway) drawn(ctx context.Context, s *Scan) ([]byte, error) {
	if picture, kept := g.State.scans.pictures.Get(s.Scene); kept {
		return picture, nil
	}
	if _, alone := g.Store.Ended(); alone {
		return nil, ErrScanEnded
	}
	picture, err := g.Store.LoadShared(ctx, pictureName(s))
	switch {
	case err != nil:
		return nil, g.storeError(ctx, s.AppID, err)
	case picture == nil:
		return nil, ErrScanEnded
	}
	return picture, nil
}
