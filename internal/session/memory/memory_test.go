package memory

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/sessiontest"
)

func open(t *testing.T, maxSessions int) *Store {
	t.Helper()
	store := New(maxSessions, time.Minute)
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func TestContract(t *testing.T) {
	for _, check := range sessiontest.Checks {
		t.Run(check.Name, func(t *testing.T) { check.Run(t, open(t, DefaultMaxSessions)) })
	}
	for _, check := range sessiontest.Timed {
		t.Run(check.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { check.Run(t, open(t, DefaultMaxSessions)) })
		})
	}
}

func put(t testing.TB, store *Store, n int) session.Ref {
	t.Helper()
	l := session.Login{Ends: time.Now().Add(time.Hour)}
	l.Ref = session.Ref{AppID: "wx1234567890abcdef", OpenID: fmt.Sprintf("o%027d", n), SessionID: fmt.Sprintf("s%021d", n)}
	if _, err := store.Put(t.Context(), l, 5); err != nil {
		t.Fatal(err)
	}
	return l.Ref
}

func TestFullStoreEndsTheOldest(t *testing.T) {
	store := open(t, 3)
	var refs []session.Ref
	for n := range 5 {
		refs = append(refs, put(t, store, n))
	}
	for n, ref := range refs {
		if _, err := store.Get(t.Context(), sessiontest.Query(ref)); (err == nil) != (n >= 2) {
			t.Errorf("session %d: %v", n, err)
		}
	}
	if sessions, users := store.Len(); sessions != 3 || users != 3 {
		t.Errorf("%d sessions of %d users, want 3 of 3", sessions, users)
	}
	store.SetMaxSessions(1)
	if _, err := store.Get(t.Context(), sessiontest.Query(refs[3])); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("a smaller bound ends nothing: %v", err)
	}
	if _, err := store.Get(t.Context(), sessiontest.Query(refs[4])); err != nil {
		t.Errorf("a smaller bound ends the newest: %v", err)
	}
}

func TestSweepForgetsUsersOfExpiredSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := open(t, 100)
		for n := range 10 {
			put(t, store, n)
		}
		time.Sleep(2 * time.Hour)
		if sessions, users := store.Len(); sessions != 0 || users != 0 {
			t.Errorf("%d sessions of %d users are left", sessions, users)
		}
	})
}

func TestCodesAreBounded(t *testing.T) {
	store := open(t, 1)
	key := session.CodeKey{AppID: "wx"}
	for n := range maxCodes + 1000 {
		copy(key.Hash[:], fmt.Sprint(n))
		if _, _, err := store.ClaimCode(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	if got := store.table("wx").Len(); got != maxCodes {
		t.Errorf("%d codes are kept, want %d", got, maxCodes)
	}
}
