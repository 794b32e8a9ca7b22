// Package ticket seals what the gateway hands to browsers and takes back later:
// the state of a login that is under way, tickets, signed URLs, scans. Nobody
// else can read or make what is sealed. It counts for one purpose in one place
// only, and as long as the signing key that it was made with.
package ticket

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/caddy-wechat/gateway/internal/key"
)

// ErrOpen says that a text was not sealed for this purpose and place with a key
// that still counts. There is deliberately no further reason.
var ErrOpen = errors.New("not sealed for this by a key that counts")

// Purpose is what something is sealed for.
type Purpose string

// The purposes. Nothing sealed for one of them opens for another.
const (
	// State is of a login that is under way, in a cookie.
	State Purpose = "state"
	// WebView lets a Mini Program's web-view in.
	WebView Purpose = "ticket"
	// Signature is of a signed URL.
	Signature Purpose = "signature"
	// Scan is of a desktop that waits for a Mini Program.
	Scan Purpose = "scan"
)

// Place is where something counts.
type Place struct {
	// Host of the site, with the port if there is one, in lower case.
	Host string
	// Name of what holds the text, a cookie's for example; may be empty.
	Name string
}

const (
	keyIDBytes = 8
	// Overhead is how many bytes sealed data is longer than the data, before
	// base64: the key's id, a nonce and an authentication tag.
	Overhead = keyIDBytes + 12 + 16
	// MaxText is the length of the longest text that is opened.
	MaxText = 4 << 10
)

var encoding = base64.RawURLEncoding.Strict()

// Seal encrypts data with the ring's signer. The text is of the characters
// [A-Za-z0-9_-] and different each time.
func Seal(ring *key.Set, purpose Purpose, place Place, data []byte) (string, error) {
	signer := ring.Signer()
	id, err := hex.DecodeString(signer.ID())
	if err != nil || len(id) != keyIDBytes {
		return "", fmt.Errorf("sealing %s: the signing key's id is not %d bytes in hex", purpose, keyIDBytes)
	}
	box, err := boxFor(signer, purpose, place)
	if err != nil {
		return "", err
	}
	return encoding.EncodeToString(append(id, box.Seal(data, context(purpose, place))...)), nil
}

// Open returns what was sealed for this purpose and place, or [ErrOpen].
func Open(ring *key.Set, purpose Purpose, place Place, text string) ([]byte, error) {
	if len(text) > MaxText || len(text) < encoding.EncodedLen(Overhead) {
		return nil, ErrOpen
	}
	// Decoding skips line breaks, which would be a second spelling.
	for i := range len(text) {
		if text[i] == '\r' || text[i] == '\n' {
			return nil, ErrOpen
		}
	}
	sealed, err := encoding.DecodeString(text)
	if err != nil {
		return nil, ErrOpen
	}
	key, found := ring.Find(hex.EncodeToString(sealed[:keyIDBytes]))
	if !found {
		return nil, ErrOpen
	}
	box, err := boxFor(key, purpose, place)
	if err != nil {
		return nil, err
	}
	data, err := box.Open(sealed[keyIDBytes:], context(purpose, place))
	if err != nil {
		return nil, ErrOpen
	}
	return data, nil
}

// KeyID names the key that a text says it was sealed with; empty if the text names none. The
// text need not open.
func KeyID(text string) string {
	id, err := encoding.DecodeString(text[:min(len(text), encoding.EncodedLen(Overhead))])
	if err != nil || len(id) < keyIDBytes {
		return ""
	}
	return hex.EncodeToString(id[:keyIDBytes])
}

// context is unambiguous: neither a host name nor a purpose has a zero byte.
func context(purpose Purpose, place Place) string {
	return string(purpose) + "\x00" + place.Host + "\x00" + place.Name
}
