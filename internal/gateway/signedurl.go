package gateway

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/ticket"
	"github.com/caddy-wechat/gateway/internal/token"
	"github.com/caddy-wechat/gateway/internal/urlpath"
)

// SignRequest asks for signed URLs.
type SignRequest struct {
	// Token of the user in whose name they are opened.
	Token string
	// Host of the site, in lower case.
	Host string
	// Targets are paths, each with its query if it has one.
	Targets []string
	// Lifetime is at least how long they are good, unless the session ends before.
	Lifetime time.Duration
	// Routes is below what the gateway's own routes are, folded. Nothing there is
	// signed.
	Routes []string
}

// Sign returns the targets with a signature each, in order, and how long they are
// good. Its holder opens that address, and nothing else, in the name of the
// user, as long as the session lives. Errors are [ErrInvalidRequest] and those of
// Authenticate; nothing is signed by grace.
func (g *Gateway) Sign(ctx context.Context, req SignRequest, apps Apps) (urls []string, lifetime time.Duration, err error) {
	if err := req.check(); err != nil {
		return nil, 0, err
	}
	now := time.Now()
	claims, live, err := g.verifyLive(ctx, req.Token, carried, apps, now)
	if err != nil {
		return nil, 0, err
	}
	end := now.Add(req.Lifetime).Add(time.Minute - 1).Truncate(time.Minute)
	data := signatureData(claims.User, end)
	ring := g.Keys()
	for _, target := range req.Targets {
		sealed, err := ticket.Seal(ring, ticket.Signature, signedPlace(req.Host, target), data)
		if err != nil {
			return nil, 0, err
		}
		if len(sealed) > maxSignature {
			return nil, 0, fmt.Errorf("%w: the user's ids are too long for a signed URL", ErrInvalidRequest)
		}
		urls = append(urls, target+separator(target)+SignatureParameter+"="+sealed)
	}
	if live.Ends.Before(end) {
		end = live.Ends
	}
	return urls, max(end.Sub(now), 0).Truncate(time.Second), nil
}

func (r *SignRequest) check() error {
	switch {
	case len(r.Targets) == 0 || len(r.Targets) > MaxSignedPaths:
		return fmt.Errorf("%w: there must be 1 to %d paths", ErrInvalidRequest, MaxSignedPaths)
	case r.Lifetime < MinSignedLifetime || r.Lifetime > MaxSignedLifetime:
		return fmt.Errorf("%w: expires_in must be %d to %d seconds", ErrInvalidRequest, MinSignedLifetime/time.Second, MaxSignedLifetime/time.Second)
	}
	for _, target := range r.Targets {
		path, query, _ := strings.Cut(target, "?")
		switch {
		case len(target) > maxSignedPath:
			return fmt.Errorf("%w: a path must have at most %d bytes", ErrInvalidRequest, maxSignedPath)
		case !urlpath.Canonical(path):
			return fmt.Errorf("%w: a path must begin with / and be spelled in its one canonical way", ErrInvalidRequest)
		case !plainQuery(query):
			return fmt.Errorf("%w: a query must be escaped, and have no %s or fragment", ErrInvalidRequest, SignatureParameter)
		}
		for _, routes := range r.Routes {
			if routes == urlpath.Fold(path) || urlpath.Below(path, routes) {
				return fmt.Errorf("%w: gateway routes cannot be signed", ErrInvalidRequest)
			}
		}
	}
	return nil
}

// plainQuery reports whether a query arrives as it is sent, and has no signature yet.
func plainQuery(query string) bool {
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return !HasSignature(query)
}

// separator is what comes between a target and its signature. It is another one for
// "/a" and "/a?", so that no two targets make one URL.
func separator(target string) string {
	if strings.Contains(target, "?") {
		return "&"
	}
	return "?"
}

// AdmitSigned is Admit for a request whose path and query, as sent, have a signature
// at their end. The address counts byte for byte. Nothing passes by grace: the error is
// [ErrStoreUnavailable] then. The time is when the signature, or the session, ends.
func (g *Gateway) AdmitSigned(ctx context.Context, host, path, query string, apps Apps) (Pass, time.Time, error) {
	target, signature, ok := cutSignature(path, query)
	if !ok || len(target) > maxSignedPath || len(signature) > maxSignature {
		return Pass{}, time.Time{}, ErrLoginRequired
	}
	seen, ok := g.openSignature(host, target, signature)
	if !ok || !apps.Has(seen.user.AppID) {
		return Pass{}, time.Time{}, ErrLoginRequired
	}
	user, end := seen.user, seen.end
	now := time.Now()
	if !now.Before(end) {
		return Pass{User: user}, end, ErrSessionExpired
	}
	live, err := g.Store.Get(ctx, session.Query{Ref: ref(user), Now: now})
	if err != nil {
		claims := knownToken{Claims: token.Claims{User: user, Expires: end}}
		return Pass{User: user}, end, g.counted(ctx, &claims, verdict(err, claims.Claims, now))
	}
	user.UnionID, user.UserID = live.UnionID, live.UserID
	if live.Ends.Before(end) {
		end = live.Ends
	}
	return Pass{User: user, expires: end, keyID: seen.keyID, hint: live.Hint}, end, nil
}

// openSignature opens a signature, or remembers that it did. A dropped key is asked
// about each time.
func (g *Gateway) openSignature(host, target, signature string) (seenSignature, bool) {
	ring := g.Keys()
	sum := g.State.tokenHash(host + "\x00" + target + "\x00." + signature)
	if seen, ok := g.State.signatures.Get(string(sum[:])); ok && ring.Has(seen.keyID) {
		return seen, true
	}
	data, err := ticket.Open(ring, ticket.Signature, signedPlace(host, target), signature)
	if err != nil {
		return seenSignature{}, false
	}
	user, end, ok := parseSignature(data)
	if !ok {
		return seenSignature{}, false
	}
	seen := seenSignature{user: user, end: end, keyID: ticket.KeyID(signature)}
	g.State.signatures.GetOrAdd(string(sum[:]), func() seenSignature { return seen })
	return seen, true
}
