// Package memory is the session store of a single process. A lookup takes one
// lock that many can hold, and touches a session and its user; what else there
// is about a user is touched by logins only.
package memory

import (
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
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

// Store implements session.Backend in memory. It is bounded: one session more
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

	lives compact.Slab[live]
	users compact.Slab[user]
	long  sync.Map // textKey → string
	apps  atomic.Pointer[[]*app]

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

// shard is a part of the index. Who holds its lock can look at the sessions in
// it and at their users; a change of what lookups see takes it for writing.
type shard struct {
	sync.RWMutex
	places compact.Index
	own    compact.Class // of the places of its sessions; for mu, not for this lock
	_      [64]byte      // the next one is on another cache line
}

// app counts what there is of an app. Users in the slab name it by number.
type app struct {
	id              string
	sessions, users int
}

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
	s.apps.Store(new([]*app))
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

// errFrozen says that a change comes too late to be in the snapshot.
var errFrozen = fmt.Errorf("%w: it is kept for the next start", session.ErrUnavailable)

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

func (s *Store) hash(id *sessionID) uint64 { return maphash.Bytes(s.seed, id[:]) }

// hashAt is the hash of the session at a place.
func (s *Store) hashAt(place uint32) uint64 { return s.hash(&s.lives.At(place).id) }

// shardNumber uses other bits of the hash than the index in the shard. It is also
// the remainder of the places that sessions of the shard have, so that looking at
// a place takes the lock of one shard, whatever was there before.
func shardNumber(hash uint64) uint32 { return uint32(hash >> 20 % shards) }

func (s *Store) shardOf(hash uint64) *shard { return &s.index[shardNumber(hash)] }

// find returns the place of a session, 0 if there is none. The caller holds the
// lock of the shard, or mu.
func (s *Store) find(shard *shard, hash uint64, id *sessionID) uint32 {
	return shard.places.Find(hash, func(place uint32) bool { return s.lives.At(place).id == *id })
}

// Get implements session.Store.
func (s *Store) Get(_ context.Context, query session.Query) (session.Session, error) {
	id, ok := toSessionID(query.SessionID)
	if !ok {
		return session.Session{}, session.ErrNotFound
	}
	hash := s.hash(&id)
	shard := s.shardOf(hash)
	shard.RLock()
	defer shard.RUnlock()
	place := uint32(query.Hint)
	if !s.isAt(place, shardNumber(hash), &id) {
		if place = s.find(shard, hash, &id); place == 0 {
			return session.Session{}, session.ErrNotFound
		}
	}
	l := s.lives.At(place)
	if s.over(l, query.At()) {
		return session.Session{}, session.ErrNotFound
	}
	unionID, userID := query.UnionID, ""
	if l.whose != s.whose(query.AppID, query.OpenID, unionID, userID) {
		// Another UnionID since then, a name of the application's, or another user.
		unionID, userID = s.textOf(l.user, unionIDText), s.textOf(l.user, userIDText)
		if l.whose != s.whose(query.AppID, query.OpenID, unionID, userID) {
			return session.Session{}, session.ErrNotFound
		}
	}
	return session.Session{UnionID: unionID, UserID: userID, Ends: time.Unix(0, l.ends), Hint: session.Hint(place)}, nil
}

// isAt reports whether the session is at a place, which may be any number. The
// caller holds the lock of the shard. A session that has ended is nowhere: its
// place is empty before that lock is free.
func (s *Store) isAt(place, shard uint32, id *sessionID) bool {
	return place%shards == shard && s.lives.Reaches(place) && s.lives.At(place).id == *id
}

// whose is a hash of an app, a user of it and what else lookups return of the user,
// under keys of this process that nobody sees a result of.
func (s *Store) whose(appID, openID, unionID, userID string) uint64 {
	const odd, alsoOdd, oddToo = 0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9
	sum := maphash.String(s.seed, appID)*odd + maphash.String(s.userSeed, openID)*alsoOdd + maphash.String(s.unionSeed, unionID)
	if userID != "" {
		sum += maphash.String(s.userIDSeed, userID) * oddToo
	}
	return sum
}

func (s *Store) belongs(place uint32, ref session.Ref) bool {
	return (*s.apps.Load())[s.users.At(place).app].id == ref.AppID && s.textIs(place, openIDText, ref.OpenID)
}

// over reports whether the session has ended by either clock: setting the wall
// clock back does not revive it, and neither does a machine that slept, for
// which the monotonic clock stood still.
func (s *Store) over(l *live, now time.Time) bool {
	return now.UnixNano() >= l.ends || now.Sub(s.started) >= time.Duration(l.deadline)*time.Second
}

// Put implements session.Store.
func (s *Store) Put(_ context.Context, login session.Login, maxPerUser int) (string, error) {
	return s.put(login, time.Now(), maxPerUser)
}

func (s *Store) put(login session.Login, began time.Time, maxPerUser int) (before string, err error) {
	id, ok := toSessionID(login.SessionID)
	if !ok {
		return "", fmt.Errorf("session id of %d bytes, at most %d are possible", len(login.SessionID), session.MaxIDBytes)
	}
	now := time.Now()
	if !login.Ends.After(now) {
		return "", nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return "", errFrozen
	}
	if place := s.place(&id); place != 0 {
		s.end(place)
	}
	place := s.user(login.AppID, login.OpenID)
	u := s.users.At(place)
	if u.denied(now) {
		return "", session.ErrDenied
	}
	before = s.textOf(place, unionIDText)
	if login.KeepUnionID && login.UnionID == "" {
		login.UnionID = before
	}
	if login.UserID == "" {
		login.UserID = s.textOf(place, userIDText)
	}
	whose := s.rename(place, login.UnionID, login.UserID)
	s.setSessionKey(place, login.SessionKey)
	s.begin(place, live{
		id: id, kind: kindNumber(login.Kind), whose: whose, user: place, ends: nanoseconds(login.Ends), deadline: s.deadline(login.Ends, now),
		began: seconds(began.Unix()),
	})
	s.endBeyondCap(u, min(max(maxPerUser, 1), session.MaxPerUser), now)
	s.endBeyond()
	return before, nil
}

// rename changes what lookups return of a user in all sessions, and returns the hash
// that they have then. The caller holds mu.
func (s *Store) rename(place uint32, unionID, userID string) (whose uint64) {
	u := s.users.At(place)
	whose = s.whose((*s.apps.Load())[u.app].id, s.textOf(place, openIDText), unionID, userID)
	if s.textIs(place, unionIDText, unionID) && s.textIs(place, userIDText, userID) {
		return whose
	}
	s.lockSessionsOf(u, func() {
		s.setText(place, unionIDText, unionID)
		s.setText(place, userIDText, userID)
		for other := u.oldest; other != 0; other = s.lives.At(other).nextOfUser {
			s.lives.At(other).whose = whose
		}
	})
	return whose
}

// user returns the place of a user, who need not have been there. The caller
// holds mu.
func (s *Store) user(appID, openID string) uint32 {
	number := s.appNumber(appID)
	key := toUserKey(number, openID)
	place := s.byUser[key]
	if place == 0 {
		place = s.users.Take()
		u := s.users.At(place)
		u.key, u.app = key, number
		s.setText(place, openIDText, openID)
		s.byUser[key] = place
	}
	return place
}

// known returns the place of a user, 0 if there is none. The caller holds mu.
func (s *Store) known(appID, openID string) uint32 {
	for number, app := range *s.apps.Load() {
		if app.id == appID {
			return s.byUser[toUserKey(uint16(number), openID)]
		}
	}
	return 0
}

// appNumber returns the number of an app. There are as many as configurations
// have named since the process began. The caller holds mu.
func (s *Store) appNumber(appID string) uint16 {
	apps := *s.apps.Load()
	for number, app := range apps {
		if app.id == appID {
			return uint16(number)
		}
	}
	if len(apps) > math.MaxUint16 {
		panic("memory: more than 65,536 apps")
	}
	more := append(slices.Clip(apps), &app{id: appID})
	s.apps.Store(&more)
	return uint16(len(apps)) //nolint:gosec // see above
}

// lockSessionsOf runs change while no lookup sees the user. The caller holds mu.
func (s *Store) lockSessionsOf(u *user, change func()) {
	var held [shards]bool
	for place := u.oldest; place != 0; place = s.lives.At(place).nextOfUser {
		held[place%shards] = true
	}
	for i := range held {
		if held[i] {
			s.index[i].Lock()
			defer s.index[i].Unlock()
		}
	}
	change()
}

// begin adds a session of a user. The caller holds mu.
func (s *Store) begin(userPlace uint32, l live) {
	u := s.users.At(userPlace)
	l.older = s.newest
	place := s.publish(l)
	if s.newest != 0 {
		s.lives.At(s.newest).newer = place
	} else {
		s.oldest = place
	}
	s.newest = place
	last := &u.oldest
	for *last != 0 {
		last = &s.lives.At(*last).nextOfUser
	}
	*last = place
	s.count++
	u.sessions++
	app := (*s.apps.Load())[u.app]
	app.sessions++
	if u.sessions == 1 {
		app.users++
	}
}

// publish puts a session where lookups find it, and returns its place. The caller
// holds mu.
func (s *Store) publish(l live) uint32 {
	hash := s.hash(&l.id)
	shard := s.shardOf(hash)
	place := s.lives.TakeFrom(&shard.own, shardNumber(hash), shards)
	shard.Lock()
	defer shard.Unlock()
	*s.lives.At(place) = l
	shard.places.Add(hash, place, s.hashAt)
	return place
}

// end removes a session everywhere, and its user with the last one. The caller
// holds mu.
func (s *Store) end(place uint32) {
	l := s.unpublish(place)
	if l.older != 0 {
		s.lives.At(l.older).newer = l.newer
	} else {
		s.oldest = l.newer
	}
	if l.newer != 0 {
		s.lives.At(l.newer).older = l.older
	} else {
		s.newest = l.older
	}
	u := s.users.At(l.user)
	link := &u.oldest
	for *link != place {
		link = &s.lives.At(*link).nextOfUser
	}
	*link = l.nextOfUser
	s.count--
	u.sessions--
	app := (*s.apps.Load())[u.app]
	app.sessions--
	if u.sessions == 0 {
		app.users--
		s.forget(l.user, time.Now())
	}
}

// unpublish makes lookups not find a session any more and returns what it was;
// none is looking at it afterwards. The caller holds mu.
func (s *Store) unpublish(place uint32) live {
	hash := s.hashAt(place)
	shard := s.shardOf(hash)
	shard.Lock()
	defer shard.Unlock()
	l := *s.lives.At(place)
	shard.places.Remove(hash, place, s.hashAt)
	s.ended.Add(1)
	s.lives.GiveTo(&shard.own, place)
	return l
}

// forget removes a user about whom there is nothing to know any more. The caller
// holds mu.
func (s *Store) forget(place uint32, now time.Time) {
	u := s.users.At(place)
	if u.sessions > 0 || u.denied(now) {
		return
	}
	// A place is in a table only while its user is: what stays in one when the
	// place is free would name whoever has it next.
	for _, kind := range []textKind{openIDText, unionIDText, sessionKeyText, userIDText} {
		s.long.Delete(textKey{place, kind})
	}
	s.previous.Delete(string(u.key[:]))
	delete(s.denied, place)
	delete(s.byUser, u.key)
	s.users.Give(place)
}

// endBeyondCap ends sessions of a user, the oldest first, until there are no more than
// the cap. Those that are over, and only not swept away yet, do not count. The caller
// holds mu.
func (s *Store) endBeyondCap(u *user, limit int, now time.Time) {
	if int(u.sessions) <= limit {
		return
	}
	for place := u.oldest; place != 0; {
		next := s.lives.At(place).nextOfUser
		if s.over(s.lives.At(place), now) {
			s.end(place)
		}
		place = next
	}
	for int(u.sessions) > limit {
		s.end(u.oldest)
	}
}

func (s *Store) endBeyond() {
	for s.count > s.maxSessions {
		s.end(s.oldest)
	}
}

// Ended implements session.Store.
func (s *Store) Ended() (count uint64, known bool) { return s.ended.Load(), true }

// Delete implements session.Store.
func (s *Store) Delete(_ context.Context, ref session.Ref) error {
	id, ok := toSessionID(ref.SessionID)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return errFrozen
	}
	if place := s.place(&id); place != 0 && s.belongs(s.lives.At(place).user, ref) {
		s.end(place)
	}
	return nil
}

// place returns where a session is. The caller holds mu: nobody changes the index
// meanwhile, so it can be read.
func (s *Store) place(id *sessionID) uint32 {
	hash := s.hash(id)
	return s.find(s.shardOf(hash), hash, id)
}

// DeleteUser implements session.Store.
func (s *Store) DeleteUser(_ context.Context, appID, openID string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return 0, errFrozen
	}
	return s.endAllOf(s.known(appID, openID)), nil
}

// endAllOf ends the sessions of a user. The caller holds mu.
func (s *Store) endAllOf(place uint32) (ended int) {
	if place == 0 {
		return 0
	}
	now := time.Now()
	for n := s.users.At(place).sessions; n > 0; n-- {
		oldest := s.users.At(place).oldest
		if !s.over(s.lives.At(oldest), now) {
			ended++
		}
		s.end(oldest)
	}
	return ended
}

// Len returns how many sessions and users there are, those that ended since
// the last sweep included.
func (s *Store) Len() (sessions, users int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count, len(s.byUser)
}
