package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/keyring"
	"github.com/caddy-wechat/gateway/internal/seal"
	"github.com/caddy-wechat/gateway/internal/session/memory"
)

// What the run writes is what a gateway takes back.
func TestSeedIsASnapshotOfAllSessions(t *testing.T) {
	b, err := newBench(t.Context(), options{})
	if err != nil {
		t.Skipf("cmd/bench does not work here: %v", err)
	}
	defer b.close()
	dir := t.TempDir()
	tokens, err := b.seed(dir, 100, oneApp)
	if err != nil || len(tokens) != 100 {
		t.Fatalf("%d tokens, %v", len(tokens), err)
	}
	sealed, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(snapshotFile)))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.Fixed(b.ring)
	if err != nil {
		t.Fatal(err)
	}
	box, err := seal.New(keys.StoreKey(snapshotPurpose))
	if err != nil {
		t.Fatal(err)
	}
	writer, sealed, _ := bytes.Cut(sealed, []byte("\n"))
	if owner, err := os.ReadFile(filepath.Join(dir, "wechat", ownerFile)); err != nil || !bytes.Equal(owner, writer) {
		t.Errorf("the snapshot is of %q, the storage of %q, %v", writer, owner, err)
	}
	data, err := box.Open(sealed, snapshotPurpose)
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New(1000, time.Hour)
	defer store.Close()
	if n, err := store.Restore(data); n != 100 || err != nil {
		t.Errorf("restored %d sessions, %v", n, err)
	}
}
