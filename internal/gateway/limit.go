package gateway

import (
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-wechat/gateway/internal/bounded"
)

// Limit is a number of events per window, all of which may come at once.
type Limit struct {
	Events int
	Window time.Duration
}

// maxLimited bounds the addresses that are counted, to about 30 MiB. A flood
// from more of them pushes out the oldest.
const maxLimited = 100_000

// limits counts logins per client address.
type limits struct {
	// An address is forgotten a window after its last event, when its bucket would
	// be full again anyway.
	buckets *bounded.Table[*rate.Limiter]
}

func newLimits() *limits {
	return &limits{buckets: bounded.New[*rate.Limiter](maxLimited, time.Minute)}
}

// allow counts one event of the client, or returns how long to wait. A changed
// limit applies to known clients from their next event on.
func (l *limits) allow(client netip.Addr, limit Limit) (wait time.Duration, ok bool) {
	perSecond := rate.Limit(float64(limit.Events) / limit.Window.Seconds())
	key := limitKey(client)
	bucket, _ := l.buckets.GetOrAdd(key, func() *rate.Limiter {
		return rate.NewLimiter(perSecond, limit.Events)
	})
	l.buckets.Extend(key, limit.Window+time.Second)
	if bucket.Limit() != perSecond || bucket.Burst() != limit.Events {
		bucket.SetLimit(perSecond)
		bucket.SetBurst(limit.Events)
	}
	if bucket.Allow() {
		return 0, true
	}
	missing := 1 - bucket.Tokens()
	return time.Duration(missing / float64(perSecond) * float64(time.Second)), false
}

// limitKey is what counts as one client: an IPv4 address, or the /64 of one IPv6
// customer.
func limitKey(client netip.Addr) string {
	client = client.Unmap()
	if client.Is6() {
		prefix, err := client.WithZone("").Prefix(64)
		if err == nil {
			client = prefix.Addr()
		}
	}
	bytes := client.As16()
	return string(bytes[:])
}
