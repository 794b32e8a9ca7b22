// Package redis is the session store that many gateways share. A check of a
// session that was checked before costs no round trip: Redis tells its clients
// when a record changes (server-assisted client-side caching), so a logout on
// one node reaches the others at once.
//
// There is one key per user, with the record sealed; key names are hashes. A
// change reads the record, and writes it back only if no other node did meanwhile.
package redis

import (
	"context"
	"errors"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-wechat/gateway/internal/bounded"
	"github.com/caddy-wechat/gateway/internal/seal"
)

// New returns a store that is not connected yet and must be closed. Until Connect, or a later call,
// succeeds, every method returns session.ErrUnavailable.
func New(o Options) (*Store, error) {
	if len(o.Addresses) == 0 {
		return nil, errors.New("needs at least one address")
	}
	box, err := seal.New(o.ValueKey)
	if err != nil {
		return nil, err
	}
	if o.Known == nil {
		o.Known = NewKnown()
	}
	s := &Store{
		options: o, box: box, known: o.Known, done: make(chan struct{}),
		memos: bounded.New[*memo](maxMemos, time.Hour), users: bounded.New[*user](maxMemos, time.Hour),
	}
	go s.followControl()
	return s, nil
}

// Connect connects, finds out whether the server can be written to, and reads
// what operators have decided.
func (s *Store) Connect(ctx context.Context) error {
	return s.ask(ctx, func(ctx context.Context, client rueidis.Client) error {
		// A write that Redis refuses where it refuses writes, and that changes
		// nothing: the key is never there.
		probe := client.B().Set().Key(s.options.KeyPrefix + "probe").Value("1").Xx().PxMilliseconds(1000).Build()
		if err := client.Do(ctx, probe).Error(); err != nil && !rueidis.IsRedisNil(err) {
			return err
		}
		_, err := s.readControl(ctx)
		return err
	})
}
