// Package token mints and verifies the tokens that stand for a login. They are
// JWTs that only the gateway reads; whatever is not exactly as Mint makes it is
// refused.
package token

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

// Errors of keys.
var (
	// ErrWeakKey: a signing key is too short or not random.
	ErrWeakKey = errors.New("weak signing key")
	// ErrDuplicateKey: one key is listed twice.
	ErrDuplicateKey = errors.New("signing key listed twice")
	// ErrNoKey: a ring without a key can neither sign nor verify.
	ErrNoKey = errors.New("no signing key")
)

const (
	// KeyBytes is the length of a generated key, and the least a configured one
	// may have: that of the hash (RFC 7518 section 3.2).
	KeyBytes = 32
	// minDistinctBytes tells keys from passwords: 32 random bytes with fewer
	// different values do not occur.
	minDistinctBytes = 8
)

// Key is an HMAC key with the name that tokens know it by.
type Key struct {
	id     string
	secret []byte
}

// NewKey returns a key of these bytes, or ErrWeakKey if they are fewer than 32
// or cannot be random. The id is derived from the key, so that nodes that are
// given one key agree about its name.
func NewKey(secret []byte) (Key, error) {
	if len(secret) < KeyBytes {
		return Key{}, fmt.Errorf("%w: %d bytes, at least %d are needed", ErrWeakKey, len(secret), KeyBytes)
	}
	var seen [256]bool
	distinct := 0
	for _, b := range secret {
		if !seen[b] {
			seen[b] = true
			distinct++
		}
	}
	if distinct < minDistinctBytes {
		return Key{}, fmt.Errorf("%w: its bytes are not random; make one with: openssl rand -base64 32", ErrWeakKey)
	}
	sum := sha256.Sum256(append([]byte("caddy-wechat key id\x00"), secret...))
	return Key{id: hex.EncodeToString(sum[:8]), secret: slices.Clone(secret)}, nil
}

// ParseKey reads a key as written in a configuration: base64, standard or URL
// alphabet, padded or not.
func ParseKey(text string) (Key, error) {
	for _, encoding := range []*base64.Encoding{
		base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding,
	} {
		if secret, err := encoding.Strict().DecodeString(text); err == nil {
			return NewKey(secret)
		}
	}
	return Key{}, fmt.Errorf("%w: not base64", ErrWeakKey)
}

// ID is the name of the key in the `kid` of tokens; it says nothing about the
// key's bytes.
func (k Key) ID() string { return k.id }

// Secret returns a copy of the key's bytes, for storing it.
func (k Key) Secret() []byte { return slices.Clone(k.secret) }

// String hides the key.
func (k Key) String() string { return "key " + k.id }

// GoString hides the key from %#v.
func (k Key) GoString() string { return k.String() }

// Derive returns a 32-byte key for another purpose than signing tokens (HKDF,
// RFC 5869). A key is only ever used for one purpose (RFC 8725 section 3.12).
func (k Key) Derive(purpose string) []byte {
	derived, err := hkdf.Key(sha256.New, k.secret, nil, "caddy-wechat "+purpose, KeyBytes)
	if err != nil {
		panic(err) // only for lengths that HKDF cannot make; ours is constant
	}
	return derived
}

// Ring is one key that signs and all keys that verify. It is immutable.
type Ring struct {
	signer      Key
	keys        map[string]Key
	order       []Key
	userHashKey []byte
}

// NewRing returns a ring whose first key signs while all verify.
func NewRing(keys ...Key) (*Ring, error) {
	if len(keys) == 0 {
		return nil, ErrNoKey
	}
	ring := &Ring{signer: keys[0], keys: make(map[string]Key, len(keys)), order: slices.Clone(keys)}
	ring.userHashKey = ring.signer.Derive("user hash")
	for _, key := range keys {
		if _, taken := ring.keys[key.id]; taken {
			return nil, fmt.Errorf("%w: %s", ErrDuplicateKey, key.id)
		}
		ring.keys[key.id] = key
	}
	return ring, nil
}

// Signer is the key that signs new tokens.
func (r *Ring) Signer() Key { return r.signer }

// Last is the key listed last: the oldest, which stays longest when new keys
// are put in front.
func (r *Ring) Last() Key { return r.order[len(r.order)-1] }

// Has reports whether tokens of the key with this id are still accepted.
func (r *Ring) Has(id string) bool {
	_, found := r.keys[id]
	return found
}

// Find returns the key with this id, if its tokens are still accepted.
func (r *Ring) Find(id string) (Key, bool) {
	key, found := r.keys[id]
	return key, found
}

// Keys lists all keys, the signer first.
func (r *Ring) Keys() []Key { return slices.Clone(r.order) }

// IDs lists the ids of all keys, the signer's first.
func (r *Ring) IDs() []string {
	ids := make([]string, len(r.order))
	for i, key := range r.order {
		ids[i] = key.id
	}
	return ids
}

// WithUserHashKey returns the ring with another key for [Ring.UserHash], one that
// stays when the signer does not.
func (r *Ring) WithUserHashKey(key []byte) *Ring {
	other := *r
	other.userHashKey = key
	return &other
}

// UserHash is the name under which a user appears in logs, of no use to anybody
// without the key. It changes with the signer unless [Ring.WithUserHashKey] has set
// a key of its own.
func (r *Ring) UserHash(appID, openID string) string {
	mac := hmac.New(sha256.New, r.userHashKey)
	mac.Write([]byte{byte(len(appID))}) //nolint:gosec // at most 64; so that no two pairs spell the same
	mac.Write([]byte(appID))
	mac.Write([]byte(openID))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}
