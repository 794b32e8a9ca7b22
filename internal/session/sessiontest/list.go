package sessiontest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/caddy-wechat/gateway/internal/session"
)

// listAll returns the sessions of an app by user, from pages of a size. A user who
// comes twice is reported unless that is allowed.
func listAll(t *testing.T, store session.Backend, app string, limit int, twice bool) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	after := ""
	for range 10_000 {
		page, err := store.List(t.Context(), app, after, limit)
		if err != nil || len(page.Users) > limit || page.Unreadable != 0 {
			t.Fatalf("List after %q: %d users, %d unreadable, limit %d, %v", after, len(page.Users), page.Unreadable, limit, err)
		}
		for _, one := range page.Users {
			if _, found := all[one.OpenID]; found && !twice {
				t.Errorf("%s is listed twice", one.OpenID)
			}
			ids := make([]string, len(one.Sessions))
			for i, live := range one.Sessions {
				ids[i] = live.ID
			}
			all[one.OpenID] = ids
		}
		if after = page.Next; after == "" {
			return all
		}
	}
	t.Fatal("the list does not end")
	return nil
}

func listPages(t *testing.T, store session.Backend) {
	want := make(map[string][]string)
	n := 0
	put := func(app string, user, sessions int) {
		for range sessions {
			n++
			l := login(sid(n), soon())
			l.AppID, l.OpenID = app, fmt.Sprintf("o%027d", user)
			mustPut(t, store, l, 5)
			if app == appID {
				want[l.OpenID] = append(want[l.OpenID], l.SessionID)
			}
		}
	}
	if got := listAll(t, store, appID, 10, false); len(got) != 0 {
		t.Errorf("an empty store lists %v", got)
	}
	for user := range 12 {
		put(appID, user, 1+user%3)
		put("wxfedcba0987654321", user, 1)
	}
	out := login("", soon()).Ref
	out.OpenID = fmt.Sprintf("o%027d", 3)
	if _, err := store.DeleteUser(t.Context(), appID, out.OpenID); err != nil {
		t.Fatal(err)
	}
	delete(want, out.OpenID)
	denied := fmt.Sprintf("o%027d", 4)
	if _, err := store.Deny(t.Context(), appID, denied, soon()); err != nil {
		t.Fatal(err)
	}
	delete(want, denied)
	for _, limit := range []int{1, 2, 3, 10, 11, session.MaxPage} {
		if got := listAll(t, store, appID, limit, false); !maps.EqualFunc(got, want, slices.Equal[[]string]) {
			t.Errorf("pages of %d: %v, want %v", limit, got, want)
		}
	}
	if page, err := store.List(t.Context(), appID, "", 1<<30); err != nil || len(page.Users) != len(want) {
		t.Errorf("a limit beyond the bound: %d users, %v", len(page.Users), err)
	}
	if _, err := store.List(t.Context(), appID, "somewhere", 10); !errors.Is(err, session.ErrCursor) {
		t.Errorf("after nothing that was listed: %v", err)
	}
}

// A user who is logged in all the time is listed, whatever others do meanwhile.
func listGoesOn(t *testing.T, store session.Backend) {
	user := func(n int) session.Login {
		l := login(sid(n), soon())
		l.OpenID = fmt.Sprintf("o%027d", n)
		return l
	}
	const users = 20
	for n := range users {
		mustPut(t, store, user(n), 5)
	}
	seen := make(map[string]bool)
	after := ""
	for round := range 10_000 {
		page, err := store.List(t.Context(), appID, after, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range page.Users {
			seen[one.OpenID] = true
			if round%2 == 0 { // whom the next page begins after, too
				if _, err := store.DeleteUser(t.Context(), appID, one.OpenID); err != nil {
					t.Fatal(err)
				}
			}
		}
		mustPut(t, store, user(1000+round), 5)
		if after = page.Next; after == "" {
			break
		}
	}
	for n := range users {
		if openID := user(n).OpenID; !seen[openID] {
			t.Errorf("user %d is missing", n)
		}
	}
}
