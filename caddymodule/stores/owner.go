package stores

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"

	"github.com/caddyserver/certmagic"
)

// A snapshot is true only as long as nobody has decided anything since. Every store
// that begins, in whatever process, writes its own name into storage, where the
// snapshot is, and removes the snapshot; one counts if the name that it was written
// under is still there. So no session that ended meanwhile in another store, or
// another process, comes back, and no denial is forgotten.

const (
	ownerKey  = "wechat/sessions.owner"
	ownerLock = "wechat_sessions_owner"
)

// errOutOfDate says that others have begun since.
var errOutOfDate = errors.New("another process, or another store, has begun on this storage since")

// owner is the name of a store that begins: at random, and new for each.
type owner string

func newOwner() owner { return owner(rand.Text()) }

// takeOwnership makes the store the owner of the storage. It returns the snapshot of the owner
// before, nil if there is none, which is not in storage any more; the error matches
// errOutOfDate if it does not count. After any error nothing may be taken back.
func (o owner) takeOwnership(ctx context.Context, storage certmagic.Storage) (sealed []byte, err error) {
	if err := storage.Lock(ctx, ownerLock); err != nil {
		return nil, fmt.Errorf("locking storage: %w", err)
	}
	defer func() {
		if unlockErr := storage.Unlock(context.WithoutCancel(ctx), ownerLock); unlockErr != nil && err == nil {
			sealed, err = nil, fmt.Errorf("unlocking storage: %w", unlockErr)
		}
	}()
	before, err := loadKey(ctx, storage, ownerKey)
	if err != nil {
		return nil, err
	}
	snapshot, err := loadKey(ctx, storage, snapshotKey)
	if err != nil {
		return nil, err
	}
	if err := storage.Store(ctx, ownerKey, []byte(o)); err != nil {
		// A disk that is full takes no name, but removes what would count at the next start.
		if snapshot != nil {
			err = errors.Join(err, storage.Delete(ctx, snapshotKey))
		}
		return nil, fmt.Errorf("writing to storage: %w", err)
	}
	if snapshot == nil {
		return nil, nil
	}
	if err := storage.Delete(ctx, snapshotKey); err != nil {
		return nil, fmt.Errorf("removing the snapshot: %w", err)
	}
	writer, sealed, labelled := bytes.Cut(snapshot, []byte("\n"))
	switch {
	case !labelled:
		return snapshot, nil // damaged: nobody can open it
	case before == nil || !bytes.Equal(writer, before):
		return nil, errOutOfDate
	}
	return sealed, nil
}

// loadKey returns nil if there is nothing.
func loadKey(ctx context.Context, storage certmagic.Storage, key string) ([]byte, error) {
	data, err := storage.Load(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading from storage: %w", err)
	}
	return data, nil
}

// stillOwns returns errOutOfDate if another store has begun.
func (o owner) stillOwns(ctx context.Context, storage certmagic.Storage) error {
	now, err := loadKey(ctx, storage, ownerKey)
	if err == nil && string(now) != string(o) {
		err = errOutOfDate
	}
	return err
}

// label writes the owner before the sealed sessions.
func (o owner) label(sealed []byte) []byte { return append([]byte(o+"\n"), sealed...) }
