package keyring

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/key"
)

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
