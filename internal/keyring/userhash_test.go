package keyring

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/key"
)

func userHash(r *Ring) string {
	return r.Current().UserHash("wx1234567890abcdef", "oAAAAAAAAAAAAAAAAAAAAAAAAAAA")
}

// Operators follow a user through logs that are older than a signing key.
func TestUserHashStaysThroughRotations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newStorage()
		ring := mustOpen(t, storage)
		before, signer := userHash(ring), ring.Current().Signer().ID()
		for range 3 {
			time.Sleep(settings.Rotation + time.Hour)
			for range 2 { // announced, then used
				if err := ring.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(announce)
			}
		}
		if ring.Current().Has(signer) || userHash(ring) != before {
			t.Errorf("the first key is there: %v; hash %s, was %s", ring.Current().Has(signer), userHash(ring), before)
		}
		if err := ring.Drop(t.Context(), ring.Current().Signer().ID()); err != nil || userHash(ring) != before {
			t.Errorf("after a drop: %s, %v", userHash(ring), err)
		}
		if again := userHash(mustOpen(t, storage)); again != before {
			t.Errorf("after a restart %s, was %s", again, before)
		}
		if other := userHash(mustOpen(t, newStorage())); other == before {
			t.Error("every installation has the same hashes")
		}
		if err := ring.KeepUserHashKey(t.Context(), storage); err != nil || storage.values[UserHashKey] != nil {
			t.Errorf("a key beside the one that is there: %v", err)
		}
	})
}

func fixedRing(t *testing.T, seeds ...byte) *Ring {
	t.Helper()
	keys := make([]key.Key, len(seeds))
	for i, seed := range seeds {
		secret := make([]byte, key.Length)
		for j := range secret {
			secret[j] = seed + byte(j*7)
		}
		key, err := key.New(secret)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = key
	}
	ring, err := key.NewSet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	fixed, err := Fixed(ring)
	if err != nil {
		t.Fatal(err)
	}
	return fixed
}

// A configuration puts a key in front and drops the last one later.
func TestUserHashStaysThroughConfigurations(t *testing.T) {
	storage := newStorage()
	first := userHash(fixedRing(t, 1))
	if other := userHash(fixedRing(t, 1)); other != first {
		t.Error("two nodes with one configuration do not agree")
	}
	for _, seeds := range [][]byte{{1}, {2, 1}, {2}, {3}} {
		ring := fixedRing(t, seeds...)
		if err := ring.LoadUserHashKey(t.Context(), storage); err != nil {
			t.Fatal(err)
		}
		writes := storage.writes
		if seeds[0] == 1 && writes != 0 {
			t.Error("loading wrote something")
		}
		if err := ring.KeepUserHashKey(t.Context(), storage); err != nil {
			t.Fatal(err)
		}
		if got := userHash(ring); got != first {
			t.Errorf("keys %v: %s, was %s", seeds, got, first)
		}
		if err := ring.Exclude(ring.Current().IDs()[:1]); err != nil && !errors.Is(err, ErrOnlyKey) || userHash(ring) != first {
			t.Errorf("keys %v, one excluded: %s, %v", seeds, userHash(ring), err)
		}
	}
	if storage.writes != 1 {
		t.Errorf("%d writes", storage.writes)
	}
	for _, damaged := range []string{"", "{}", `{"version":1,"secret":"AAAA"}`, `{"version":2,"secret":"q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQIzRWeKvN7xA="}`} {
		storage.values[UserHashKey] = []byte(damaged)
		ring := fixedRing(t, 1)
		if err := errors.Join(ring.LoadUserHashKey(t.Context(), storage), ring.KeepUserHashKey(t.Context(), storage)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: %v", damaged, err)
		}
		if string(storage.values[UserHashKey]) != damaged {
			t.Errorf("%q was replaced", damaged)
		}
	}
}
