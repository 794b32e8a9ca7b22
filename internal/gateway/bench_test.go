package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/loginhook"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/token"
)

// BenchmarkAuthenticate is a request with a token: one that is known, one that is
// new, and one that is refused.
func BenchmarkAuthenticate(b *testing.B) {
	ring := testRing(b, 1)
	w := newWorld(b, func(c *Config) { c.Keys = func() *key.Set { return ring } })
	text := w.login(b, "code").Token
	forged := text[:len(text)-4] + "AAAA"
	pass := func(b *testing.B, text string, good bool) {
		if _, err := w.Authenticate(b.Context(), text, sites); (err == nil) != good {
			b.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, text string
		good       bool
	}{{"cached", text, true}, {"refused", forged, false}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pass(b, c.text, c.good)
			}
		})
		b.Run(c.name+", parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					pass(b, c.text, c.good)
				}
			})
		})
	}
	b.Run("cold", func(b *testing.B) {
		claims, err := token.Verify(ring, text, time.Now(), w.longestLifetime())
		if err != nil {
			b.Fatal(err)
		}
		var texts [4096]string // of one session, so that nothing else is new
		for i := range texts {
			claims.IssuedAt = time.Now().Add(-time.Duration(i) * time.Second).Truncate(time.Second)
			claims.Expires = claims.IssuedAt.Add(w.TokenLifetime)
			if texts[i], err = token.Mint(ring, claims); err != nil {
				b.Fatal(err)
			}
		}
		i := 0
		b.ReportAllocs()
		for b.Loop() {
			if i%len(texts) == 0 {
				w.State.verified = newVerifiedTokens()
			}
			pass(b, texts[i%len(texts)], true)
			i++
		}
	})
}

// BenchmarkLogin is a login of somebody new, many at a time, with a WeChat that
// answers at once or takes 50 ms.
func BenchmarkLogin(b *testing.B) {
	for _, delay := range []time.Duration{0, 50 * time.Millisecond} {
		b.Run(delay.String(), func(b *testing.B) {
			w := newWorld(b)
			w.wechat.answer = func(_ provider.Account, code string) (provider.User, error) {
				time.Sleep(delay)
				return provider.User{OpenID: "o" + code}, nil
			}
			var n atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(128)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					code := fmt.Sprintf("%027d", n.Add(1))
					if _, err := w.Login(b.Context(), LoginRequest{Code: code}, sites); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
		})
	}
}

// BenchmarkVerifiedTokens is a look into the table of known tokens.
func BenchmarkVerifiedTokens(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		table := newVerifiedTokens()
		for i := range n {
			table.add(
				sumOf(i),
				token.Claims{User: identity.User{AppID: appA, OpenID: "o" + strconv.Itoa(i), SessionID: strconv.Itoa(i)}, KeyID: "key"},
			)
		}
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i = (i + 7919) % n
				if _, ok := table.get(sumOf(i)); !ok {
					b.Fatal("not there")
				}
			}
		})
	}
}

// BenchmarkMemoryOfForgedTokens shows a million of them and reports what they
// leave behind.
func BenchmarkMemoryOfForgedTokens(b *testing.B) {
	w := newWorld(b)
	text := w.login(b, "code").Token
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for b.Loop() {
		before := heap()
		for i := range 1_000_000 {
			if _, err := w.Authenticate(b.Context(), fmt.Sprintf("%s%08d", text[:len(text)-8], i), sites); err == nil {
				b.Fatal("accepted")
			}
		}
		b.ReportMetric((heap()-before)/(1<<20), "MiB")
	}
}

// BenchmarkLoginHook compares logins with and without a hook that answers at once, over
// its own connection, taking turns: overhead is the ratio of the two, and must be at most
// 1.3 where WeChat takes its usual 50 ms.
//
//	go test -run '^$' -bench LoginHook -benchtime 2000x ./internal/gateway
func BenchmarkLoginHook(b *testing.B) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"user_id":"42"}`)
	}))
	b.Cleanup(app.Close)
	hook, err := loginhook.New(loginhook.Options{URL: app.URL, Secret: secret.New("a secret of the application, 32+ bytes")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(hook.Close)
	for _, delay := range []time.Duration{0, 50 * time.Millisecond} {
		b.Run(delay.String(), func(b *testing.B) {
			answer := func(_ provider.Account, code string) (provider.User, error) {
				time.Sleep(delay)
				return provider.User{OpenID: "o" + code}, nil
			}
			plain, asking := newWorld(b), newWorld(b, func(c *Config) { c.Hook = Hook{LoginHook: hook} })
			plain.wechat.answer, asking.wechat.answer = answer, answer
			var n, without, with atomic.Int64
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					code := fmt.Sprintf("%027d", n.Add(1))
					for w, spent := range map[*world]*atomic.Int64{plain: &without, asking: &with} { // in either order
						start := time.Now()
						if _, err := w.Login(b.Context(), LoginRequest{Code: code}, sites); err != nil {
							b.Error(err)
						}
						spent.Add(int64(time.Since(start)))
					}
				}
			})
			b.ReportMetric(float64(with.Load())/float64(without.Load()), "overhead")
		})
	}
}
