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

// ListPage is one of a list of users.
type ListPage struct {
	Users []Listed
	// Next is after whom the next page begins, empty at the end.
	Next string
	// Unreadable is how many records of this part of the list name no user.
	Unreadable int
}

// MaxPage is how many users List returns at once.
const MaxPage = session.MaxPage

// userHashLength is that of every UserHash. The store's own cursors are no such texts.
const userHashLength = 16

// List returns a page of an app's users with live sessions. after is the Next of the
// page before, or the hash of any user in it. The order is the store's.
func (g *Gateway) List(ctx context.Context, appID, after string, limit int) (ListPage, error) {
	if err := g.checkTarget(Target{AppID: appID}, false); err != nil {
		return ListPage{}, err
	}
	if limit < 1 || limit > MaxPage {
		return ListPage{}, fmt.Errorf("%w: limit must be 1 to %d", ErrInvalidRequest, MaxPage)
	}
	if isUserHash(after) {
		found, err := g.find(ctx, appID, after)
		if err != nil {
			return ListPage{}, err
		}
		if after = found.next; after == "" {
			return ListPage{}, nil // the user was the last
		}
	}
	return g.page(ctx, appID, after, limit)
}

// Find returns what is known about the live user with a hash; nothing is no error.
// Without one, unreadable is how many records there are of which any may be the user's.
func (g *Gateway) Find(ctx context.Context, appID, userHash string) (record session.Record, unreadable int, err error) {
	if err := g.checkTarget(Target{AppID: appID}, false); err != nil {
		return session.Record{}, 0, err
	}
	if !isUserHash(userHash) {
		return session.Record{}, 0, fmt.Errorf("%w: user_hash must be %d hex digits, as in the logs", ErrInvalidRequest, userHashLength)
	}
	found, err := g.find(ctx, appID, userHash)
	if errors.Is(err, errNoSuchUser) {
		return session.Record{}, found.unreadable, nil
	}
	return found.record, 0, err
}

// found is a user and where the list goes on after the one, or else how many records
// were unreadable.
type found struct {
	record     session.Record
	next       string
	unreadable int
}

var errNoSuchUser = fmt.Errorf("%w: no user with that user_hash is logged in", ErrInvalidRequest)

// find walks over the users of the app, a page at a time.
func (g *Gateway) find(ctx context.Context, appID, userHash string) (found, error) {
	unreadable := 0
	for from := ""; ; {
		page, err := g.page(ctx, appID, from, MaxPage)
		if err != nil {
			return found{}, err
		}
		unreadable += page.Unreadable
		for i, listed := range page.Users {
			if listed.UserHash != userHash {
				continue
			}
			next := page.Next
			if i+1 < len(page.Users) {
				if next, err = g.behind(ctx, appID, from, i+1); err != nil {
					return found{}, err
				}
			}
			return found{record: listed.Record, next: next}, nil
		}
		if from = page.Next; from == "" {
			return found{unreadable: unreadable}, errNoSuchUser
		}
	}
}

// behind returns where the list goes on behind the first users after a place. What is
// unreadable or over takes up a part of a page, so they may need a longer one.
func (g *Gateway) behind(ctx context.Context, appID, from string, users int) (next string, err error) {
	for limit := users; ; {
		part, err := g.page(ctx, appID, from, limit)
		if err != nil {
			return "", err
		}
		missing := users - len(part.Users)
		if missing <= 0 || part.Next == "" || limit == MaxPage {
			return part.Next, nil
		}
		limit = min(limit+missing, MaxPage)
	}
}

func (g *Gateway) page(ctx context.Context, appID, after string, limit int) (ListPage, error) {
	users, err := g.Store.List(ctx, appID, after, limit)
	if errors.Is(err, session.ErrCursor) {
		return ListPage{}, fmt.Errorf("%w: after must be what the page before says", ErrInvalidRequest)
	}
	if err != nil {
		return ListPage{}, g.storeError(ctx, appID, err)
	}
	ring := g.Keys()
	page := ListPage{Users: make([]Listed, len(users.Users)), Next: users.Next, Unreadable: users.Unreadable}
	for i, listed := range users.Users {
		page.Users[i] = Listed{ring.UserHash(appID, listed.OpenID), listed.Record}
	}
	return page, nil
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
