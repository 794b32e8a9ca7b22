// Package memory is the session store of a single process. Lookups are one
// go-cache Get; what a user has beyond that is touched by logins only.
package memory

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patrickmn/go-cache"

	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
)

// DefaultMaxSessions bounds a store unless its owner says otherwise.
const DefaultMaxSessions = 1_000_000

// Store implements session.Store in memory. It is bounded: one session more
// than the bound ends the oldest.
type Store struct {
	*codes
	started time.Time // its monotonic reading is the clock that never jumps
	live    *cache.Cache
	stop    chan struct{}
	stopped sync.Once

	mu          sync.Mutex
	users       map[userKey]*user
	oldest      *entry // every session by age, for the bound
	newest      *entry
	count       int
	maxSessions int
}

var _ session.Store = (*Store)(nil)

type userKey struct{ appID, openID string }

// user is the record of one user. Lookups read unionID without a lock.
type user struct {
	key        userKey
	unionID    atomic.Pointer[string]
	sessionKey secret.String
	sessions   []*entry // by age, oldest first
}

// entry is one live session.
type entry struct {
	id           string
	user         *user
	ends         time.Time
	deadline     time.Duration // the same since Store.started, by the monotonic clock
	older, newer *entry
}

// New returns an empty store of at most maxSessions sessions that looks for
// expired ones every sweep. Close ends its goroutine.
func New(maxSessions int, sweep time.Duration) *Store {
	s := &Store{
		codes:   newCodes(),
		started: time.Now(),
		// Without go-cache's janitor, which only a finalizer stops.
		live:        cache.New(cache.NoExpiration, cache.NoExpiration),
		stop:        make(chan struct{}),
		users:       make(map[userKey]*user),
		maxSessions: max(maxSessions, 1),
	}
	go s.sweep(sweep)
	return s
}

// Close ends the store's goroutine. The sessions stay readable.
func (s *Store) Close() error {
	s.stopped.Do(func() { close(s.stop) })
	return nil
}

// SetMaxSessions changes the bound; sessions beyond it end, the oldest first.
func (s *Store) SetMaxSessions(maxSessions int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxSessions = max(maxSessions, 1)
	s.endBeyond()
}

// Put implements session.Store.
func (s *Store) Put(_ context.Context, login session.Login, maxPerUser int) (string, error) {
	return s.put(login, maxPerUser), nil
}

func (s *Store) put(login session.Login, maxPerUser int) (before string) {
	lifetime := time.Until(login.Ends)
	if lifetime <= 0 {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := userKey{login.AppID, login.OpenID}
	u := s.users[key]
	if u == nil {
		u = &user{key: key}
		s.users[key] = u
	} else {
		before = *u.unionID.Load()
	}
	u.sessionKey = login.SessionKey
	unionID := login.UnionID // of its own: a pointer into login would keep all of it
	u.unionID.Store(&unionID)
	e := &entry{id: login.SessionID, user: u, ends: login.Ends, deadline: time.Since(s.started) + lifetime}
	u.sessions = append(u.sessions, e)
	s.link(e)
	// The entry knows its end by two clocks; go-cache would look at one of them
	// again on every Get.
	s.live.Set(e.id, e, cache.NoExpiration)
	for len(u.sessions) > max(maxPerUser, 1) {
		s.end(u.sessions[0])
	}
	s.endBeyond()
	return before
}

// Get implements session.Store.
func (s *Store) Get(_ context.Context, ref session.Ref) (session.Session, error) {
	found, ok := s.live.Get(ref.SessionID)
	if !ok {
		return session.Session{}, session.ErrNotFound
	}
	e := found.(*entry)
	if e.user.key.openID != ref.OpenID || e.user.key.appID != ref.AppID || e.over(time.Now(), s.started) {
		return session.Session{}, session.ErrNotFound
	}
	return session.Session{UnionID: *e.user.unionID.Load(), Ends: e.ends}, nil
}

// over reports whether the session has ended by either clock: setting the wall
// clock back does not revive it, and neither does a machine that slept, for
// which the monotonic clock stood still.
func (e *entry) over(now, started time.Time) bool {
	return !now.Before(e.ends) || now.Sub(started) >= e.deadline
}

// Delete implements session.Store.
func (s *Store) Delete(_ context.Context, ref session.Ref) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found, ok := s.live.Get(ref.SessionID); ok {
		if e := found.(*entry); e.user.key == (userKey{ref.AppID, ref.OpenID}) {
			s.end(e)
		}
	}
	return nil
}

// DeleteUser implements session.Store.
func (s *Store) DeleteUser(_ context.Context, appID, openID string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[userKey{appID, openID}]
	if u == nil {
		return 0, nil
	}
	ended := len(u.sessions)
	for len(u.sessions) > 0 {
		s.end(u.sessions[0])
	}
	return ended, nil
}

// Len returns how many sessions and users there are, those that ended since
// the last sweep included.
func (s *Store) Len() (sessions, users int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count, len(s.users)
}

// end removes a session everywhere, and its user with the last one. The caller
// holds mu.
func (s *Store) end(e *entry) {
	s.live.Delete(e.id)
	s.unlink(e)
	u := e.user
	for i, other := range u.sessions {
		if other == e {
			u.sessions = append(u.sessions[:i], u.sessions[i+1:]...)
			break
		}
	}
	if len(u.sessions) == 0 {
		delete(s.users, u.key)
	}
}

func (s *Store) endBeyond() {
	for s.count > s.maxSessions {
		s.end(s.oldest)
	}
}

func (s *Store) link(e *entry) {
	e.older = s.newest
	if s.newest != nil {
		s.newest.newer = e
	} else {
		s.oldest = e
	}
	s.newest = e
	s.count++
}

func (s *Store) unlink(e *entry) {
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		s.oldest = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		s.newest = e.older
	}
	e.older, e.newer = nil, nil
	s.count--
}

// sweep removes expired sessions until Close.
func (s *Store) sweep(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			s.endExpired()
		}
	}
}

// endExpired walks the sessions from the oldest in steps, so that logins do not
// wait for a walk over a million.
func (s *Store) endExpired() {
	const step = 10_000
	now := time.Now()
	s.mu.Lock()
	next := s.oldest
	for walked := 1; next != nil; walked++ {
		e := next
		next = e.newer
		if e.over(now, s.started) {
			s.end(e)
		}
		if walked%step == 0 && next != nil {
			s.mu.Unlock()
			s.mu.Lock()
			if next.newer == nil && next != s.newest {
				break // ended meanwhile; the next sweep sees the rest
			}
		}
	}
	s.mu.Unlock()
}
