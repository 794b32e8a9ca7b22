package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-wechat/gateway/internal/session"
)

// Listed is a user with live sessions, by the name that logs have.
type Listed struct {
	UserHash string
	session.Record
}

// MaxPage is how many users List returns at once.
const MaxPage = session.MaxPage

// userHashLength is that of every UserHash. The store's own cursors are no such texts.
const userHashLength = 16

// List returns a page of an app's users with live sessions, and after whom the next
// one begins, empty at the end. after is that, or the hash of any user in the page
// before. The order is the store's.
func (g *Gateway) List(ctx context.Context, appID, after string, limit int) (page []Listed, next string, err error) {
	if err := g.checkTarget(Target{AppID: appID}, false); err != nil {
		return nil, "", err
	}
	if limit < 1 || limit > MaxPage {
		return nil, "", fmt.Errorf("%w: limit must be 1 to %d", ErrInvalidRequest, MaxPage)
	}
	if isUserHash(after) {
		if _, after, err = g.find(ctx, appID, after); err != nil {
			return nil, "", err
		}
		if after == "" {
			return nil, "", nil // the user was the last
		}
	}
	return g.page(ctx, appID, after, limit)
}

// Find returns what is known about the live user with a hash; nothing is no error.
func (g *Gateway) Find(ctx context.Context, appID, userHash string) (session.Record, error) {
	if err := g.checkTarget(Target{AppID: appID}, false); err != nil {
		return session.Record{}, err
	}
	if !isUserHash(userHash) {
		return session.Record{}, fmt.Errorf("%w: user_hash must be %d hex digits, as in the logs", ErrInvalidRequest, userHashLength)
	}
	record, _, err := g.find(ctx, appID, userHash)
	if errors.Is(err, errNoSuchUser) {
		err = nil
	}
	return record, err
}

var errNoSuchUser = fmt.Errorf("%w: nobody with that user_hash is logged in", ErrInvalidRequest)

// find walks over the users of the app, a page at a time, and also returns where the
// list goes on after the one.
func (g *Gateway) find(ctx context.Context, appID, userHash string) (session.Record, string, error) {
	for from := ""; ; {
		page, next, err := g.page(ctx, appID, from, MaxPage)
		if err != nil {
			return session.Record{}, "", err
		}
		for i, one := range page {
			if one.UserHash != userHash {
				continue
			}
			if i+1 < len(page) {
				_, next, err = g.page(ctx, appID, from, i+1)
			}
			return one.Record, next, err
		}
		if from = next; from == "" {
			return session.Record{}, "", errNoSuchUser
		}
	}
}

func (g *Gateway) page(ctx context.Context, appID, after string, limit int) ([]Listed, string, error) {
	users, next, err := g.Store.List(ctx, appID, after, limit)
	if errors.Is(err, session.ErrCursor) {
		return nil, "", fmt.Errorf("%w: after must be what the page before says", ErrInvalidRequest)
	}
	if err != nil {
		return nil, "", g.storeError(ctx, appID, err)
	}
	ring := g.Keys()
	page := make([]Listed, len(users))
	for i, one := range users {
		page[i] = Listed{ring.UserHash(appID, one.OpenID), one.Record}
	}
	return page, next, nil
}

func isUserHash(text string) bool {
	if len(text) != userHashLength {
		return false
	}
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
