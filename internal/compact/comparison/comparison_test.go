// Package comparison measures what could hold a million sessions: the gateway's
// own store and well-kept caches. It is a module of its own, so that nobody who
// builds the gateway must fetch them:
//
//	go test -run '^$' -bench . .
package comparison

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/allegro/bigcache/v3"
	"github.com/coocood/freecache"
	"github.com/maypok86/otter/v2"
	"github.com/patrickmn/go-cache"

	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/memory"
)

const (
	sessions = 1_000_000
	lifetime = time.Hour
	appID    = "wx1234567890abcdef"
)

// record is what there is to keep of a session, whatever keeps it.
type record struct {
	appID, openID, unionID, sessionKey string
	ends                               int64
}

// store is a table of records by session id.
type store interface {
	put(id string, r record)
	has(id string) bool
}

func sessionID(n int) string { return fmt.Sprintf("s%021d", n) }

func recordOf(n int) record {
	return record{
		appID: appID, openID: fmt.Sprintf("o%027d", n), unionID: fmt.Sprintf("u%027d", n), sessionKey: fmt.Sprintf("%022d==", n),
		ends: time.Now().Add(lifetime).Unix(),
	}
}

// BenchmarkStores fills each with a million sessions and looks them up at random.
// Beside the time of a lookup it reports the heap per session, the time of a
// garbage collection with all of them alive, and how many are still there: a cache
// may drop whatever it likes, a store of logins may not.
func BenchmarkStores(b *testing.B) {
	for _, c := range []struct {
		name string
		new  func(b *testing.B) store
	}{
		{"gateway", newOwn}, {"go-cache", newGoCache}, {"otter", newOtter}, {"freecache", newFreecache}, {"bigcache", newBigcache},
	} {
		b.Run(c.name, func(b *testing.B) {
			before := heap()
			s := c.new(b)
			for n := range sessions {
				s.put(sessionID(n), recordOf(n))
			}
			bytes := float64(heap()-before) / sessions
			collection := collect()
			kept := 0
			for n := range sessions {
				if s.has(sessionID(n)) {
					kept++
				}
			}
			ids := make([]string, 100_000)
			for i := range ids {
				ids[i] = sessionID(rand.IntN(sessions))
			}
			b.ReportAllocs()
			b.ResetTimer()
			i := 0
			for b.Loop() {
				s.has(ids[i%len(ids)])
				i++
			}
			b.ReportMetric(bytes, "bytes/session")
			b.ReportMetric(float64(collection.Microseconds())/1000, "ms/collection")
			b.ReportMetric(float64(kept)/sessions*100, "%kept")
			runtime.KeepAlive(s)
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// collect returns the time of the quickest of five collections.
func collect() time.Duration {
	quickest := time.Hour
	for range 5 {
		start := time.Now()
		runtime.GC()
		quickest = min(quickest, time.Since(start))
	}
	return quickest
}

// own is the gateway's store, which keeps users as well and the order of age.
type own struct {
	b     *testing.B
	store *memory.Store
}

func newOwn(b *testing.B) store {
	s := memory.New(sessions, time.Hour)
	b.Cleanup(func() { _ = s.Close() })
	return own{b: b, store: s}
}

func (s own) put(id string, r record) {
	_, err := s.store.Put(s.b.Context(), session.Login{
		Ref:     session.Ref{AppID: r.appID, OpenID: r.openID, SessionID: id},
		UnionID: r.unionID, SessionKey: secret.New(r.sessionKey), Ends: time.Unix(r.ends, 0),
	}, 5)
	if err != nil {
		s.b.Fatal(err)
	}
}

func (s own) has(id string) bool {
	_, err := s.store.Get(s.b.Context(), session.Query{
		Ref: session.Ref{AppID: appID, OpenID: "o000000" + id[1:], SessionID: id}, UnionID: "u000000" + id[1:], Now: time.Now(),
	})
	return err == nil
}

// goCache has a struct of strings for each.
type goCache struct{ *cache.Cache }

func newGoCache(*testing.B) store { return goCache{cache.New(lifetime, cache.NoExpiration)} }

func (s goCache) put(id string, r record) { s.SetDefault(id, &r) }
func (s goCache) has(id string) bool      { _, ok := s.Get(id); return ok }

// otterCache is bounded to as many as there are.
type otterCache struct{ *otter.Cache[string, *record] }

func newOtter(b *testing.B) store {
	c, err := otter.New(&otter.Options[string, *record]{
		MaximumSize: sessions, ExpiryCalculator: otter.ExpiryWriting[string, *record](lifetime),
	})
	if err != nil {
		b.Fatal(err)
	}
	return otterCache{c}
}

func (s otterCache) put(id string, r record) { s.Set(id, &r) }
func (s otterCache) has(id string) bool      { _, ok := s.GetIfPresent(id); return ok }

// encode makes one value of bytes, for caches that hold nothing else.
func encode(r record) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(r.ends))
	for _, text := range []string{r.appID, r.openID, r.unionID, r.sessionKey} {
		out = append(append(out, byte(len(text))), text...)
	}
	return out
}

// freeCache gets 256 bytes a session, its bound being in bytes.
type freeCache struct{ *freecache.Cache }

func newFreecache(*testing.B) store { return freeCache{freecache.NewCache(256 * sessions)} }

func (s freeCache) put(id string, r record) {
	_ = s.Set([]byte(id), encode(r), int(lifetime.Seconds())) // an error is an entry that is not there
}
func (s freeCache) has(id string) bool { _, err := s.Get([]byte(id)); return err == nil }

// bigCache has one lifetime for all and no bound here.
type bigCache struct{ *bigcache.BigCache }

func newBigcache(b *testing.B) store {
	config := bigcache.DefaultConfig(lifetime)
	config.MaxEntriesInWindow, config.MaxEntrySize, config.Verbose = sessions, 256, false
	c, err := bigcache.New(context.Background(), config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	return bigCache{c}
}

func (s bigCache) put(id string, r record) { _ = s.Set(id, encode(r)) } // likewise
func (s bigCache) has(id string) bool      { _, err := s.Get(id); return err == nil }
