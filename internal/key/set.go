package key

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// Set is one key that signs and all keys that verify. It is immutable.
type Set struct {
	signer      Key
	keys        map[string]Key
	order       []Key
	userHashKey []byte
}

// NewSet returns a set whose first key signs while all verify.
func NewSet(keys ...Key) (*Set, error) {
	if len(keys) == 0 {
		return nil, ErrNone
	}
	set := &Set{signer: keys[0], keys: make(map[string]Key, len(keys)), order: slices.Clone(keys)}
	set.userHashKey = set.signer.Derive("user hash")
	for _, key := range keys {
		if _, taken := set.keys[key.id]; taken {
			return nil, fmt.Errorf("%w: %s", ErrDuplicate, key.id)
		}
		set.keys[key.id] = key
	}
	return set, nil
}

// Signer is the key that signs new tokens.
func (s *Set) Signer() Key { return s.signer }

// Last is the key listed last: the oldest, which stays longest when new keys
// are put in front.
func (s *Set) Last() Key { return s.order[len(s.order)-1] }

// Has reports whether tokens of the key with this id are still accepted.
func (s *Set) Has(id string) bool {
	_, found := s.keys[id]
	return found
}

// Find returns the key with this id, if its tokens are still accepted.
func (s *Set) Find(id string) (Key, bool) {
	key, found := s.keys[id]
	return key, found
}

// Keys lists all keys, the signer first.
func (s *Set) Keys() []Key { return slices.Clone(s.order) }

// IDs lists the ids of all keys, the signer's first.
func (s *Set) IDs() []string {
	ids := make([]string, len(s.order))
	for i, key := range s.order {
		ids[i] = key.id
	}
	return ids
}

// WithUserHashKey returns the set with another key for [Set.UserHash], one that
// stays when the signer does not.
func (s *Set) WithUserHashKey(key []byte) *Set {
	other := *s
	other.userHashKey = key
	return &other
}

// UserHash is the name under which a user appears in logs, of no use to anybody
// without the key. It changes with the signer unless [Set.WithUserHashKey] has set
// a key of its own.
func (s *Set) UserHash(appID, openID string) string {
	mac := hmac.New(sha256.New, s.userHashKey)
	mac.Write([]byte{byte(len(appID))}) //nolint:gosec // at most 64; so that no two pairs spell the same
	mac.Write([]byte(appID))
	mac.Write([]byte(openID))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}
