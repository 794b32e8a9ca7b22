package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/caddy-wechat/gateway/internal/session"
)

// flights are the logins under way, by their code or state: whoever brings one of
// them again waits for its answer. It is no singleflight.Group since that either
// keeps those who wait when their client has left or runs every login in a goroutine
// of its own, which is a fifth of what a login costs (BenchmarkCallback).
type flights struct {
	mu    sync.Mutex
	byKey map[session.CodeKey]*flight
}

// flight is one login; answered is closed when the others may be read.
type flight struct {
	answered chan struct{}
	grant    Grant
	err      error
}

func newFlights() *flights { return &flights{byKey: make(map[session.CodeKey]*flight)} }

// once runs a login, unless one with its key is under way: then it waits for the
// answer of that, and repeated is true. A waiting caller leaves with ctx. The login itself
// does not: others may wait for it, its code is spent either way, and its caller
// records it. A panic in it is an error for all of them.
func (g *Gateway) once(ctx context.Context, key session.CodeKey, login func(context.Context) (Grant, error)) (grant Grant, repeated bool, err error) {
	own, running := g.State.logins.enter(key)
	if running != nil {
		g.Observer.CodeRepeated(key.AppID)
		select {
		case <-ctx.Done():
			return Grant{}, true, ctx.Err()
		case <-running.answered:
			return running.grant, true, running.err
		}
	}
	defer g.State.logins.leave(key, own)
	own.grant, own.err = guarded(context.WithoutCancel(ctx), login)
	return own.grant, false, own.err
}

// enter returns a new flight of the caller's, or the one under way.
func (f *flights) enter(key session.CodeKey) (own, running *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if running = f.byKey[key]; running != nil {
		return nil, running
	}
	own = &flight{answered: make(chan struct{}), err: errNoAnswer}
	f.byKey[key] = own
	return own, nil
}

// leave lets those who wait read the answer.
func (f *flights) leave(key session.CodeKey, own *flight) {
	f.mu.Lock()
	delete(f.byKey, key)
	f.mu.Unlock()
	close(own.answered)
}

// errNoAnswer is what a login that never returned leaves to those who wait.
var errNoAnswer = errors.New("the login ended without an answer")

// guarded turns a panic of a login into its error, which has the kind of the value only:
// the value itself may be a code or a key.
func guarded(ctx context.Context, login func(context.Context) (Grant, error)) (grant Grant, err error) {
	defer func() {
		if p := recover(); p != nil {
			grant, err = Grant{}, fmt.Errorf("panic during login: %T", p)
		}
	}()
	return login(ctx)
}
