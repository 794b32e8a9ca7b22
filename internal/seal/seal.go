// Package seal encrypts what is kept outside this process: AES-256-GCM with a
// random nonce, bound to what it is for.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

// ErrOpen says that data was not sealed with this key for this purpose, or was
// changed since.
var ErrOpen = errors.New("data cannot be decrypted: another key, or damaged")

// Box seals and opens. It is safe for concurrent use.
type Box struct{ aead cipher.AEAD }

// New returns a box with a 32-byte key.
func New(key []byte) (*Box, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("making cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("making cipher: %w", err)
	}
	return &Box{aead}, nil
}

// Seal encrypts data; only Open with the same context gives it back, so that a
// value cannot be moved to another place.
func (b *Box) Seal(data []byte, context string) []byte {
	return b.aead.Seal(nil, nil, data, []byte(context)) //nolint:gosec // the cipher makes a random nonce itself
}

// Open returns the data, or [ErrOpen].
func (b *Box) Open(sealed []byte, context string) ([]byte, error) {
	data, err := b.aead.Open(nil, nil, sealed, []byte(context))
	if err != nil {
		return nil, ErrOpen
	}
	return data, nil
}
