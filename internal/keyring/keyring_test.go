package keyring

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/token"
)

// memStorage is a Storage with real locks.
type memStorage struct {
	mu     sync.Mutex
	values map[string][]byte
	lock   chan struct{}
	writes int
}

func newStorage() *memStorage {
	return &memStorage{values: make(map[string][]byte), lock: make(chan struct{}, 1)}
}

func (s *memStorage) Lock(context.Context, string) error   { s.lock <- struct{}{}; return nil }
func (s *memStorage) Unlock(context.Context, string) error { <-s.lock; return nil }

func (s *memStorage) Load(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.values[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return bytes.Clone(value), nil
}

func (s *memStorage) Store(_ context.Context, key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[key] = bytes.Clone(value)
	s.writes++
	return nil
}

var settings = Settings{Rotation: 30 * 24 * time.Hour, TokenLifetime: 2 * time.Hour}

func mustOpen(t *testing.T, storage Storage) *Ring {
	t.Helper()
	ring, err := Open(t.Context(), storage, settings)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestKeysAreMadeOnceAndFoundAgain(t *testing.T) {
	storage := newStorage()
	first, second := mustOpen(t, storage), mustOpen(t, storage)
	if first.Current().Signer().ID() != second.Current().Signer().ID() || storage.writes != 1 {
		t.Errorf("another key after a restart (%d writes)", storage.writes)
	}
	if !bytes.Equal(first.StoreKey("redis"), second.StoreKey("redis")) || bytes.Equal(first.StoreKey("redis"), first.StoreKey("snapshot")) {
		t.Error("store keys differ after a restart, or do not differ by purpose")
	}
}

// O7: nodes that start together on shared storage.
func TestNodesThatStartTogetherAgree(t *testing.T) {
	storage := newStorage()
	ids := make(chan string, 16)
	var group sync.WaitGroup
	for range cap(ids) {
		group.Go(func() {
			ring, err := Open(t.Context(), storage, settings)
			if err != nil {
				t.Error(err)
				return
			}
			ids <- ring.Current().Signer().ID()
		})
	}
	group.Wait()
	close(ids)
	first := <-ids
	for id := range ids {
		if id != first {
			t.Error("two nodes have two keys")
		}
	}
}

// O6: a damaged file stops the start; replacing it would end every session.
func TestDamagedKeysAreNeverReplaced(t *testing.T) {
	storage := newStorage()
	mustOpen(t, storage)
	whole := storage.values[StorageKey]
	for name, data := range map[string][]byte{
		"empty": {}, "truncated": whole[:len(whole)/2], "not JSON": []byte("hello"), "no keys": []byte(`{"version":1}`),
		"a byte of a key changed": bytes.Replace(whole, []byte(`"secret": "`), []byte(`"secret": "AAAA`), 1),
		"from a later version":    bytes.Replace(whole, []byte(`"version": 1`), []byte(`"version": 2`), 1),
	} {
		storage.values[StorageKey] = data
		_, err := Open(t.Context(), storage, settings)
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), StorageKey) {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(storage.values[StorageKey], data) {
			t.Errorf("%s: the file was replaced", name)
		}
	}
}

func TestRotationKeepsTokensUntilTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newStorage()
		ring, other := mustOpen(t, storage), mustOpen(t, storage)
		refresh := func() {
			t.Helper()
			for _, r := range []*Ring{ring, other} {
				if err := r.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		storeKey := ring.StoreKey("redis")
		old := ring.Current().Signer().ID()
		time.Sleep(settings.Rotation + time.Second)
		refresh()
		if got := ring.Current(); got.Signer().ID() != old || len(got.IDs()) != 2 {
			t.Fatalf("a new key signs before others know it: %v", got.IDs())
		}
		time.Sleep(announce)
		refresh()
		signer := ring.Current().Signer().ID()
		if signer == old || other.Current().Signer().ID() != signer {
			t.Fatal("the new key does not sign on every node")
		}
		now := time.Now().Truncate(time.Second)
		text, err := token.Mint(ring.Current(), token.Claims{
			User:     identity.User{AppID: "wx1234567890abcdef", OpenID: "oAAAAAAAA", SessionID: "sAAAAAAAA"},
			IssuedAt: now, Expires: now.Add(settings.TokenLifetime),
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := token.Verify(other.Current(), text, now, settings.TokenLifetime); err != nil {
			t.Errorf("another node refuses it: %v", err)
		}
		time.Sleep(settings.TokenLifetime)
		refresh()
		if !ring.Current().Has(old) {
			t.Error("the old key is gone while its last token may be good")
		}
		time.Sleep(time.Minute)
		refresh()
		if ring.Current().Has(old) || !ring.Current().Has(signer) {
			t.Error("the old key stays")
		}
		if !bytes.Equal(storeKey, ring.StoreKey("redis")) {
			t.Error("the store key was rotated")
		}
	})
}

// Sites say how long their browsers stay logged in after the keys are open: a
// restart must not drop the key of a cookie that is good for a day.
func TestKeysStayForTokensThatAreToBeKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newStorage()
		before := mustOpen(t, storage)
		old := before.Current().Signer().ID()
		refresh := func(ring *Ring) {
			t.Helper()
			if err := ring.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		before.SetTokenLifetime(24 * time.Hour)
		time.Sleep(settings.Rotation)
		refresh(before)
		time.Sleep(announce + 12*time.Hour)
		refresh(before)
		if !before.Current().Has(old) {
			t.Error("the old key is gone while a browser has a token of it")
		}
		longest := settings
		longest.TokenLifetime = 30 * 24 * time.Hour
		after, err := Open(t.Context(), storage, longest) // a restart
		if err != nil || !after.Current().Has(old) {
			t.Fatalf("a restart has dropped the key: %v", err)
		}
		after.SetTokenLifetime(24 * time.Hour)
		if refresh(after); !after.Current().Has(old) {
			t.Error("the key is gone once the lifetime is known")
		}
		time.Sleep(13 * time.Hour)
		if refresh(after); after.Current().Has(old) {
			t.Error("the old key stays")
		}
	})
}

