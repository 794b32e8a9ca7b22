package wechatapp

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/caddy-wechat/gateway/internal/assertion"
	"github.com/caddy-wechat/gateway/internal/loginhook"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/memory"
)

// Every number and time of a configuration has a bound on both sides, here and
// nowhere else: what is stored or added to later must not overflow, and what
// overflows fails open. Both forms, Caddyfile and JSON, are checked with it.
var (
	tokenLifetimeBounds = bounds[time.Duration]{time.Second, session.MaxLifetime}
	maxLifetimeBounds   = bounds[time.Duration]{time.Second, session.MaxLifetime}
	// Of a browser's session; max_lifetime is its bound, too.
	browserLifetimeBounds = bounds[time.Duration]{time.Second, session.MaxLifetime}
	maxPerUserBounds      = bounds[int]{1, session.MaxPerUser}
	keyRotationBounds     = bounds[time.Duration]{time.Hour, 10 * 365 * day}
	// A code is remembered for session.CodeLifetime, so no exchange may last longer.
	apiTimeoutBounds        = bounds[time.Duration]{time.Millisecond, session.CodeLifetime / 5}
	attemptsBounds          = bounds[int]{1, 1_000_000}
	windowBounds            = bounds[time.Duration]{time.Second, 30 * day}
	maxSessionsBounds       = bounds[int]{1, memory.MaxSessions}
	redisDBBounds           = bounds[int]{0, math.MaxInt32}
	redisTimeoutBounds      = bounds[time.Duration]{time.Millisecond, time.Minute}
	graceBounds             = bounds[time.Duration]{time.Second, 15 * time.Minute}
	hookTimeoutBounds       = bounds[time.Duration]{time.Millisecond, loginhook.MaxTimeout}
	assertionLifetimeBounds = bounds[time.Duration]{assertion.MinLifetime, assertion.MaxLifetime}
)

const day = 24 * time.Hour

// bounds are the least and the most that a setting can be.
type bounds[T int | time.Duration] struct{ least, most T }

// check returns an error that names the setting if the value is not within.
func (b bounds[T]) check(setting string, value T) error {
	if value < b.least || value > b.most {
		return fmt.Errorf("%s: must be %s to %s, not %s", setting, shortText(b.least), shortText(b.most), shortText(value))
	}
	return nil
}

// shortText writes a time like a Caddyfile: 30d, not 720h0m0s.
func shortText(value any) string {
	d, ok := value.(time.Duration)
	if !ok {
		return fmt.Sprint(value)
	}
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}
