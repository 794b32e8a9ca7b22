// Package memory is the session store of a single process. A lookup takes one
// read lock, and touches a session and its user; only logins touch the rest of
// what is stored about a user.
package memory

import (
	"fmt"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-wechat/gateway/internal/bounded"
	"github.com/caddy-wechat/gateway/internal/compact"
	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
)

// DefaultMaxSessions bounds a store unless its owner says otherwise.
const DefaultMaxSessions = 1_000_000

// MaxSessions is the largest bound.
const MaxSessions = math.MaxInt32

// shards is how many parts the index of sessions has, so that lookups on many
// processors do not wait for each other's lock.
const shards = 64

// Store implements [session.Backend] in memory. It is bounded: one session more
// than the bound ends the oldest.
type Store struct {
	shared
	*codes
	started time.Time // its monotonic reading is the clock that never jumps
	seed    maphash.Seed
	// Seeds of their own, so that an app, a user and a UnionID never cancel out.
	userSeed, unionSeed, userIDSeed maphash.Seed
	index                           [shards]shard
	stop                            chan struct{}
	stopped                         sync.Once

	sessions compact.Slab[liveSession]
	users    compact.Slab[user]
	long     sync.Map // textKey → string
	accounts atomic.Pointer[[]*account]

	mu          sync.Mutex // for every change
	frozen      bool
	byUser      map[userKey]uint32
	denied      map[uint32]struct{} // users, for the sweep
	oldest      uint32              // every session by age, for the bound
	newest      uint32
	count       int
	maxSessions int
	dropped     atomic.Pointer[[]string]
	previous    *bounded.Table[secret.String] // session keys by userKey
	ended       atomic.Uint64
}

var _ session.Backend = (*Store)(nil)

// shard is a part of the index. Its lock protects reads of the sessions in
// it and of their users; a change that lookups see takes it for writing.
type shard struct {
	sync.RWMutex
	slots     compact.Index
	slotClass compact.Class // of the slots of its sessions; for mu, not for this lock
	_         [64]byte      // the next one is on another cache line
}

// account counts the sessions and users of one account. Users in the slab refer to it by number.
type account struct {
	id              string
	sessions, users int
}

// errFrozen: the change comes too late to be in the snapshot.
var errFrozen = fmt.Errorf("%w: it is kept for the next start", session.ErrUnavailable)

// expired reports whether the session has ended by either clock: setting the wall
// clock back does not revive it, and neither does a machine that slept, for
// which the monotonic clock stood still.
func (s *Store) expired(l *liveSession, now time.Time) bool {
	return now.UnixNano() >= l.ends || now.Sub(s.started) >= time.Duration(l.deadline)*time.Second
}

// Len returns how many sessions and users there are, those that ended since
// the last sweep included.
func (s *Store) Len() (sessions, users int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count, len(s.byUser)
}
