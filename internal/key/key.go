// Package key holds what everything that the gateway signs or seals is made with:
// keys, sets of them of which one signs and all verify, and keys derived for one
// purpose.
package key

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

// Errors of keys.
var (
	// ErrWeak: a signing key is too short or not random.
	ErrWeak = errors.New("weak signing key")
	// ErrDuplicate: one key is listed twice.
	ErrDuplicate = errors.New("signing key listed twice")
	// ErrNone: a set without a key can neither sign nor verify.
	ErrNone = errors.New("no signing key")
)

const (
	// Length is the length of a generated key, and the least a configured one
	// may have: that of the hash (RFC 7518 section 3.2).
	Length = 32
	// minDistinctBytes tells keys from passwords: 32 random bytes with fewer
	// different values do not occur.
	minDistinctBytes = 8
)

// Key is an HMAC key with the name that tokens know it by.
type Key struct {
	id     string
	secret []byte
}

// New returns a key of these bytes, or [ErrWeak] if they are fewer than 32
// or cannot be random. The id is derived from the key, so that nodes that are
// given one key agree about its name.
func New(secret []byte) (Key, error) {
	if len(secret) < Length {
		return Key{}, fmt.Errorf("%w: %d bytes, at least %d are needed; make one with: openssl rand -base64 32", ErrWeak, len(secret), Length)
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
		return Key{}, fmt.Errorf("%w: its bytes are not random; make one with: openssl rand -base64 32", ErrWeak)
	}
	sum := sha256.Sum256(append([]byte("caddy-wechat key id\x00"), secret...))
	return Key{id: hex.EncodeToString(sum[:8]), secret: slices.Clone(secret)}, nil
}

// Parse reads a key as written in a configuration: base64, standard or URL
// alphabet, padded or not.
func Parse(text string) (Key, error) {
	for _, encoding := range []*base64.Encoding{
		base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding,
	} {
		if secret, err := encoding.Strict().DecodeString(text); err == nil {
			return New(secret)
		}
	}
	return Key{}, fmt.Errorf("%w: not base64; make one with: openssl rand -base64 32", ErrWeak)
}

// ID is the name of the key in the `kid` of tokens; it says nothing about the
// key's bytes.
func (k Key) ID() string { return k.id }

// Secret returns a copy of the key's bytes, for storing it.
func (k Key) Secret() []byte { return slices.Clone(k.secret) }

// Reveal returns the key's bytes to compute with. They must not be changed, and go
// nowhere.
func (k Key) Reveal() []byte { return k.secret }

// String hides the key.
func (k Key) String() string { return "key " + k.id }

// GoString hides the key from %#v.
func (k Key) GoString() string { return k.String() }

// Derive returns a 32-byte key for another purpose than signing tokens (HKDF,
// RFC 5869). A key is only ever used for one purpose (RFC 8725 section 3.12).
func (k Key) Derive(purpose string) []byte {
	derived, err := hkdf.Key(sha256.New, k.secret, nil, "caddy-wechat "+purpose, Length)
	if err != nil {
		panic(err) // only for lengths that HKDF cannot make; ours is constant
	}
	return derived
}
