package memory

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/sessiontest"
)

func TestSnapshotBringsLiveSessionsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		previous := open(t, 100)
		ref := func(id string) session.Ref {
			return session.Ref{AppID: "wx1234567890abcdef", OpenID: "oAAAAAAAAAAAAAAAAAAAAAAAAAAA", SessionID: id}
		}
		login := func(id string, lifetime time.Duration) {
			t.Helper()
			_, err := previous.Put(t.Context(), session.Login{
				Ref: ref(id), UnionID: "uAAAAAAAAAAAAAAAAAAAAAAAAAAA", SessionKey: secret.New("MDEyMzQ1Njc4OWFiY2RlZg=="),
				Ends: time.Now().Add(lifetime).Truncate(time.Second),
			}, 5)
			if err != nil {
				t.Fatal(err)
			}
		}
		login("session-short", time.Minute)
		login("session-ended", time.Hour)
		login("session-first", time.Hour)
		login("session-second", time.Hour)
		if err := previous.Delete(t.Context(), ref("session-ended")); err != nil {
			t.Fatal(err)
		}
		data, err := previous.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute) // the restart takes its time
		after := open(t, 100)
		if n, err := after.Restore(data); n != 2 || err != nil {
			t.Errorf("restored %d, %v; want 2", n, err)
		}
		for id, live := range map[string]bool{"session-short": false, "session-ended": false, "session-first": true, "session-second": true} {
			got, err := after.Get(t.Context(), sessiontest.Query(ref(id)))
			if live && (err != nil || got.UnionID != "uAAAAAAAAAAAAAAAAAAAAAAAAAAA") || !live && !errors.Is(err, session.ErrNotFound) {
				t.Errorf("%s: %+v, %v", id, got, err)
			}
		}
		// The order is kept: the next login over the cap ends the oldest.
		_, err = after.Put(t.Context(), session.Login{Ref: ref("session-third"), Ends: time.Now().Add(time.Hour)}, 2)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := after.Get(t.Context(), sessiontest.Query(ref("session-first"))); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("the oldest is not the first to end: %v", err)
		}
	})
}

func TestDamagedSnapshotChangesNothing(t *testing.T) {
	store := open(t, 100)
	put(t, store, 1)
	data, err := store.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{"empty": nil, "half": data[:len(data)/2], "other": []byte("hello")} {
		if n, err := store.Restore(damaged); n != 0 || !errors.Is(err, ErrSnapshot) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	if sessions, _ := store.Len(); sessions != 1 {
		t.Errorf("%d sessions", sessions)
	}
}
