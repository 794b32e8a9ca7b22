package wechatapp

import (
	"context"
	"sync"
	"time"
)

// health remembers for a moment whether store and keys are well, so that health
// checks, however many, do not load the store.
type health struct {
	store   Store
	storage *storageWatch // nil if the storage is not needed

	mu      sync.Mutex
	checked time.Time
	state   Health
	keysErr error
}

// Health is what keeps the gateway from serving; nil where all is well.
type Health struct{ Store, Keys, Storage error }

// Ready is about requests, which need no storage while the gateway runs.
func (s Health) Ready() bool { return s.Store == nil && s.Keys == nil }

const (
	healthAge  = time.Second
	healthTime = 3 * time.Second
)

// check finds out whether requests can be served.
func (h *health) check(ctx context.Context) (state Health) {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer func() { state.Storage = h.storage.state() }() // it is known already
	if time.Since(h.checked) < healthAge {
		return h.state
	}
	// Not the context of whoever asks: a client that leaves is no failure.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTime)
	defer cancel()
	h.state = Health{Store: h.store.Sessions().Check(ctx), Keys: h.keysErr}
	h.checked = time.Now()
	return h.state
}

// keysRefreshed records whether the signing keys could be looked at.
func (h *health) keysRefreshed(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keysErr = err
	h.checked = time.Time{}
}
