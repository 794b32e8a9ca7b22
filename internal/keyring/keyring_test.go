package keyring

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
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

// When a key has leaked, its tokens must stop counting at once and everywhere.
func TestDroppedKeyIsGoneEverywhere(t *testing.T) {
	storage := newStorage()
	here, there := mustOpen(t, storage), mustOpen(t, storage)
	leaked := here.Current().Signer()
	storeKey := here.StoreKey("redis")
	if err := here.Drop(t.Context(), leaked.ID()); err != nil {
		t.Fatal(err)
	}
	if here.Current().Has(leaked.ID()) || here.Current().Signer().ID() == leaked.ID() {
		t.Error("it is still here")
	}
	if err := there.Exclude([]string{leaked.ID()}); !errors.Is(err, ErrOnlyKey) || there.Current().Has(leaked.ID()) {
		t.Errorf("excluded before the new key is known: %v", err)
	}
	if err := there.Refresh(t.Context()); err != nil || there.Current().Signer().ID() != here.Current().Signer().ID() {
		t.Errorf("the nodes sign with different keys: %v", err)
	}
	again := mustOpen(t, storage)
	if again.Current().Has(leaked.ID()) || !bytes.Equal(again.StoreKey("redis"), storeKey) {
		t.Error("after a restart it is back, or the key for data at rest is another")
	}
	if err := here.Drop(t.Context(), leaked.ID()); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("dropped twice: %v", err)
	}
}

func TestDropKeepsOtherKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newStorage()
		ring := mustOpen(t, storage)
		old := ring.Current().Signer().ID()
		time.Sleep(settings.Rotation)
		if err := ring.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		keys := ring.Keys()
		if len(keys) != 2 || keys[0].ID != old || !keys[0].Signing || keys[1].Signing || !keys[1].Made.After(keys[0].Made) {
			t.Fatalf("keys %+v, want the old one signing and a new one announced", keys)
		}
		if err := ring.Drop(t.Context(), keys[1].ID); err != nil {
			t.Fatal(err)
		}
		if got := ring.Current(); got.Signer().ID() != old || got.Has(keys[1].ID) {
			t.Errorf("signer %s of %q", got.Signer().ID(), got.IDs())
		}
	})
}

func TestConfiguredKeysAreExcluded(t *testing.T) {
	keys := []key.Key{testKey(t, 1), testKey(t, 2)}
	both, err := key.NewSet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := Fixed(both)
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Drop(t.Context(), keys[0].ID()); err != nil {
		t.Fatal(err)
	}
	if err := ring.Exclude([]string{keys[0].ID()}); err != nil || ring.Current().Has(keys[0].ID()) {
		t.Errorf("excluded: %v", err)
	}
	if err := ring.Drop(t.Context(), keys[1].ID()); !errors.Is(err, ErrOnlyKey) {
		t.Errorf("the last one: %v", err)
	}
	if ring.Current().Signer().ID() != keys[1].ID() {
		t.Error("the second key does not sign")
	}
}

// Two keys are dropped at once, and the list with both of them is taken over before
// the one from before the second drop.
func TestLateListBringsNoKeyBack(t *testing.T) {
	keys := []key.Key{testKey(t, 1), testKey(t, 2), testKey(t, 3)}
	all, err := key.NewSet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := Fixed(all)
	if err != nil {
		t.Fatal(err)
	}
	first, second := keys[0].ID(), keys[1].ID()
	for _, ids := range [][]string{{first, second}, {first}, nil} {
		if err := ring.Exclude(ids); err != nil {
			t.Fatal(err)
		}
	}
	if ring.Current().Has(first) || ring.Current().Has(second) {
		t.Errorf("%q count", ring.Current().IDs())
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

// heldStorage holds the first answer back that is read after hold.
type heldStorage struct {
	*memStorage
	held atomic.Pointer[heldLoad]
}

type heldLoad struct{ read, release chan struct{} }

func (s *heldStorage) hold() *heldLoad {
	h := &heldLoad{make(chan struct{}), make(chan struct{})}
	s.held.Store(h)
	return h
}

func (s *heldStorage) Load(ctx context.Context, key string) ([]byte, error) {
	value, err := s.memStorage.Load(ctx, key)
	if h := s.held.Swap(nil); h != nil {
		close(h.read)
		<-h.release
	}
	return value, err
}

// What was read before a key was dropped does not bring it back.
func TestRefreshThatBeganBeforeADropBringsNothingBack(t *testing.T) {
	storage := &heldStorage{memStorage: newStorage()}
	ring := mustOpen(t, storage)
	leaked := ring.Current().Signer().ID()
	h := storage.hold()
	refreshed := make(chan error, 1)
	go func() { refreshed <- ring.Refresh(t.Context()) }()
	<-h.read
	if err := ring.Drop(t.Context(), leaked); err != nil {
		t.Fatal(err)
	}
	close(h.release)
	if err := <-refreshed; err != nil {
		t.Fatal(err)
	}
	if ring.Current().Has(leaked) {
		t.Error("a dropped key is back")
	}
}

// unlockFails is a Storage that cannot unlock once.
type unlockFails struct {
	*memStorage
	fails atomic.Bool
}

func (s *unlockFails) Unlock(ctx context.Context, name string) error {
	_ = s.memStorage.Unlock(ctx, name)
	if s.fails.Swap(false) {
		return errors.New("the disk is away")
	}
	return nil
}

// A drop that failed half-way can be tried again.
func TestDropThatFailedCanBeTriedAgain(t *testing.T) {
	storage := &unlockFails{memStorage: newStorage()}
	ring := mustOpen(t, storage)
	leaked := ring.Current().Signer().ID()
	storage.fails.Store(true)
	if err := ring.Drop(t.Context(), leaked); err == nil {
		t.Error("no error")
	}
	if err := ring.Drop(t.Context(), leaked); err != nil || ring.Current().Has(leaked) {
		t.Errorf("tried again: %v", err)
	}
}
