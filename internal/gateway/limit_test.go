package gateway

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// F7: a limit that is forgotten before its window is over starts anew, and with it
// the attempts.
func TestF7LimitLastsItsWindow(t *testing.T) {
	client := netip.MustParseAddr("192.0.2.1")
	for window, pause := range map[time.Duration]time.Duration{
		time.Second: 50 * time.Millisecond, time.Minute: time.Second, 24 * time.Hour: 5 * time.Minute, 30 * 24 * time.Hour: time.Hour,
	} {
		synctest.Test(t, func(t *testing.T) {
			limits, limit := newLimits(), Limit{Events: 10, Window: window}
			allowed := func(during, pause time.Duration) (n int) {
				for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(pause) {
					if _, ok := limits.allow(client, limit); ok {
						n++
					}
				}
				return n
			}
			// All at once, and then as many again while the window passes.
			if got := allowed(window, pause); got < 19 || got > 20 {
				t.Errorf("10 per %s, asked every %s: %d", window, pause, got)
			}
			// Whoever waits for half of the window has half of it.
			time.Sleep(window / 2)
			if got := allowed(20, 1); got < 5 || got > 6 {
				t.Errorf("10 per %s, after half of it: %d", window, got)
			}
			time.Sleep(2 * window)
			if got := allowed(20, 1); got != 10 {
				t.Errorf("10 per %s, after two: %d", window, got)
			}
		})
	}
}
