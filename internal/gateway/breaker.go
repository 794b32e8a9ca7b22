package gateway

import (
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/caddy-wechat/gateway/internal/provider"
)

const (
	// failuresToOpen in a row suspend the calls; a single slow answer does not.
	failuresToOpen = 5
	// minPause doubles with each probe that fails, up to maxPause.
	minPause = time.Second
	maxPause = time.Minute
	// quotaPause follows errcode 45009. The quota comes back at midnight or when
	// the operator clears it, so asking now and then is right, and seldom enough.
	quotaPause = 10 * time.Minute
)

// breaker suspends the calls of one app: after failures in a row with a growing
// pause, after an exhausted quota at once and for long. When a pause is over
// one call probes. gobreaker is the state machine; it has no growing pause, so
// each pause is a breaker of its own.
type breaker struct {
	mu      sync.Mutex
	circuit *gobreaker.TwoStepCircuitBreaker[struct{}]
	pause   time.Duration
	until   time.Time
}

func newBreaker() *breaker { return &breaker{circuit: closedCircuit()} }

// change is what the outcome of a call did to a breaker.
type change int

const (
	unchanged change = iota
	opened
	closed
)

// allow returns the function to report the outcome of a call to, or
// ErrPaused and when to come back.
func (b *breaker) allow() (done func(error) change, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	circuit := b.circuit
	probing := circuit.State() == gobreaker.StateHalfOpen
	report, err := circuit.Allow()
	if err != nil {
		return nil, retryAfter(ErrPaused, time.Until(b.until))
	}
	return func(outcome error) change { return b.report(circuit, probing, report, outcome) }, nil
}

func (b *breaker) report(circuit *gobreaker.TwoStepCircuitBreaker[struct{}], probing bool, report func(error), outcome error) change {
	b.mu.Lock()
	defer b.mu.Unlock()
	report(outcome)
	switch {
	case circuit != b.circuit: // a call from before the last change
	case errors.Is(outcome, provider.ErrQuota):
		return b.open(quotaPause)
	case circuit.State() == gobreaker.StateOpen && probing:
		return b.open(min(2*b.pause, maxPause))
	case circuit.State() == gobreaker.StateOpen:
		return b.open(minPause)
	case circuit.State() == gobreaker.StateClosed && probing:
		b.circuit, b.pause = closedCircuit(), 0
		return closed
	}
	return unchanged
}

// open suspends calls for the pause; one after another is no change. The caller
// holds mu.
func (b *breaker) open(pause time.Duration) change {
	again := b.pause > 0
	b.pause, b.until = pause, time.Now().Add(pause)
	b.circuit = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:      pause,
		ReadyToTrip:  func(gobreaker.Counts) bool { return true },
		IsSuccessful: isHealthy,
	})
	if report, err := b.circuit.Allow(); err == nil {
		report(provider.ErrUnavailable)
	}
	if again {
		return unchanged
	}
	return opened
}

// state is "closed", "open" or "half-open", and when the pause of an open one
// ends.
func (b *breaker) state() (name string, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	name = b.circuit.State().String()
	if name == BreakerOpen {
		until = b.until
	}
	return name, until
}

func closedCircuit() *gobreaker.TwoStepCircuitBreaker[struct{}] {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:      minPause,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failuresToOpen },
		IsSuccessful: isHealthy,
	})
}

// isHealthy reports whether an outcome says that WeChat works. Refused codes
// and one user's rate limit (45011) say nothing against it.
func isHealthy(outcome error) bool {
	return !errors.Is(outcome, provider.ErrUnavailable) && !errors.Is(outcome, provider.ErrTimeout) &&
		!errors.Is(outcome, provider.ErrQuota) && !errors.Is(outcome, errPanicked)
}
