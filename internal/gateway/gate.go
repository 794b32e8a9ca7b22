package gateway

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider"
)

const (
	// maxExchanges is how many calls for one app are under way at once: at 50 ms
	// each that is 10,000 logins a second.
	maxExchanges = 512
	// maxQueued is how many more may wait for their turn, and queueTime how long.
	maxQueued = 1024
	queueTime = time.Second
)

// gate limits one account's calls of WeChat: a bounded number at a time, and
// none while the breaker is open.
type gate struct {
	turns   chan struct{}
	queued  atomic.Int32
	breaker *breaker
}

func newGate() *gate {
	return &gate{turns: make(chan struct{}, maxExchanges), breaker: newBreaker()}
}

// errNotCalled marks errors of a gate that did not let the call happen.
type errNotCalled struct{ error }

func (e errNotCalled) Unwrap() error { return e.error }

// wasNotSent reports whether err proves that WeChat has not seen the code.
func wasNotSent(err error) bool {
	var notCalled errNotCalled
	return errors.As(err, &notCalled) || errors.Is(err, provider.ErrNotSent)
}

// do calls WeChat through the gate, and says whether that opened or closed the
// breaker.
func (g *gate) do(ctx context.Context, call func() error) (change *BreakerChange, err error) {
	if err := g.acquire(ctx); err != nil {
		return nil, errNotCalled{err}
	}
	defer func() { <-g.turns }()
	done, err := g.breaker.allow()
	if err != nil {
		return nil, errNotCalled{err}
	}
	err = errPanicked // a panic counts as a failure and is not swallowed
	defer func() { change = done(err) }()
	err = call()
	return nil, err
}

func (g *gate) acquire(ctx context.Context) error {
	select {
	case g.turns <- struct{}{}:
		return nil
	default:
	}
	if g.queued.Add(1) > maxQueued {
		g.queued.Add(-1)
		return retryAfter(ErrRateLimited, queueTime)
	}
	defer g.queued.Add(-1)
	timer := time.NewTimer(queueTime)
	defer timer.Stop()
	select {
	case g.turns <- struct{}{}:
		return nil
	case <-timer.C:
		return retryAfter(ErrRateLimited, queueTime)
	case <-ctx.Done():
		return ctx.Err()
	}
}
