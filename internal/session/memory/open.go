package memory

import (
	"hash/maphash"
	"time"

	"github.com/caddy-wechat/gateway/internal/bounded"
	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
)

// New returns an empty store of at most maxSessions sessions that looks for
// expired ones every sweep. Close ends its goroutine.
func New(maxSessions int, sweep time.Duration) *Store {
	s := &Store{
		codes:       newCodes(),
		started:     time.Now(),
		seed:        maphash.MakeSeed(),
		userSeed:    maphash.MakeSeed(),
		unionSeed:   maphash.MakeSeed(),
		userIDSeed:  maphash.MakeSeed(),
		previous:    bounded.New[secret.String](maxPreviousKeys, session.PreviousKeyLifetime),
		stop:        make(chan struct{}),
		byUser:      make(map[userKey]uint32),
		denied:      make(map[uint32]struct{}),
		maxSessions: bound(maxSessions),
	}
	s.accounts.Store(new([]*account))
	s.dropped.Store(new([]string))
	go s.sweep(sweep)
	return s
}

func bound(maxSessions int) int { return min(max(maxSessions, 1), MaxSessions) }

// Close ends the store's goroutine. The sessions stay readable.
func (s *Store) Close() error {
	s.stopped.Do(func() { close(s.stop) })
	return nil
}

// Freeze refuses changes from now on: nobody must be told that a session has ended
// which a snapshot then brings back. Thaw undoes it.
func (s *Store) Freeze() { s.freeze(true) }

// Thaw undoes Freeze.
func (s *Store) Thaw() { s.freeze(false) }

func (s *Store) freeze(frozen bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = frozen
}

// SetMaxSessions changes the bound; sessions beyond it end, the oldest first.
func (s *Store) SetMaxSessions(maxSessions int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxSessions = bound(maxSessions)
	s.endBeyond()
}

// RaiseMaxSessions changes the bound if it is lower; no session ends.
func (s *Store) RaiseMaxSessions(maxSessions int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxSessions = max(s.maxSessions, bound(maxSessions))
}
