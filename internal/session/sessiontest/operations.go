package sessiontest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

func userLists(t *testing.T, store session.Backend) {
	if got, err := store.User(t.Context(), appID, openID); err != nil || len(got.Sessions) != 0 || got.UnionID != "" || !got.DeniedUntil.IsZero() {
		t.Errorf("unknown user: %+v, %v", got, err)
	}
	began := time.Now()
	for n := range 3 {
		l := login(sid(n), soon())
		l.UnionID = "uAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		mustPut(t, store, l, 5)
	}
	if err := store.Delete(t.Context(), login(sid(1), soon()).Ref); err != nil {
		t.Fatal(err)
	}
	got, err := store.User(t.Context(), appID, openID)
	if err != nil || len(got.Sessions) != 2 || got.UnionID != "uAAAAAAAAAAAAAAAAAAAAAAAAAAA" {
		t.Fatalf("%+v, %v; want two sessions", got, err)
	}
	for i, id := range []string{sid(0), sid(2)} {
		live := got.Sessions[i]
		if live.ID != id || live.Ends.Sub(live.Began) < 30*time.Minute || live.Began.Before(began.Add(-time.Minute)) {
			t.Errorf("session %d: %+v, want %s", i, live, id)
		}
	}
}

func denyEnds(t *testing.T, store session.Backend) {
	l := login(sid(1), soon())
	mustPut(t, store, l, 5)
	wantLive(t, store, l.Ref, true)
	until := soon()
	ended, err := store.Deny(t.Context(), appID, openID, until)
	if err != nil || ended != 1 {
		t.Errorf("Deny: %d, %v; want 1", ended, err)
	}
	wantLive(t, store, l.Ref, false)
	if _, err := store.Put(t.Context(), login(sid(2), soon()), 5); !errors.Is(err, session.ErrDenied) {
		t.Errorf("login of a denied user: %v", err)
	}
	wantLive(t, store, login(sid(2), soon()).Ref, false)
	other := login(sid(3), soon())
	other.AppID = "wxfedcba0987654321"
	mustPut(t, store, other, 5)
	if got, err := store.User(t.Context(), appID, openID); err != nil || !got.DeniedUntil.Equal(until) || len(got.Sessions) != 0 {
		t.Errorf("record %+v, %v; want denied until %s", got, err, until)
	}
}

func denyThenAllow(t *testing.T, store session.Backend) {
	for _, until := range []time.Time{soon(), soon().Add(time.Minute), {}} {
		if ended, err := store.Deny(t.Context(), appID, openID, until); err != nil || ended != 0 {
			t.Errorf("Deny: %d, %v; want 0", ended, err)
		}
	}
	mustPut(t, store, login(sid(1), soon()), 5)
	wantLive(t, store, login(sid(1), soon()).Ref, true)
	if got, err := store.User(t.Context(), appID, openID); err != nil || !got.DeniedUntil.IsZero() {
		t.Errorf("record %+v, %v", got, err)
	}
}

func endApp(t *testing.T, store session.Backend) {
	other := login(sid(9), soon())
	other.AppID = "wxfedcba0987654321"
	mustPut(t, store, other, 5)
	for n := range 3 {
		l := login(sid(n), soon())
		l.OpenID = openID[:27] + string(rune('A'+n))
		mustPut(t, store, l, 5)
		wantLive(t, store, l.Ref, true)
	}
	ended, err := store.EndApp(t.Context(), appID)
	if err != nil || ended != 3 {
		t.Errorf("EndApp: %d, %v; want 3", ended, err)
	}
	for n := range 3 {
		l := login(sid(n), soon())
		l.OpenID = openID[:27] + string(rune('A'+n))
		wantLive(t, store, l.Ref, false)
		if got, err := store.User(t.Context(), appID, l.OpenID); err != nil || len(got.Sessions) != 0 {
			t.Errorf("user: %+v, %v", got, err)
		}
	}
	wantLive(t, store, other.Ref, true)
	again := login(sid(4), soon())
	mustPut(t, store, again, 5)
	wantLive(t, store, again.Ref, true)
}

func wantCount(t *testing.T, store session.Backend, want session.Count) {
	t.Helper()
	if got, err := store.Count(t.Context(), appID); err != nil || got != want {
		t.Errorf("count %+v, %v; want %+v", got, err, want)
	}
}

func countFollows(t *testing.T, store session.Backend) {
	wantCount(t, store, session.Count{})
	mustPut(t, store, login(sid(1), soon()), 2)
	mustPut(t, store, login(sid(2), soon()), 2)
	wantCount(t, store, session.Count{Sessions: 2, Users: 1})
	mustPut(t, store, login(sid(3), soon()), 2)
	wantCount(t, store, session.Count{Sessions: 2, Users: 1})
	second := login(sid(4), soon())
	second.OpenID = openID[:27] + "Z"
	mustPut(t, store, second, 2)
	elsewhere := login(sid(5), soon())
	elsewhere.AppID = "wxfedcba0987654321"
	mustPut(t, store, elsewhere, 2)
	wantCount(t, store, session.Count{Sessions: 3, Users: 2})
	if err := store.Delete(t.Context(), second.Ref); err != nil {
		t.Fatal(err)
	}
	wantCount(t, store, session.Count{Sessions: 2, Users: 1})
	if _, err := store.DeleteUser(t.Context(), appID, openID); err != nil {
		t.Fatal(err)
	}
	wantCount(t, store, session.Count{})
	mustPut(t, store, login(sid(6), soon()), 2)
	if _, err := store.EndApp(t.Context(), appID); err != nil {
		t.Fatal(err)
	}
	wantCount(t, store, session.Count{})
}

func dropKey(t *testing.T, store session.Backend) {
	if got := store.DroppedKeys(); len(got) != 0 {
		t.Errorf("dropped before: %q", got)
	}
	for range 2 {
		if err := store.DropKey(t.Context(), "0123456789abcdef"); err != nil {
			t.Fatal(err)
		}
	}
	if got := store.DroppedKeys(); len(got) != 1 || got[0] != "0123456789abcdef" {
		t.Errorf("dropped %q", got)
	}
	if err := store.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
}

// WeChat specifies no length of its identifiers.
func longNames(t *testing.T, store session.Backend) {
	for n, length := range []int{1, 31, 32, 128} {
		l := login(sid(n), soon())
		l.OpenID = strings.Repeat("o", length)
		l.UnionID = strings.Repeat("u", length)
		mustPut(t, store, l, 5)
		got, err := store.Get(t.Context(), Query(l.Ref))
		if err != nil || got.UnionID != l.UnionID {
			t.Errorf("%d bytes: %+v, %v", length, got, err)
		}
		l.OpenID += "x"
		wantLive(t, store, l.Ref, false)
	}
	l := login(strings.Repeat("s", session.MaxIDBytes+1), soon())
	if _, err := store.Put(t.Context(), l, 5); err == nil {
		t.Error("a session id that is too long is kept")
	}
	wantLive(t, store, l.Ref, false)
}

func denialEnds(t *testing.T, store session.Backend) {
	if _, err := store.Deny(t.Context(), appID, openID, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Hour - time.Second)
	if _, err := store.Put(t.Context(), login(sid(1), soon()), 5); !errors.Is(err, session.ErrDenied) {
		t.Errorf("before the end: %v", err)
	}
	time.Sleep(2 * time.Second)
	mustPut(t, store, login(sid(1), soon()), 5)
	wantLive(t, store, login(sid(1), soon()).Ref, true)
}
