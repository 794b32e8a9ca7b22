package auth

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/memory"
	"github.com/caddy-wechat/gateway/internal/token"
)

const (
	benchApp = "wx1234567890abcdef"
	benchKey = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQIzRWeKvN7xA="
)

// BenchmarkAuthenticateStripInject is what the gateway adds to a request of a
// known token, without the rest of Caddy: strip, clean, find the token,
// authenticate, remove it, inject. Requests are in the processor's cache, as they
// have just come from a connection; what the gateway keeps of a million sessions
// is not. An op is a hundred requests; ns/request is the time of that alone.
func BenchmarkAuthenticateStripInject(b *testing.B) {
	for _, sessions := range []int{1, 10_000, 1_000_000} {
		var gw *gateway.Gateway
		var headers [][]string
		for _, fields := range []int{5, 20, 100} {
			b.Run(fmt.Sprintf("%d sessions, %d headers", sessions, fields), func(b *testing.B) {
				if gw == nil {
					gw, headers = filledGateway(b, sessions)
				}
				benchmarkPasses(b, gw, headers, fields)
			})
		}
	}
}

// filledGateway returns a gateway with sessions whose tokens it knows, and their
// Authorization headers.
func filledGateway(b *testing.B, sessions int) (*gateway.Gateway, [][]string) {
	b.Helper()
	store := memory.New(sessions, time.Hour)
	one, err := key.Parse(benchKey)
	if err != nil {
		b.Fatal(err)
	}
	ring, err := key.NewSet(one)
	if err != nil {
		b.Fatal(err)
	}
	gw := gateway.New(gateway.Config{
		TokenLifetime: time.Hour, MaxLifetime: time.Hour, MaxPerUser: 5,
		Store: store, Keys: func() *key.Set { return ring }, State: gateway.NewState(),
	})
	now := time.Now().Truncate(time.Second)
	headers := make([][]string, sessions)
	for i := range headers {
		user := identity.User{
			AppID: benchApp, OpenID: fmt.Sprintf("o%027d", i), UnionID: "uAAAAAAAAAAAAAAAAAAAAAAAAAAA",
			SessionID: fmt.Sprintf("s%021d", i),
		}
		_, err := store.Put(b.Context(), session.Login{
			Ref:     session.Ref{AppID: user.AppID, OpenID: user.OpenID, SessionID: user.SessionID},
			UnionID: user.UnionID, Ends: now.Add(time.Hour),
		}, 5)
		if err != nil {
			b.Fatal(err)
		}
		text, err := token.Mint(ring, token.Claims{User: user, IssuedAt: now, Expires: now.Add(time.Hour)})
		if err != nil {
			b.Fatal(err)
		}
		headers[i] = []string{"Bearer " + text}
		if _, err := gw.Authenticate(b.Context(), text, gateway.Apps{benchApp}); err != nil {
			b.Fatal(err)
		}
	}
	return gw, headers
}

// benchmarkPasses times requests by the hundred, so that the benchmark's own look at
// the clock is no part of it. Their tokens are any of those in headers.
func benchmarkPasses(b *testing.B, gw *gateway.Gateway, headers [][]string, fields int) {
	guard, err := identity.NewGuard(identity.DefaultNames())
	if err != nil {
		b.Fatal(err)
	}
	apps := gateway.Apps{benchApp}
	var requests [100]*http.Request
	for i := range requests {
		r := &http.Request{Method: http.MethodGet, ProtoMajor: 1, Header: http.Header{"Connection": {"keep-alive"}}}
		for n := range fields - 2 {
			r.Header[http.CanonicalHeaderKey(fmt.Sprintf("X-Some-Header-%d", n))] = []string{"value"}
		}
		requests[i] = r
	}
	var spent time.Duration
	order := rand.New(rand.NewPCG(1, 2))
	passes, read := 0, byte(0)
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range requests {
			header := headers[order.IntN(len(headers))]
			for i := range len(header[0]) {
				read ^= header[0][i]
			}
			for _, name := range []string{identity.DefaultOpenID, identity.DefaultUnionID, identity.DefaultAppID} {
				delete(r.Header, name)
			}
			r.Header["Authorization"] = header
		}
		start := time.Now()
		for _, r := range requests {
			guard.Strip(r.Header, func() bool { return false })
			identity.CleanHop(r)
			text, err := bearerCarrier{}.credential(r)
			if err != nil {
				b.Fatal(err)
			}
			user, err := gw.Authenticate(b.Context(), text, apps)
			if err != nil {
				b.Fatal(err)
			}
			bearerCarrier{}.remove(r)
			guard.Inject(r.Header, user)
		}
		spent += time.Since(start)
		passes += len(requests)
	}
	if read == 1 && passes == 0 {
		b.Fatal("never")
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(passes), "ns/request")
}
