package keyring

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/caddy-wechat/gateway/internal/key"
)

// Keys lists the keys whose tokens count, the signer first.
func (r *Ring) Keys() []KeyInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	ring := r.current.Load()
	var infos []KeyInfo
	for _, id := range ring.IDs() {
		infos = append(infos, KeyInfo{ID: id, Signing: id == ring.Signer().ID(), Made: r.made[id]})
	}
	return infos
}

// Drop removes a key from storage: its tokens do not count any more, and a new
// key signs if it did. Other nodes learn of it by Exclude or their next Refresh.
// Keys of a configuration cannot be removed, only excluded, as long as another
// is left. The error matches [ErrUnknownKey] or [ErrOnlyKey].
func (r *Ring) Drop(ctx context.Context, id string) error {
	if !r.current.Load().Has(id) {
		return ErrUnknownKey
	}
	if r.storage == nil {
		if len(r.current.Load().IDs()) == 1 {
			return ErrOnlyKey
		}
		return nil
	}
	now := time.Now()
	f, read, err := r.change(ctx, now, func(f file, now time.Time) (file, bool, error) {
		without, changed, err := f.drop(id, now)
		if errors.Is(err, ErrUnknownKey) { // dropped there already, and still in use here
			err = nil
		}
		return without, changed, err
	})
	if err != nil {
		return r.named(err)
	}
	return r.take(f, now, read) // not Refresh: what is done here needs no storage any more
}

// Exclude makes the tokens of these keys not count any more, wherever the keys stand,
// whatever is excluded besides. The error matches [ErrOnlyKey] if no other key is left
// here: then one that only this process knows signs.
func (r *Ring) Exclude(ids []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	more := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(r.excluded, id) })
	if len(more) == 0 {
		return nil
	}
	r.excluded = append(r.excluded, more...)
	return r.build()
}

// use takes keys into use, the signer first.
func (r *Ring) use(keys []key.Key, made map[string]time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys, r.made = keys, made
	return r.build()
}

// build makes the ring of the moment. The caller holds mu.
func (r *Ring) build() error {
	keys := slices.DeleteFunc(slices.Clone(r.keys), func(k key.Key) bool { return slices.Contains(r.excluded, k.ID()) })
	var lonely error
	if len(keys) == 0 {
		secret := make([]byte, key.Length)
		rand.Read(secret) // never fails since Go 1.24
		made, err := key.New(secret)
		if err != nil {
			return err
		}
		keys, lonely = []key.Key{made}, ErrOnlyKey
	}
	ring, err := key.NewSet(keys...)
	if err != nil {
		return err
	}
	r.current.Store(ring.WithUserHashKey(r.userHashKey))
	return lonely
}
