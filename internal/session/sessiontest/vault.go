package sessiontest

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
)

func wantUserID(t *testing.T, store session.Backend, ref session.Ref, unionID, want string) {
	t.Helper()
	for _, known := range []string{"", unionID, "uANOTHERAAAAAAAAAAAAAAAAAAAA"} {
		query := Query(ref)
		query.UnionID = known
		if got, err := store.Get(t.Context(), query); err != nil || got.UserID != want || got.UnionID != unionID {
			t.Errorf("session %s: %+v, %v; want user id %q and unionid %q", ref.SessionID, got, err, want, unionID)
		}
	}
}

func userID(t *testing.T, store session.Backend) {
	const unionID = "uAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	first, second, third := login(sid(1), soon()), login(sid(2), soon()), login(sid(3), soon())
	first.UnionID, second.UnionID, third.UnionID = unionID, unionID, unionID
	other := login(sid(4), soon())
	other.OpenID = openID[:27] + "Z"
	mustPut(t, store, first, 5)
	mustPut(t, store, other, 5)
	wantUserID(t, store, first.Ref, unionID, "")
	second.UserID = "42"
	mustPut(t, store, second, 5)
	mustPut(t, store, third, 5) // keeps the name
	long := strings.Repeat("n", 64)
	for _, name := range []string{"42", "43", long, "", "a@b.example:_-"} {
		if name != "42" {
			if err := store.SetUserID(t.Context(), appID, openID, name); err != nil {
				t.Fatal(err)
			}
		}
		for _, l := range []session.Login{first, second, third} {
			wantUserID(t, store, l.Ref, unionID, name)
		}
		wantUserID(t, store, other.Ref, "", "")
		if got, err := store.User(t.Context(), appID, openID); err != nil || got.UserID != name || len(got.Sessions) != 3 {
			t.Errorf("record %+v, %v; want user id %q", got, err, name)
		}
	}
}

// The next user in the record must not get the name of the user before.
func userIDEnds(t *testing.T, store session.Backend) {
	if err := store.SetUserID(t.Context(), appID, openID, "42"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("a user without a session: %v", err)
	}
	l := login(sid(1), soon())
	l.UserID = strings.Repeat("n", 64)
	mustPut(t, store, l, 5)
	if err := store.Delete(t.Context(), l.Ref); err != nil {
		t.Fatal(err)
	}
	if err := store.SetUserID(t.Context(), appID, openID, "42"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("a user who has logged out: %v", err)
	}
	again := login(sid(2), soon())
	mustPut(t, store, again, 5)
	wantUserID(t, store, again.Ref, "", "")
}

func wantKeys(t *testing.T, store session.Backend, newest, previous string) {
	t.Helper()
	keys, err := store.SessionKeys(t.Context(), appID, openID)
	if newest == "" {
		if !errors.Is(err, session.ErrNotFound) {
			t.Errorf("session keys: %v; want none", err)
		}
		return
	}
	if err != nil || keys.Newest.Reveal() != newest || keys.Previous.Reveal() != previous {
		t.Errorf("session keys %q and %q, %v; want %q and %q", keys.Newest.Reveal(), keys.Previous.Reveal(), err, newest, previous)
	}
}

func sessionKeys(t *testing.T, store session.Backend) {
	wantKeys(t, store, "", "")
	if err := store.ReplaceSessionKey(t.Context(), appID, openID, secret.New("a")); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("a user without a session: %v", err)
	}
	with := func(n int, key string) session.Login {
		l := login(sid(n), soon())
		l.SessionKey = secret.New(key)
		return l
	}
	mustPut(t, store, with(1, "one"), 5)
	wantKeys(t, store, "one", "")
	mustPut(t, store, with(2, "one"), 5) // WeChat often gives the same one again
	wantKeys(t, store, "one", "")
	mustPut(t, store, with(3, "two"), 5)
	wantKeys(t, store, "two", "one")
	if err := store.ReplaceSessionKey(t.Context(), appID, openID, secret.New("three")); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, store, "three", "two")
	if _, err := store.DeleteUser(t.Context(), appID, openID); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, store, "", "")
	mustPut(t, store, with(4, "four"), 5)
	wantKeys(t, store, "four", "")
}

func keptSessionKey(t *testing.T, store session.Backend) {
	mustPut(t, store, login(sid(1), soon()), 5)
	without := login(sid(2), soon())
	without.SessionKey = secret.String{}
	mustPut(t, store, without, 5)
	wantKeys(t, store, login("", soon()).SessionKey.Reveal(), "")
	if _, err := store.DeleteUser(t.Context(), appID, openID); err != nil {
		t.Fatal(err)
	}
	mustPut(t, store, without, 5)
	wantKeys(t, store, "", "")
}

func kinds(t *testing.T, store session.Backend) {
	all := append([]session.Kind{""}, session.Kinds...)
	for n, kind := range all {
		l := login(sid(n), soon())
		l.Kind = kind
		mustPut(t, store, l, len(all))
	}
	got, err := store.User(t.Context(), appID, openID)
	if err != nil || len(got.Sessions) != len(all) {
		t.Fatalf("%+v, %v", got, err)
	}
	for n, one := range got.Sessions {
		if one.Kind != all[n] {
			t.Errorf("session %d: kind %q, want %q", n, one.Kind, all[n])
		}
	}
}
