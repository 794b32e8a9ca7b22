// Package keyring keeps the gateway's signing keys in shared storage: made
// once, rotated, and never silently replaced.
package keyring

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/token"
)

// ErrOthersKeys says that another node made keys at the same time, for the same
// storage. The next start takes these.
var ErrOthersKeys = errors.New("another node has made other keys at the same moment; start again")

// ErrDamaged says that the stored keys cannot be read. They are not replaced, because
// that would end every session and hide the cause.
var ErrDamaged = errors.New("stored signing keys are damaged")

// ErrGone says that the keys in use are not in storage any more. They are not replaced:
// a disk that is not mounted is no wish to end every session.
var ErrGone = errors.New("the signing keys in use are gone from storage; check whether its disk is mounted; a restart or a reload makes new ones, which ends every session")

const fileVersion = 1

// file is the ring as stored.
type file struct {
	Version int         `json:"version"`
	Keys    []storedKey `json:"keys"`  // newest first
	Store   storedKey   `json:"store"` // for data at rest; never rotated
}

type storedKey struct {
	ID     string    `json:"id"`
	Secret []byte    `json:"secret"`
	Made   time.Time `json:"made"`
	// Signs is from when on the key signs: later than Made, so that every node
	// has seen a key before the first token signed with it arrives.
	Signs time.Time `json:"signs"`
}

func newFile(now time.Time) file {
	return file{Version: fileVersion, Keys: []storedKey{newKey(now, now)}, Store: newKey(now, now)}
}

func newKey(made, signs time.Time) storedKey {
	secret := make([]byte, key.Length)
	rand.Read(secret) // never fails since Go 1.24
	key, err := key.New(secret)
	if err != nil {
		panic(err) // 32 random bytes are a key
	}
	return storedKey{ID: key.ID(), Secret: secret, Made: made.UTC(), Signs: signs.UTC()}
}

func decode(data []byte) (file, error) {
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return file{}, fmt.Errorf("%w: not the JSON it should be", ErrDamaged) // the cause could quote a key
	}
	if f.Version != fileVersion {
		return file{}, fmt.Errorf("%w: version %d is not known to this build", ErrDamaged, f.Version)
	}
	if len(f.Keys) == 0 {
		return file{}, fmt.Errorf("%w: there is no key", ErrDamaged)
	}
	for _, k := range append([]storedKey{f.Store}, f.Keys...) {
		next, err := key.New(k.Secret)
		if err != nil || next.ID() != k.ID || k.Made.IsZero() || k.Signs.IsZero() {
			return file{}, fmt.Errorf("%w: key %q does not fit its id", ErrDamaged, shorten(k.ID))
		}
	}
	return f, nil
}

func shorten(id string) string { return id[:min(len(id), 16)] }

func (f file) encode() []byte {
	data, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		panic(err) // strings, bytes and times of this century always encode
	}
	return append(data, '\n')
}

// rotate returns f as it should be now, and whether that is a change: a new
// key when the newest is older than rotation, and without the keys whose last
// token has expired.
func (f file) rotate(now time.Time, rotation, announce, tokenLifetime time.Duration) (file, bool) {
	changed := false
	if rotation > 0 && now.Sub(f.Keys[0].Signs) >= rotation {
		f.Keys = append([]storedKey{newKey(now, now.Add(announce))}, f.Keys...)
		changed = true
	}
	for i := 1; i < len(f.Keys); i++ {
		// Keys[i] signed until the next newer key took over.
		if now.After(f.Keys[i-1].Signs.Add(tokenLifetime + 2*token.Leeway)) {
			f.Keys = f.Keys[:i]
			return f, true
		}
	}
	return f, changed
}

// ring returns the keys with the newest one that signs by now in front. A key
// that is only announced verifies already.
func (f file) ring(now time.Time) ([]key.Key, error) {
	var keys []key.Key
	signer := -1
	for i, k := range f.Keys {
		next, err := key.New(k.Secret)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if signer < 0 && !k.Signs.After(now) {
			signer = i
			keys = append([]key.Key{next}, keys...)
			continue
		}
		keys = append(keys, next)
	}
	if signer < 0 { // a clock far behind: the oldest key is the safest
		keys[0], keys[len(keys)-1] = keys[len(keys)-1], keys[0]
	}
	return keys, nil
}

func (f file) made() map[string]time.Time {
	made := make(map[string]time.Time, len(f.Keys))
	for _, k := range f.Keys {
		made[k.ID] = k.Made
	}
	return made
}

// drop returns f without a key. If nothing is left that signs by now, a new key
// does at once: it cannot be announced first.
func (f file) drop(id string, now time.Time) (file, bool, error) {
	keys := slices.DeleteFunc(slices.Clone(f.Keys), func(k storedKey) bool { return k.ID == id })
	if len(keys) == len(f.Keys) {
		return f, false, ErrUnknownKey
	}
	if !slices.ContainsFunc(keys, func(k storedKey) bool { return !k.Signs.After(now) }) {
		keys = append([]storedKey{newKey(now, now)}, keys...)
	}
	f.Keys = keys
	return f, true, nil
}
