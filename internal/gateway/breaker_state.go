package gateway

import "time"

// BreakerChange is what the outcome of a call did to a breaker.
type BreakerChange struct {
	// Open says that calls are suspended from now on; otherwise not any more.
	Open bool
	// Cause is why a breaker opens, Until when the next call is tried.
	Cause error
	Until time.Time
	// Lasted is how long one was open that closes.
	Lasted time.Duration
}

// BreakerState is how a breaker is.
type BreakerState struct {
	// State is BreakerClosed, BreakerOpen or BreakerHalfOpen.
	State string
	// Until is when the pause of an open one ends.
	Until time.Time
	// Cause is the last failure while the breaker is not closed, Failed its time.
	Cause  error
	Failed time.Time
}

// States of a breaker, as gobreaker names them.
const (
	BreakerClosed   = "closed"
	BreakerOpen     = "open"
	BreakerHalfOpen = "half-open"
)
