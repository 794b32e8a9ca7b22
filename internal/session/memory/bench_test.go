package memory

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/sessiontest"
)

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMemoryPerSession fills a store with sessions of as many users and
// reports what one costs.
func BenchmarkMemoryPerSession(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		previous := heap()
		store := New(n, time.Hour)
		for i := range n {
			_, err := store.Put(b.Context(), session.Login{
				Ref:        session.Ref{AppID: "wx1234567890abcdef", OpenID: fmt.Sprintf("o%027d", i), SessionID: fmt.Sprintf("s%021d", i)},
				UnionID:    fmt.Sprintf("u%027d", i),
				SessionKey: secret.New(fmt.Sprintf("%022d==", i)), Ends: time.Now().Add(time.Hour),
			}, 5)
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heap()-previous)/n, "bytes/session")
		store.Close()
		runtime.KeepAlive(store)
	}
}

// BenchmarkMemoryOfCodes claims a million codes that nobody ever heard of and
// reports what they cost in all.
func BenchmarkMemoryOfCodes(b *testing.B) {
	for b.Loop() {
		previous := heap()
		store := New(1, time.Hour)
		key := session.CodeKey{AppID: "wx1234567890abcdef"}
		for i := range 1_000_000 {
			copy(key.Hash[:], fmt.Sprintf("%032d", i))
			if _, _, err := store.ClaimCode(b.Context(), key); err != nil {
				b.Fatal(err)
			}
			if err := store.SettleCode(b.Context(), key, session.Reply{}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heap()-previous)/(1<<20), "MiB")
		store.Close()
		runtime.KeepAlive(store)
	}
}

// BenchmarkGet looks up sessions at random; the reference has just come from a
// token, so it is made in the loop.
func BenchmarkGet(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		store := New(n, time.Hour)
		for i := range n {
			put(b, store, i)
		}
		get := func(b *testing.B, i int, id []byte) {
			for at := len(id) - 1; at > 0; at-- {
				id[at], i = byte('0'+i%10), i/10
			}
			id[0] = 's'
			sessionID := string(id)
			_, err := store.Get(
				b.Context(),
				sessiontest.Query(session.Ref{AppID: "wx1234567890abcdef", OpenID: "o000000" + sessionID[1:], SessionID: sessionID}),
			)
			if err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("%d sessions", n), func(b *testing.B) {
			random, id := rand.New(rand.NewPCG(1, 2)), make([]byte, 22)
			b.ReportAllocs()
			for b.Loop() {
				get(b, random.IntN(n), id)
			}
		})
		b.Run(fmt.Sprintf("%d sessions, parallel", n), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				random, id := rand.New(rand.NewPCG(1, 2)), make([]byte, 22)
				for pb.Next() {
					get(b, random.IntN(n), id)
				}
			})
		})
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPut begins a session in a full store, which ends the oldest.
func BenchmarkPut(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		store := New(n, time.Hour)
		for i := range n {
			put(b, store, i)
		}
		b.Run(fmt.Sprintf("%d sessions", n), func(b *testing.B) {
			i := n
			b.ReportAllocs()
			for b.Loop() {
				put(b, store, i)
				i++
			}
			n = i // the next run goes on where this one has ended
		})
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
