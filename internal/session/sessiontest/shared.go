package sessiontest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

func wantShared(t *testing.T, store session.Backend, name, want string) {
	t.Helper()
	if value, err := store.LoadShared(t.Context(), name); err != nil || string(value) != want {
		t.Errorf("%s is %q, %v; want %q", name, value, err, want)
	}
}

func saveShared(t *testing.T, store session.Backend, name, value string) {
	t.Helper()
	if err := store.SaveShared(t.Context(), name, []byte(value), time.Hour); err != nil {
		t.Fatal(err)
	}
}

func sharedSecrets(t *testing.T, store session.Backend) {
	if value, err := store.LoadShared(t.Context(), "one"); value != nil || err != nil {
		t.Errorf("nothing is %q, %v", value, err)
	}
	saveShared(t, store, "one", "first")
	saveShared(t, store, "two", "other")
	saveShared(t, store, "one", "second")
	wantShared(t, store, "one", "second")
	forget := func(name, refused string) {
		t.Helper()
		if err := store.ForgetShared(t.Context(), name, func(value []byte) bool { return string(value) == refused }); err != nil {
			t.Error(err)
		}
	}
	forget("one", "first")
	wantShared(t, store, "one", "second")
	forget("one", "second")
	forget("three", "")
	wantShared(t, store, "one", "")
	wantShared(t, store, "two", "other")
	saveShared(t, store, "one", "third")
	err := store.ForgetShared(t.Context(), "one", func([]byte) bool {
		saveShared(t, store, "one", "meanwhile")
		return true
	})
	if err != nil {
		t.Error(err)
	}
	wantShared(t, store, "one", "meanwhile")
}

func turns(t *testing.T, store session.Backend) {
	var taken atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			mine, err := store.TakeTurn(t.Context(), "one", time.Hour)
			if err != nil {
				t.Error(err)
			}
			if mine {
				taken.Add(1)
			}
		})
	}
	group.Wait()
	if taken.Load() != 1 {
		t.Errorf("%d have the turn", taken.Load())
	}
	if mine, err := store.TakeTurn(t.Context(), "two", time.Hour); !mine || err != nil {
		t.Errorf("another turn: %v, %v", mine, err)
	}
	if err := store.EndTurn(t.Context(), "one"); err != nil {
		t.Error(err)
	}
	if mine, err := store.TakeTurn(t.Context(), "one", time.Hour); !mine || err != nil {
		t.Errorf("after its end: %v, %v", mine, err)
	}
}
