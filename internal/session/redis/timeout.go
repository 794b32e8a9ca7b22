package redis

import (
	"context"
	"sync"
	"time"
)

// lazyTimeout is a context with a timeout that costs nothing until somebody waits
// for its end. A check that is answered from memory never does, and a timer and a
// child of the request's context would be most of what it costs.
type lazyTimeout struct {
	context.Context //nolint:containedctx // it is one
	deadline        time.Time

	once   sync.Once
	waited context.Context //nolint:containedctx // made on demand
	cancel context.CancelFunc
}

// withLazyTimeout is context.WithTimeout for calls that hardly ever wait. end has
// to be called when the call is over, by the goroutine that made it.
func withLazyTimeout(ctx context.Context, timeout time.Duration) *lazyTimeout {
	return &lazyTimeout{Context: ctx, deadline: time.Now().Add(timeout)}
}

// Deadline implements context.Context.
func (l *lazyTimeout) Deadline() (time.Time, bool) {
	if earlier, ok := l.Context.Deadline(); ok && earlier.Before(l.deadline) {
		return earlier, true
	}
	return l.deadline, true
}

// Done implements context.Context.
func (l *lazyTimeout) Done() <-chan struct{} { return l.wait().Done() }

// Err implements context.Context.
func (l *lazyTimeout) Err() error {
	if err := l.Context.Err(); err != nil {
		return err
	}
	if !time.Now().Before(l.deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

func (l *lazyTimeout) wait() context.Context {
	l.once.Do(func() { l.waited, l.cancel = context.WithDeadline(l.Context, l.deadline) })
	return l.waited
}

// end releases the timer, if there is one.
func (l *lazyTimeout) end() {
	l.once.Do(func() {})
	if l.cancel != nil {
		l.cancel()
	}
}
