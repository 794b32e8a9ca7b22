package wechatapp

import (
	"sync"
	"sync/atomic"

	"github.com/caddy-wechat/gateway/internal/assertion"
	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/keyring"
)

// assertionKeys are the keys of assertions: a ring of their own in Caddy's
// storage or, with `signing_key`, one derived from each key there, so that nodes
// without shared storage agree.
type assertionKeys struct {
	open sync.Once
	ring *keyring.Ring
	err  error
	// derived is set with signing_key: the token keys to derive from.
	derived func() *key.Set
	current atomic.Pointer[builtRing]
}

// builtRing remembers what it was built from: building derives curve points.
type builtRing struct {
	from *key.Set
	ring *assertion.Keys
}

func (k *assertionKeys) source() *key.Set {
	if k.derived != nil {
		return k.derived()
	}
	return k.ring.Current()
}

// load returns the ring of the moment.
func (k *assertionKeys) load() (*assertion.Keys, error) {
	from := k.source()
	if built := k.current.Load(); built != nil && built.from == from {
		return built.ring, nil
	}
	var keys []assertion.Key
	for _, source := range from.Keys() {
		if k.derived != nil {
			derived, err := key.New(source.Derive("assertion"))
			if err != nil {
				return nil, err
			}
			source = derived
		}
		keys = append(keys, assertion.Key{ID: source.ID(), Seed: source.Secret()})
	}
	ring, err := assertion.NewKeys(keys...)
	if err != nil {
		return nil, err
	}
	k.current.Store(&builtRing{from, ring})
	return ring, nil
}
