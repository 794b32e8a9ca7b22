package wechatapp

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

// health remembers for a moment whether store and keys are well, so that health
// checks, however many, do not load the store.
type health struct {
	askStore func(context.Context) error
	storage  *storageWatch // nil if the storage is not needed

	mu      sync.Mutex
	checked time.Time
	state   Health
	keysErr error
	asking  chan struct{} // closed when the store has answered; nil while no request is under way
}

// Health is what keeps the gateway from serving; nil where all is well.
type Health struct{ Store, Keys, Storage error }

// Ready is about requests, which need no storage while the gateway runs.
func (s Health) Ready() bool { return s.Store == nil && s.Keys == nil }

const (
	healthAge  = time.Second
	healthTime = 3 * time.Second
)

// check finds out whether requests can be served. A store that takes longer than
// healthTime is not well; its own timeout may be longer.
func (h *health) check(ctx context.Context) Health {
	state := h.serving(ctx)
	state.Storage = h.storage.state() // it is known already
	return state
}

func (h *health) serving(ctx context.Context) Health {
	h.mu.Lock()
	if time.Since(h.checked) < healthAge {
		defer h.mu.Unlock()
		return h.state
	}
	if h.asking == nil {
		h.asking = make(chan struct{})
		go h.ask(context.WithoutCancel(ctx), h.asking) // a client that leaves is no failure
	}
	answered := h.asking
	h.mu.Unlock()

	wait, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	select {
	case <-answered:
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.state
	case <-wait.Done():
		return Health{Store: fmt.Errorf("%w: no answer within %s", session.ErrUnavailable, healthTime)}
	}
}

// ask asks the store. Only one goroutine asks at a time.
func (h *health) ask(ctx context.Context, answered chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	err := h.askStore(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state, h.checked, h.asking = Health{Store: err, Keys: h.keysErr}, time.Now(), nil
	close(answered)
}

// keysRefreshed records whether the signing keys could be read.
func (h *health) keysRefreshed(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keysErr = err
	h.checked = time.Time{}
}
