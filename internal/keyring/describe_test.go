package keyring

import (
	"errors"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"
)

func TestDescribeChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newStorage()
		if _, err := Describe(t.Context(), storage); !errors.Is(err, fs.ErrNotExist) || storage.writes != 0 {
			t.Errorf("without keys: %v, %d writes", err, storage.writes)
		}
		ring := mustOpen(t, storage)
		made := time.Now()
		time.Sleep(settings.Rotation + time.Hour)
		keys, err := Describe(t.Context(), storage)
		if err != nil || len(keys) != 1 || !keys[0].Signing || keys[0].ID != ring.Current().Signer().ID() ||
			!keys[0].Made.Equal(made) || storage.writes != 1 {
			t.Fatalf("one key: %+v, %v, %d writes", keys, err, storage.writes)
		}
		if err := ring.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Announced, but not signing yet.
		keys, err = Describe(t.Context(), storage)
		if err != nil || len(keys) != 2 || keys[0].Signing || !keys[1].Signing || !keys[0].Signs.Equal(time.Now().Add(announce)) {
			t.Errorf("while a key is announced: %+v, %v", keys, err)
		}
		if err := storage.Store(t.Context(), StorageKey, []byte("{")); err != nil {
			t.Fatal(err)
		}
		if _, err := Describe(t.Context(), storage); !errors.Is(err, ErrDamaged) {
			t.Errorf("damaged: %v", err)
		}
	})
}
