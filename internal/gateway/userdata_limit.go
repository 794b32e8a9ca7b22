package gateway

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-wechat/gateway/internal/bounded"
)

const (
	// decryptsPerMinute of one user; WeChat's data comes one at a time, by a tap.
	decryptsPerMinute = 60
	maxDecrypters     = 100_000
	// decryptsKept is how long a user is remembered after the last try: by then all may
	// come at once again.
	decryptsKept = 2 * time.Minute
)

func newDecrypts() *bounded.Table[*rate.Limiter] {
	return bounded.New[*rate.Limiter](maxDecrypters, decryptsKept)
}
