package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/ticket"
	"github.com/caddy-wechat/gateway/internal/token"
)

// TicketLifetime is how long a ticket can be used.
const TicketLifetime = time.Minute

// Ticket lets a web-view of the Mini Program whose token it is have the same session,
// once. Host is the site's, and to is where the page goes. Nothing is kept until the
// ticket is used. Errors are [ErrInvalidRequest] and those of Authenticate; there are no
// tickets by grace.
func (g *Gateway) Ticket(ctx context.Context, text, host, to string, apps Apps) (sealed string, lifetime time.Duration, err error) {
	now := time.Now()
	claims, live, err := g.verifyLive(ctx, text, carried, apps, now)
	if err != nil {
		return "", 0, err
	}
	if g.Accounts[claims.User.AppID].Kind != provider.MiniProgram {
		return "", 0, fmt.Errorf("%w: tickets are for web-views of Mini Programs", ErrInvalidRequest)
	}
	user := claims.User
	data := binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli()))
	data = append(data, strings.Join([]string{user.AppID, user.OpenID, user.SessionID, to}, "\x00")...)
	sealed, err = ticket.Seal(g.Keys(), ticket.WebView, ticket.Place{Host: host}, data)
	switch {
	case err != nil:
		return "", 0, err
	case len(sealed) > ticket.MaxText:
		return "", 0, fmt.Errorf("%w: the user's ids are too long for a ticket", ErrInvalidRequest)
	}
	return sealed, min(TicketLifetime, live.Ends.Sub(now)).Truncate(time.Second), nil
}

// WebViewTicket is what a ticket says. It is not known yet whether it still counts.
type WebViewTicket struct {
	// User whose session the web-view gets.
	User identity.User
	// To is where it goes.
	To string

	made time.Time
	hash [sha256.Size]byte
}

// OpenTicket reads a ticket that this gateway made for a host and for one of the apps.
// The error is [ErrTicketRefused].
func (g *Gateway) OpenTicket(host, text string, apps Apps) (WebViewTicket, error) {
	data, err := ticket.Open(g.Keys(), ticket.WebView, ticket.Place{Host: host}, text)
	if err != nil || len(data) < 8 {
		return WebViewTicket{}, ErrTicketRefused
	}
	fields := strings.Split(string(data[8:]), "\x00")
	if len(fields) != 4 || !apps.Has(fields[0]) {
		return WebViewTicket{}, ErrTicketRefused
	}
	return WebViewTicket{
		User: identity.User{AppID: fields[0], OpenID: fields[1], SessionID: fields[2]}, To: fields[3],
		made: time.UnixMilli(int64(binary.BigEndian.Uint64(data))), //nolint:gosec // as it was written
		hash: sha256.Sum256([]byte(text)),
	}, nil
}

// CheckTicket reports whether a ticket is young enough and its session live, and
// returns the user as the store knows him. The errors are [ErrTicketRefused] and
// [ErrStoreUnavailable].
func (g *Gateway) CheckTicket(ctx context.Context, t WebViewTicket) (identity.User, error) {
	user, _, err := g.ticketSession(ctx, t, time.Now())
	return user, err
}

func (g *Gateway) ticketSession(ctx context.Context, t WebViewTicket, now time.Time) (user identity.User, ends time.Time, err error) {
	age := now.Sub(t.made)
	// What a memory store claimed before it began, or was full, it does not know.
	if age >= TicketLifetime || age < -token.Leeway || t.made.Before(g.Store.ClaimsSince(t.User.AppID)) {
		return user, ends, ErrTicketRefused
	}
	live, err := g.Store.Get(ctx, session.Query{Ref: ref(t.User), Now: now})
	switch {
	case errors.Is(err, session.ErrNotFound):
		return user, ends, ErrTicketRefused
	case err != nil:
		return user, ends, g.storeError(ctx, t.User.AppID, err)
	}
	user = t.User
	user.UnionID, user.UserID = live.UnionID, live.UserID
	return user, live.Ends, nil
}

// UseTicket uses a ticket up, over all nodes, and returns the token for a browser's
// cookie: of the same session, and good for a lifetime at most. It finishes also when
// its client leaves. The errors are those of CheckTicket.
func (g *Gateway) UseTicket(ctx context.Context, t WebViewTicket, lifetime time.Duration) (Grant, error) {
	ctx = context.WithoutCancel(ctx)
	now := time.Now()
	if _, _, err := g.ticketSession(ctx, t, now); err != nil {
		return Grant{}, err
	}
	h := sha256.New()
	h.Write([]byte("ticket of a web-view\x00"))
	h.Write(t.hash[:])
	key := session.CodeKey{AppID: t.User.AppID, Hash: [32]byte(h.Sum(nil))}
	claim, _, err := g.Store.ClaimCode(ctx, key)
	switch {
	case err != nil:
		return Grant{}, g.storeError(ctx, t.User.AppID, err)
	case claim != session.ClaimGranted:
		return Grant{}, ErrTicketRefused
	}
	// The claim counts as it is, for longer than any ticket.
	_ = g.Store.SettleCode(ctx, key, session.Reply{})
	user, ends, err := g.ticketSession(ctx, t, now)
	if err != nil {
		return Grant{}, err
	}
	if latest := now.Add(lifetime); latest.Before(ends) {
		ends = latest
	}
	return g.grant(token.Claims{User: user, Browser: true}, ends)
}
