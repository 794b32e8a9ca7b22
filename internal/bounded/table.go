// Package bounded keeps small, short-lived things by key in bounded memory:
// login codes, replies, rate limits. What is full forgets its oldest entry, so
// that a flood of unique keys costs no more memory than the bound.
package bounded

import (
	"sync"
	"time"

	"github.com/patrickmn/go-cache"
)

// Table maps keys to values for a limited time. It is safe for concurrent use. Time is
// what has passed, not what the clock on the wall says: one that is set forward forgets
// no code that was used, and one that is set back keeps none longer.
type Table[V any] struct {
	lifetime time.Duration
	cache    *cache.Cache
	elapsed  func() time.Duration

	mu    sync.Mutex
	order []slot // ring of keys by age
	next  int
	turn  uint64
	lost  int64 // when the youngest entry that gave way was added, Unix nanoseconds
}

// slot remembers which Add filled it, and when: a key may have come back since.
type slot struct {
	key     string
	turn    uint64
	added   int64
	deleted bool
}

// entry ends at a time of Table.elapsed: go-cache goes by the clock on the wall, so
// nothing expires there.
type entry[V any] struct {
	value V
	turn  uint64
	place int // in Table.order
	ends  time.Duration
}

// New returns a table of at most size entries, each kept for lifetime, or as long
// as Extend says. Both must be positive.
func New[V any](size int, lifetime time.Duration) *Table[V] {
	if size <= 0 || lifetime <= 0 {
		panic("bounded: size and lifetime must be positive")
	}
	// No janitor: the bound is what limits memory, and a goroutine per table
	// would need a Close. Expired entries are never returned.
	began := time.Now() // with the monotonic reading that Since goes by
	return &Table[V]{
		lifetime: lifetime, cache: cache.New(cache.NoExpiration, cache.NoExpiration), order: make([]slot, size),
		elapsed: func() time.Duration { return time.Since(began) },
	}
}

// live returns the entry of key if it has not ended.
func (t *Table[V]) live(key string) (e entry[V], ok bool) {
	found, ok := t.cache.Get(key)
	if !ok {
		return e, false
	}
	e = found.(entry[V])
	return e, t.elapsed() < e.ends
}

// Get returns the value of key.
func (t *Table[V]) Get(key string) (value V, ok bool) {
	found, ok := t.live(key)
	if !ok {
		return value, false
	}
	return found.value, true
}

// GetOrAdd returns the value of key. If there is none it makes one, keeps it
// and reports added; the oldest entry gives way if the table is full.
func (t *Table[V]) GetOrAdd(key string, make func() V) (value V, added bool) {
	if found, ok := t.live(key); ok {
		return found.value, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if found, ok := t.live(key); ok {
		return found.value, false
	}
	value = make()
	t.evict()
	t.turn++
	t.order[t.next] = slot{key: key, turn: t.turn, added: time.Now().UnixNano()}
	t.cache.Set(key, entry[V]{value, t.turn, t.next, t.elapsed() + t.lifetime}, cache.NoExpiration)
	t.next = (t.next + 1) % len(t.order)
	return value, true
}

// evict makes room in the slot that is filled next. The caller holds mu.
func (t *Table[V]) evict() {
	old := t.order[t.next]
	if old.turn == 0 || old.deleted {
		return
	}
	if found, there := t.cache.Get(old.key); there && found.(entry[V]).turn != old.turn {
		return // deleted and added again since; a younger slot holds it
	}
	if _, ok := t.live(old.key); ok {
		t.lost = max(t.lost, old.added)
	}
	t.cache.Delete(old.key)
}

// CompleteSince returns since when every entry has stayed until its end. Zero: all
// ever added have.
func (t *Table[V]) CompleteSince() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lost == 0 {
		return time.Time{}
	}
	return time.Unix(0, t.lost+1)
}

// Extend keeps the entry of key for a lifetime from now on, if there is one.
func (t *Table[V]) Extend(key string, lifetime time.Duration) {
	if lifetime <= 0 {
		panic("bounded: lifetime must be positive")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if found, ok := t.live(key); ok {
		found.ends = t.elapsed() + lifetime
		t.cache.Set(key, found, cache.NoExpiration)
	}
}

// Delete forgets key. What is added and deleted again, however often, makes nothing
// else give way.
func (t *Table[V]) Delete(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.cache.Get(key)
	if !ok {
		return
	}
	t.cache.Delete(key)
	e := found.(entry[V])
	if t.order[e.place].turn != e.turn {
		return
	}
	t.order[e.place].deleted = true
	for last := t.before(t.next); t.order[last].deleted; last = t.before(last) {
		t.order[last], t.next = slot{}, last
	}
}

// before is the place that is filled before another one.
func (t *Table[V]) before(place int) int { return (place + len(t.order) - 1) % len(t.order) }

// Len is the number of entries, expired ones that still take room included.
func (t *Table[V]) Len() int { return t.cache.ItemCount() }
