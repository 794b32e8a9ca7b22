package memory

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
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
		before := heap()
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
		b.ReportMetric(float64(heap()-before)/n, "bytes/session")
		store.Close()
		runtime.KeepAlive(store)
	}
}

// BenchmarkMemoryOfCodes claims a million codes that nobody ever heard of and
// reports what they cost in all.
func BenchmarkMemoryOfCodes(b *testing.B) {
	for b.Loop() {
		before := heap()
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
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
		store.Close()
		runtime.KeepAlive(store)
	}
}
