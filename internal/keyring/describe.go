package keyring

import (
	"context"
	"fmt"
	"time"
)

// KeyInfo describes a stored key without its bytes.
type KeyInfo struct {
	ID string
	// Made is when the key was made, Signs from when on it signs. Both are zero for
	// keys of a configuration.
	Made, Signs time.Time
	// Signing says that this is the key that signs now.
	Signing bool
}

// Describe returns what is known of the stored keys, newest first, and changes
// nothing. The error matches fs.ErrNotExist if there are none yet and [ErrDamaged]
// if they cannot be read.
func Describe(ctx context.Context, storage Storage) ([]KeyInfo, error) {
	r := &Ring{storage: storage, settings: Settings{StorageKey: StorageKey}}
	f, err := r.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s in Caddy's storage: %w", StorageKey, err)
	}
	keys, err := f.ring(time.Now())
	if err != nil {
		return nil, fmt.Errorf("%s in Caddy's storage: %w", StorageKey, err)
	}
	infos := make([]KeyInfo, len(f.Keys))
	for i, k := range f.Keys {
		infos[i] = KeyInfo{ID: k.ID, Made: k.Made, Signs: k.Signs, Signing: k.ID == keys[0].ID()}
	}
	return infos, nil
}
