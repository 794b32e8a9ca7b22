package wechatapp

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

// A store that hangs longer than a health check may take keeps nobody waiting for it,
// and is asked once at a time.
func TestHealthOfAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, hangs atomic.Int64
		hangs.Store(int64(time.Minute))
		h := &health{
			askStore: func(context.Context) error { asked.Add(1); time.Sleep(time.Duration(hangs.Load())); return nil },
		}
		for range 3 {
			start := time.Now()
			if state := h.check(t.Context()); !errors.Is(state.Store, session.ErrUnavailable) || state.Ready() {
				t.Errorf("%+v", state)
			}
			if took := time.Since(start); took > healthTime {
				t.Errorf("it took %s", took)
			}
		}
		left, leave := context.WithCancel(t.Context())
		leave()
		if start := time.Now(); h.check(left).Ready() || time.Since(start) > 0 {
			t.Error("who has left waits")
		}
		if asked.Load() != 1 {
			t.Errorf("asked %d times at once", asked.Load())
		}
		time.Sleep(time.Minute)
		hangs.Store(0)
		if state := h.check(t.Context()); state.Store != nil || !state.Ready() || asked.Load() != 2 {
			t.Errorf("afterwards %+v, asked %d times", state, asked.Load())
		}
		for range 10 {
			h.check(t.Context())
		}
		if asked.Load() != 2 {
			t.Errorf("asked %d times in one second", asked.Load())
		}
	})
}