// What is only looked at writes nothing; what begins keeps the keys that it had.
func TestPrepareWritesNothing(t *testing.T) {
	storage := newStorage()
	looked, err := Prepare(t.Context(), storage, settings)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := storage.Load(t.Context(), StorageKey); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in storage: %v", err)
	}
	begun, err := Prepare(t.Context(), storage, settings)
	if err != nil {
		t.Fatal(err)
	}
	signer, storeKey := begun.Current().Signer().ID(), begun.StoreKey("redis")
	if err := begun.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if begun.Current().Signer().ID() != signer || !bytes.Equal(begun.StoreKey("redis"), storeKey) {
		t.Error("the keys changed when they were stored")
	}
	next, err := Prepare(t.Context(), storage, settings)
	if err != nil || next.Begin(t.Context()) != nil || next.Current().Signer().ID() != signer {
		t.Errorf("the next start has other keys, or %v", err)
	}
	// One that has prepared others meanwhile must not go on with them.
	if err := looked.Begin(t.Context()); !errors.Is(err, ErrOthersKeys) {
		t.Errorf("others' keys: %v", err)
	}
}

func TestFailedRefreshKeepsTheKeys(t *testing.T) {
	storage := newStorage()
	ring := mustOpen(t, storage)
	id := ring.Current().Signer().ID()
	storage.values[StorageKey] = []byte("damaged")
	if err := ring.Refresh(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
	if ring.Current().Signer().ID() != id {
		t.Error("the keys are lost")
	}
}

// A disk that is not mounted any more looks like a storage that never had keys.
func TestKeysThatAreGoneAreNotReplaced(t *testing.T) {
	prepared := func(t *testing.T, storage Storage) *Ring {
		ring, err := Prepare(t.Context(), storage, settings)
		if err != nil {
			t.Fatal(err)
		}
		return ring
	}
	for name, begin := range map[string]func(*testing.T, *memStorage) *Ring{
		"opened": func(t *testing.T, storage *memStorage) *Ring { return mustOpen(t, storage) },
		"begun": func(t *testing.T, storage *memStorage) *Ring {
			ring := prepared(t, storage)
			if err := ring.Begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			return ring
		},
		"found": func(t *testing.T, storage *memStorage) *Ring {
			mustOpen(t, storage)
			return prepared(t, storage)
		},
	} {
		t.Run(name, func(t *testing.T) {
			storage := newStorage()
			ring := begin(t, storage)
			id := ring.Current().Signer().ID()
			mounted := storage.values
			storage.values, storage.writes = make(map[string][]byte), 0
			for what, look := range map[string]func() error{
				"refresh": func() error { return ring.Refresh(t.Context()) },
				"drop":    func() error { return ring.Drop(t.Context(), id) },
				"begin":   func() error { return ring.Begin(t.Context()) },
			} {
				if err := look(); !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), StorageKey) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if storage.writes > 0 || ring.Current().Signer().ID() != id {
				t.Errorf("the keys are replaced (%d writes)", storage.writes)
			}
			storage.values = mounted
			if err := ring.Refresh(t.Context()); err != nil || ring.Current().Signer().ID() != id {
				t.Errorf("when they are back: %v", err)
			}
		})
	}
}

func TestFixedKeysKeepTheirStoreKeyWhenOneIsPutInFront(t *testing.T) {
	make32 := func(seed byte) key.Key {
		raw := make([]byte, 32)
		for i := range raw {
			raw[i] = seed + byte(i*11)
		}
		key, err := key.New(raw)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	fixed := func(keys ...key.Key) *Ring {
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
	before, after := fixed(make32(1)), fixed(make32(2), make32(1))
	if !bytes.Equal(before.StoreKey("redis"), after.StoreKey("redis")) {
		t.Error("what is stored cannot be read any more")
	}
	if err := after.Refresh(t.Context()); err != nil || after.Current().Signer().ID() != make32(2).ID() {
		t.Errorf("Refresh: %v", err)
	}
}

func testKey(t *testing.T, seed byte) key.Key {
	t.Helper()
	raw := make([]byte, key.Length)
	for i := range raw {
		raw[i] = seed + byte(i*7)
	}
	key, err := key.New(raw)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
