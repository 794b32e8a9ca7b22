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
	store.RaiseMaxSessions(1)
	if sessions, _ := store.Len(); sessions != 3 {
		t.Errorf("a bound that only goes up has left %d sessions of 3", sessions)
	}
	store.SetMaxSessions(1)
	if _, err := store.Get(t.Context(), sessiontest.Query(refs[3])); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("a smaller bound ends nothing: %v", err)
	}
	if _, err := store.Get(t.Context(), sessiontest.Query(refs[4])); err != nil {
		t.Errorf("a smaller bound ends the newest: %v", err)
	}
}

// A counter of a user's sessions that wraps makes the store count what is not there:
// logouts do nothing, and the end of an app never comes.
func TestCapIsWhatTheCounterHolds(t *testing.T) {
	store := open(t, DefaultMaxSessions)
	l := session.Login{Ref: session.Ref{AppID: "wx1234567890abcdef", OpenID: "oA"}, Ends: time.Now().Add(time.Hour)}
	for n := range 2 * session.MaxPerUser {
		l.SessionID = fmt.Sprintf("s%021d", n)
		if _, err := store.Put(t.Context(), l, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := store.User(t.Context(), l.AppID, l.OpenID); err != nil || len(got.Sessions) != session.MaxPerUser {
		t.Errorf("%d sessions, %v; want %d", len(got.Sessions), err, session.MaxPerUser)
	}
	if err := store.Delete(t.Context(), l.Ref); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(t.Context(), sessiontest.Query(l.Ref)); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("logged out at the cap: %v", err)
	}
	if ended, err := store.EndApp(t.Context(), l.AppID); err != nil || ended != session.MaxPerUser-1 {
		t.Errorf("EndApp: %d, %v", ended, err)
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

// F4, F5: the admin endpoint answers until the process ends, also after the
// sessions were written for the next start. What it ended then came back.
func TestNothingChangesAfterTheSnapshot(t *testing.T) {
	store := New(10, time.Minute)
	t.Cleanup(func() { store.Close() })
	ref := session.Ref{AppID: "wx1234567890abcdef", OpenID: "oAAAAAAAAAAAAAAAAAAAAAAAAAAA", SessionID: "session-00000000000001"}
	login := session.Login{Ref: ref, Ends: time.Now().Add(time.Hour)}
	if _, err := store.Put(t.Context(), login, 5); err != nil {
		t.Fatal(err)
	}
	store.Freeze()
	changes := map[string]func() error{
		"Put":        func() error { _, err := store.Put(t.Context(), login, 5); return err },
		"Delete":     func() error { return store.Delete(t.Context(), ref) },
		"DeleteUser": func() error { _, err := store.DeleteUser(t.Context(), ref.AppID, ref.OpenID); return err },
		"Deny": func() error {
			_, err := store.Deny(t.Context(), ref.AppID, ref.OpenID, time.Now().Add(time.Hour))
			return err
		},
		"EndApp":  func() error { _, err := store.EndApp(t.Context(), ref.AppID); return err },
		"DropKey": func() error { return store.DropKey(t.Context(), "0123456789abcdef") },
	}
	for name, change := range changes {
		if err := change(); !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("%s after the snapshot: %v", name, err)
		}
	}
	store.Thaw()
	for name, change := range changes {
		if err := change(); errors.Is(err, session.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
