package sessiontest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

// atTheCap begins many sessions of one user: each is ended one by one, by the cap,
// or with all others.
func atTheCap(t *testing.T, store session.Backend) {
	const limit = 40
	for n := range 3 * limit {
		mustPut(t, store, login(sid(n), soon()), limit)
	}
	for n := range 3 * limit {
		wantLive(t, store, login(sid(n), soon()).Ref, n >= 2*limit)
	}
	wantCount(t, store, session.Count{Sessions: limit, Users: 1})
	for n := 2 * limit; n < 2*limit+10; n++ {
		if err := store.Delete(t.Context(), login(sid(n), soon()).Ref); err != nil {
			t.Fatal(err)
		}
		wantLive(t, store, login(sid(n), soon()).Ref, false)
	}
	// A cap that has become smaller counts from the next login on.
	mustPut(t, store, login(sid(1000), soon()), 5)
	if got, err := store.User(t.Context(), appID, openID); err != nil || len(got.Sessions) != 5 {
		t.Errorf("%d sessions, %v; want 5", len(got.Sessions), err)
	}
	if ended, err := store.EndApp(t.Context(), appID); err != nil || ended != 5 {
		t.Errorf("EndApp: %d, %v; want 5", ended, err)
	}
	wantCount(t, store, session.Count{})
	for _, odd := range []int{0, -1} {
		l := login(sid(2000+odd), soon())
		mustPut(t, store, l, odd)
		wantLive(t, store, l.Ref, true)
	}
}

// farTimes asks for what overflows a number of nanoseconds, of 32 bits, or of both:
// whoever is denied until then is denied, and what ends then is live.
func farTimes(t *testing.T, store session.Backend) {
	farAway := []time.Time{
		time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC), time.Date(2106, 2, 7, 6, 28, 16, 0, time.UTC),
		time.Date(2262, 4, 11, 23, 47, 17, 0, time.UTC), time.Date(2318, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2555, 1, 1, 0, 0, 0, 0, time.UTC), session.LastTime,
	}
	for n, until := range farAway {
		l := login(sid(n), until)
		mustPut(t, store, l, 5)
		wantLive(t, store, l.Ref, true)
		if got, err := store.Get(t.Context(), Query(l.Ref)); err != nil || got.Ends.Before(soon()) {
			t.Errorf("session until %s: %+v, %v", until, got, err)
		}
		if ended, err := store.Deny(t.Context(), appID, openID, until); err != nil || ended != 1 {
			t.Errorf("Deny until %s: %d, %v", until, ended, err)
		}
		wantLive(t, store, l.Ref, false)
		if _, err := store.Put(t.Context(), login(sid(100+n), soon()), 5); !errors.Is(err, session.ErrDenied) {
			t.Errorf("login of a user who is denied until %s: %v", until, err)
		}
		if got, err := store.User(t.Context(), appID, openID); err != nil || !got.DeniedUntil.Equal(until) {
			t.Errorf("denied until %s, %v; want %s", got.DeniedUntil, err, until)
		}
		if _, err := store.Deny(t.Context(), appID, openID, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	for n, past := range []time.Time{{}, time.Unix(0, 0), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1677, 1, 1, 0, 0, 0, 0, time.UTC)} {
		l := login(sid(200+n), past)
		mustPut(t, store, l, 5)
		wantLive(t, store, l.Ref, false)
		if ended, err := store.Deny(t.Context(), appID, openID, past); err != nil || ended != 0 {
			t.Errorf("Deny until %s: %d, %v", past, ended, err)
		}
		mustPut(t, store, login(sid(300+n), soon()), 5)
	}
}

// denialFreesOnce: a user's denial ends, he logs in and out, and then everything
// that a store does from time to time has been done. The users who come next have
// a record each.
func denialFreesOnce(t *testing.T, store session.Backend) {
	if _, err := store.Deny(t.Context(), appID, openID, time.Now().Add(2*time.Second)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	l := login(sid(0), soon())
	mustPut(t, store, l, 5)
	if err := store.Delete(t.Context(), l.Ref); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Minute)
	var next []session.Login
	for n := range 4 {
		l := login(sid(1+n), soon())
		l.OpenID, l.UnionID = fmt.Sprintf("o%027d", n), fmt.Sprintf("u%027d", n)
		mustPut(t, store, l, 5)
		next = append(next, l)
	}
	for n, l := range next {
		if got, err := store.Get(t.Context(), Query(l.Ref)); err != nil || got.UnionID != l.UnionID {
			t.Errorf("user %d: %+v, %v; want unionid %s", n, got, err, l.UnionID)
		}
		if got, err := store.User(t.Context(), appID, l.OpenID); err != nil || len(got.Sessions) != 1 || got.Sessions[0].ID != l.SessionID {
			t.Errorf("user %d: %+v, %v", n, got, err)
		}
	}
	for n, l := range next {
		if err := store.Delete(t.Context(), l.Ref); err != nil {
			t.Fatal(err)
		}
		for other, l := range next {
			wantLive(t, store, l.Ref, other > n)
		}
	}
}
