package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/caddy-wechat/gateway/internal/key"
)

// UserHashKey is where the key of user hashes is, if the signing keys are those of a
// configuration.
const UserHashKey = "wechat/user_hash_key.json"

// userHashFile is that key as stored.
type userHashFile struct {
	Version int    `json:"version"`
	Secret  []byte `json:"secret"`
}

// LoadUserHashKey takes the key of user hashes from storage, if it is there, so that
// users keep their names in logs when the configuration lists other signing keys.
// Keys of storage have one of their own there, and it does nothing. The error matches
// [ErrDamaged] if there is a key that cannot be read.
func (r *Ring) LoadUserHashKey(ctx context.Context, storage Storage) error {
	if r.storage != nil {
		return nil
	}
	secret, err := readUserHashKey(ctx, storage)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return r.setUserHashKey(secret)
}

// KeepUserHashKey stores the key of user hashes unless one is there, which then is
// taken. The first one is derived from the last signing key that the configuration
// lists, so that nodes which share nothing but a configuration agree about it.
func (r *Ring) KeepUserHashKey(ctx context.Context, storage Storage) (err error) {
	if r.storage != nil {
		return nil
	}
	if _, err := readUserHashKey(ctx, storage); !errors.Is(err, fs.ErrNotExist) {
		return r.LoadUserHashKey(ctx, storage)
	}
	const lock = "wechat_user_hash_key"
	if err := storage.Lock(ctx, lock); err != nil {
		return fmt.Errorf("locking: %w", err)
	}
	defer func() { err = errors.Join(err, storage.Unlock(ctx, lock)) }()
	if _, err := readUserHashKey(ctx, storage); !errors.Is(err, fs.ErrNotExist) {
		return r.LoadUserHashKey(ctx, storage)
	}
	r.mu.Lock()
	kept := userHashFile{Version: fileVersion, Secret: slices.Clone(r.userHashKey)}
	r.mu.Unlock()
	data, err := json.Marshal(kept) //nolint:gosec // to a file that only its owner reads
	if err != nil {
		return err
	}
	return storage.Store(ctx, UserHashKey, append(data, '\n'))
}

func readUserHashKey(ctx context.Context, storage Storage) ([]byte, error) {
	data, err := storage.Load(ctx, UserHashKey)
	if err != nil {
		return nil, fmt.Errorf("%s in Caddy's storage: %w", UserHashKey, err)
	}
	var kept userHashFile
	if json.Unmarshal(data, &kept) != nil || kept.Version != fileVersion || len(kept.Secret) != key.Length {
		return nil, fmt.Errorf("%s in Caddy's storage: %w", UserHashKey, ErrDamaged)
	}
	return kept.Secret, nil
}

func (r *Ring) setUserHashKey(secret []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Equal(r.userHashKey, secret) {
		return nil
	}
	r.userHashKey = secret
	err := r.build()
	if errors.Is(err, ErrOnlyKey) {
		return nil // that was said when the keys were excluded
	}
	return err
}
