package gateway

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider"
)

// L4: hammering WeChat makes an exhausted quota worse.
func TestBreakerPausesCallsOfOneApp(t *testing.T) {
	for name, tc := range map[string]struct {
		fault    error
		failures int
		pause    time.Duration
		wantOpen bool
	}{
		"quota at once":        {provider.ErrQuota, 1, quotaPause, true},
		"busy five times":      {provider.ErrUnavailable, failuresToOpen, minPause, true},
		"timeouts five times":  {provider.ErrTimeout, failuresToOpen, minPause, true},
		"busy four times":      {provider.ErrUnavailable, failuresToOpen - 1, 0, false},
		"one user's limit":     {provider.ErrRateLimited, 50, 0, false},
		"rejected codes":       {provider.ErrCodeRejected, 50, 0, false},
		"unusable answers":     {provider.ErrBadAnswer, 50, 0, false},
		"a wrong secret stays": {provider.ErrMisconfigured, 50, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.wechat.answer = func(account provider.Account, _ string) (provider.User, error) {
					if account.ID == appB {
						return provider.User{OpenID: openID}, nil
					}
					return provider.User{}, tc.fault
				}
				n := 0
				try := func() error {
					n++
					_, err := w.Login(t.Context(), LoginRequest{Code: fmt.Sprint("code", n)}, sites)
					return err
				}
				for range tc.failures {
					if err := try(); !errors.Is(err, tc.fault) {
						t.Fatalf("got %v, want %v", err, tc.fault)
					}
				}
				calls := w.wechat.calls.Load()
				err := try()
				if got := errors.Is(err, ErrPaused); got != tc.wantOpen {
					t.Fatalf("paused %v: %v", got, err)
				}
				if !tc.wantOpen {
					return
				}
				if got := w.wechat.calls.Load(); got != calls {
					t.Error("WeChat was called during the pause")
				}
				if retry, ok := errors.AsType[*RetryError](err); !ok || retry.After > tc.pause {
					t.Errorf("retry after %+v, want at most %s", retry, tc.pause)
				}
				if _, err := w.Login(t.Context(), LoginRequest{Code: "b", AppID: appB}, Apps{appA, appB}); err != nil {
					t.Errorf("another app suffers: %v", err)
				}
				time.Sleep(tc.pause + time.Millisecond)
				if err := try(); !errors.Is(err, tc.fault) {
					t.Errorf("no probe after the pause: %v", err)
				}
				if err := try(); !errors.Is(err, ErrPaused) {
					t.Errorf("not paused after a failed probe: %v", err)
				}
				w.wechat.answer = nil
				time.Sleep(2*quotaPause + time.Millisecond)
				for range 3 {
					if err := try(); err != nil {
						t.Errorf("not closed after a good probe: %v", err)
					}
				}
			})
		})
	}
}

func TestPausesGrowAndTheCodeStaysGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.State.gate(appA).breaker
		for range failuresToOpen {
			done, err := b.allow()
			if err != nil {
				t.Fatal(err)
			}
			done(provider.ErrTimeout)
		}
		for want := minPause; want < maxPause; want *= 2 {
			if s := b.state(); s.State != BreakerOpen || time.Until(s.Until) != want || !errors.Is(s.Cause, provider.ErrTimeout) ||
				!s.Failed.Equal(time.Now()) {
				t.Fatalf("pause of %s: %+v", want, s)
			}
			if _, err := b.allow(); !errors.Is(err, ErrPaused) {
				t.Fatalf("pause of %s: %v", want, err)
			}
			time.Sleep(want - time.Millisecond)
			if _, err := b.allow(); !errors.Is(err, ErrPaused) {
				t.Fatalf("pause of %s is over early", want)
			}
			time.Sleep(2 * time.Millisecond)
			done, err := b.allow()
			if err != nil {
				t.Fatalf("pause of %s is too long: %v", want, err)
			}
			done(provider.ErrTimeout)
		}
		// The client's code never left, so it may be tried again.
		if _, err := w.Login(t.Context(), LoginRequest{Code: "code"}, sites); !errors.Is(err, ErrPaused) {
			t.Fatal(err)
		}
		time.Sleep(2 * maxPause)
		w.login(t, "code")
	})
}

// Somebody who knows that WeChat is well need not wait, and operators read why calls
// were suspended and for how long.
func TestBreakersSayWhyAndCanBeReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes changesOfBreakers
		w := newWorld(t, func(c *Config) { c.Observer = &changes })
		w.wechat.answer = func(provider.Account, string) (provider.User, error) {
			return provider.User{}, fmt.Errorf("%w: errcode 45009", provider.ErrQuota)
		}
		if _, err := w.Login(t.Context(), LoginRequest{Code: "code"}, sites); !errors.Is(err, provider.ErrQuota) {
			t.Fatal(err)
		}
		w.wechat.answer = nil
		time.Sleep(time.Minute)
		if s := w.Breaker(appA); s.State != BreakerOpen || !errors.Is(s.Cause, provider.ErrQuota) || time.Since(s.Failed) != time.Minute {
			t.Errorf("state %+v", s)
		}
		w.ResetBreakers()
		w.ResetBreakers() // changes nothing more
		if s := w.Breaker(appA); s != (BreakerState{State: BreakerClosed}) {
			t.Errorf("after the reset %+v", s)
		}
		w.login(t, "other")
		if len(changes.seen) != 2 {
			t.Fatalf("changes %+v", changes.seen)
		}
		if c := changes.seen[0]; !c.Open || !errors.Is(c.Cause, provider.ErrQuota) || time.Until(c.Until) != quotaPause-time.Minute {
			t.Errorf("opening: %+v", c)
		}
		if c := changes.seen[1]; c.Open || c.Cause != nil || c.Lasted != time.Minute {
			t.Errorf("closing: %+v", c)
		}
	})
}

// changesOfBreakers is an Observer of nothing else.
type changesOfBreakers struct {
	nobody
	seen []BreakerChange
}

func (c *changesOfBreakers) BreakerChanged(_ string, change BreakerChange) {
	c.seen = append(c.seen, change)
}
