package option

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
	TokenLifetimeBounds = Bounds[time.Duration]{time.Second, session.MaxLifetime}
	MaxLifetimeBounds   = Bounds[time.Duration]{time.Second, session.MaxLifetime}
	// Of a browser's session; max_lifetime is its bound, too.
	BrowserLifetimeBounds = Bounds[time.Duration]{time.Second, session.MaxLifetime}
	MaxPerUserBounds      = Bounds[int]{1, session.MaxPerUser}
	KeyRotationBounds     = Bounds[time.Duration]{time.Hour, 10 * 365 * day}
	// A code is remembered for [session.CodeLifetime], so no exchange may last longer.
	APITimeoutBounds        = Bounds[time.Duration]{time.Millisecond, session.CodeLifetime / 5}
	AttemptsBounds          = Bounds[int]{1, 1_000_000}
	WindowBounds            = Bounds[time.Duration]{time.Second, 30 * day}
	MaxSessionsBounds       = Bounds[int]{1, memory.MaxSessions}
	RedisDBBounds           = Bounds[int]{0, math.MaxInt32}
	RedisTimeoutBounds      = Bounds[time.Duration]{time.Millisecond, time.Minute}
	GraceBounds             = Bounds[time.Duration]{time.Second, 15 * time.Minute}
	HookTimeoutBounds       = Bounds[time.Duration]{time.Millisecond, loginhook.MaxTimeout}
	AssertionLifetimeBounds = Bounds[time.Duration]{assertion.MinLifetime, assertion.MaxLifetime}
)

const day = 24 * time.Hour

// Bounds are the least and the most that a setting can be.
type Bounds[T int | time.Duration] struct{ Least, Most T }

// Check returns an error that names the setting if the value is not within.
func (b Bounds[T]) Check(setting string, value T) error {
	if value < b.Least || value > b.Most {
		return fmt.Errorf("%s: must be %s to %s, not %s", setting, shortText(b.Least), shortText(b.Most), shortText(value))
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
