package gateway

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

// patchyStore lists records of which some are of nobody, as Redis does where records are
// damaged, or of users whose last session has just run out: they take up a part of a page.
type patchyStore struct {
	session.Backend
	openIDs []string // empty: of nobody
}

func (s patchyStore) List(_ context.Context, _, after string, limit int) (page session.Page, err error) {
	first := 0
	if after != "" {
		if first, err = strconv.Atoi(after); err != nil {
			return page, session.ErrCursor
		}
	}
	end := min(first+limit, len(s.openIDs))
	for _, openID := range s.openIDs[first:end] {
		if openID == "" {
			page.Unreadable++
			continue
		}
		live := session.Live{ID: "sid", Began: time.Now(), Ends: time.Now().Add(time.Hour)}
		page.Users = append(page.Users, session.UserRecord{OpenID: openID, Record: session.Record{Sessions: []session.Live{live}}})
	}
	if end < len(s.openIDs) {
		page.Next = strconv.Itoa(end)
	}
	return page, nil
}

// An operator's script pages by the hash of the last user that it has seen. Records that
// are of nobody must not send it back to users whom it has seen, for ever.
func TestListGoesOnBehindTheUserItIsAskedFor(t *testing.T) {
	store := patchyStore{openIDs: make([]string, 40)}
	var users []string
	for i := range store.openIDs {
		if i%4 == 0 || i == 1 || i == 17 || i > 35 {
			store.openIDs[i] = fmt.Sprintf("o%027d", i)
			users = append(users, store.openIDs[i])
		}
	}
	w := newWorld(t, func(c *Config) { c.Store = store })
	var want []string
	for _, openID := range users {
		want = append(want, w.UserHash(Target{AppID: appA, OpenID: openID}))
	}
	for _, limit := range []int{1, 2, 3, MaxPage} {
		var got []string
		after := ""
		for range 100 {
			page, err := w.List(t.Context(), appA, after, limit)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range page.Users {
				got = append(got, one.UserHash)
			}
			if after = page.Next; after == "" {
				break
			}
			if len(page.Users) > 0 {
				after = page.Users[len(page.Users)-1].UserHash
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %d users, want %d once each", limit, len(got), len(want))
		}
	}
}
