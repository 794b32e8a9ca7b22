package redis

import (
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

// Known is what this process has seen of the sessions in Redis and does not go
// back on: versions of users' records, what operators decided, which sessions
// have ended. Whoever writes an old value to Redis again, or a replica that lags
// and takes over, brings nothing back here. It also tells what is over while
// Redis is away. A Known outlives the [Store] of one configuration.
type Known struct {
	users recent[knownUser]
	ended recent[int64] // when the end was seen, Unix seconds
	seed  maphash.Seed

	mu          sync.RWMutex
	followed    bool             // the control hash was read
	generations map[string]int64 // by field of the control hash
	dropped     []string         // sorted
}

// knownUser is the newest record of a user that was seen.
type knownUser struct {
	version int64
	denied  int64 // DeniedUntil of that record
	gone    bool  // and then there was none any more
	// cut is when this node ended all sessions of the user; zero: it did not. Unix
	// seconds.
	cut int64
}

const (
	// maxKnownUsers and maxKnownEnds bound the memory of a [Known], to about 60 and
	// 6 MiB. The oldest give way.
	maxKnownUsers = 1 << 20
	maxKnownEnds  = 1 << 17
	// maxKnownControl bounds what is remembered of the control hash.
	maxKnownControl = 4096
	// skew is how far the clocks of nodes may be apart.
	skew = 5 * time.Second
)

// NewKnown returns a [Known] that has seen nothing.
func NewKnown() *Known {
	return &Known{
		users: newRecent[knownUser](maxKnownUsers), ended: newRecent[int64](maxKnownEnds),
		seed: maphash.MakeSeed(), generations: make(map[string]int64),
	}
}

// user returns what is known of the user with the hash of a key's name.
func (k *Known) user(hash uint64) knownUser {
	u, _ := k.users.get(hash)
	return u
}

// recordSeen remembers a record, unless a newer one is known.
func (k *Known) recordSeen(hash uint64, r *record) {
	if known := k.user(hash); known.version > r.Version || known.version == r.Version && known.denied == r.DeniedUntil {
		return
	}
	k.users.update(hash, func(u knownUser) knownUser {
		if r.Version < u.version || r.Version == u.version && u.gone {
			return u
		}
		return knownUser{version: r.Version, denied: r.DeniedUntil, cut: u.cut}
	})
}

// endAll remembers that all sessions of a user are over that have begun by now.
func (k *Known) endAll(hash uint64) {
	now := time.Now().Unix()
	k.users.update(hash, func(u knownUser) knownUser {
		u.cut = now
		return u
	})
}

// accept returns the record that counts: the one that was read, or what is left
// of the newest known one if that is newer. floor is what was known before the
// read began.
func (k *Known) accept(hash uint64, floor knownUser, read *record) *record {
	if read.Version > floor.version || read.Version == floor.version && !floor.gone {
		if read.Version > 0 {
			k.recordSeen(hash, read)
		}
		return read
	}
	if read.Version == 0 && !floor.gone {
		k.recordGone(hash, floor.version)
	}
	return &record{Version: floor.version, DeniedUntil: floor.denied}
}

// recordGone remembers that there is no record any more after the one of a version.
func (k *Known) recordGone(hash uint64, version int64) {
	k.users.update(hash, func(u knownUser) knownUser {
		if u.version <= version {
			u.version, u.gone = version, true
		}
		return u
	})
}

func (k *Known) sum(ref session.Ref) uint64 {
	return maphash.Comparable(k.seed, ref)
}

// end remembers that a session is over.
func (k *Known) end(ref session.Ref) {
	k.ended.update(k.sum(ref), func(seen int64) int64 {
		if seen != 0 {
			return seen
		}
		return time.Now().Unix()
	})
}

func (k *Known) hasEnded(ref session.Ref) bool {
	_, ended := k.ended.get(k.sum(ref))
	return ended
}

// mayHaveEnded reports whether a session whose token was made then may be one
// whose end was seen and forgotten.
func (k *Known) mayHaveEnded(ref session.Ref, issued time.Time) bool {
	last, forgot := k.ended.part(k.sum(ref)).forgotten()
	return forgot && !issued.After(time.Unix(last, 0).Add(skew))
}

// hasFollowed reports whether this process has read what operators decided. One that
// has not knows of no app that was ended and of no key that was dropped.
func (k *Known) hasFollowed() bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.followed
}

// generation returns the newest generation of an app.
func (k *Known) generation(field string) int64 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.generations[field]
}

// endedApp remembers that a generation has begun.
func (k *Known) endedApp(field string, generation int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.generations[field] = max(k.generations[field], generation)
}

// droppedKeys returns the ids of all keys that are known to be dropped.
func (k *Known) droppedKeys() []string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.dropped
}

// merge adds what was read of the control hash, and returns all that is known,
// and how much of that the hash does not have.
func (k *Known) merge(generations map[string]int64, dropped []string) (all *control, missing map[string]int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.followed = true
	missing = make(map[string]int64)
	for field, generation := range generations {
		if _, known := k.generations[field]; known || len(k.generations) < maxKnownControl {
			k.generations[field] = max(k.generations[field], generation)
		}
	}
	for field, generation := range k.generations {
		if generations[field] < generation {
			missing[field] = generation
		}
	}
	for _, id := range k.dropped {
		if !slices.Contains(dropped, id) {
			missing[droppedField+id] = 1
		}
	}
	for _, id := range dropped {
		if !slices.Contains(k.dropped, id) && len(k.dropped) < maxKnownControl {
			k.dropped = append(slices.Clip(k.dropped), id) // readers keep the old one
			slices.Sort(k.dropped)
		}
	}
	return &control{generations: maps.Clone(k.generations), dropped: k.dropped}, missing
}

// shards is how many locks a recent has.
const shards = 64

// recent keeps the newest values by hash, without a pointer for the garbage
// collector to follow.
type recent[V comparable] struct{ parts []recentPart[V] }

type recentPart[V comparable] struct {
	mu     sync.RWMutex
	values map[uint64]V
	order  []uint64 // ring, once it is full
	next   int
	full   int
	last   V // that was forgotten
	forgot bool
}

func newRecent[V comparable](size int) recent[V] {
	r := recent[V]{parts: make([]recentPart[V], shards)}
	for i := range r.parts {
		r.parts[i].values, r.parts[i].full = make(map[uint64]V), size/shards
	}
	return r
}

func (r *recent[V]) part(hash uint64) *recentPart[V] { return &r.parts[hash>>32%shards] }

func (r *recent[V]) get(hash uint64) (V, bool) {
	p := r.part(hash)
	p.mu.RLock()
	defer p.mu.RUnlock()
	v, ok := p.values[hash]
	return v, ok
}

// update replaces a value; one that is not there is the zero value.
func (r *recent[V]) update(hash uint64, change func(V) V) {
	p := r.part(hash)
	p.mu.Lock()
	defer p.mu.Unlock()
	old, known := p.values[hash]
	p.values[hash] = change(old)
	switch {
	case known:
	case len(p.order) < p.full:
		p.order = append(p.order, hash)
	default:
		p.last, p.forgot = p.values[p.order[p.next]], true
		delete(p.values, p.order[p.next])
		p.order[p.next] = hash
		p.next = (p.next + 1) % p.full
	}
}

// forgotten returns the value that gave way last.
func (p *recentPart[V]) forgotten() (last V, forgot bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.last, p.forgot
}
