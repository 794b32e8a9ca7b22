package wechatapp

import (
	"context"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/internal/session"
)

// Store is a module of the namespace wechat.stores.
type Store interface {
	caddy.Module
	// Open opens the store, which Cleanup closes.
	Open(StoreEnv) error
	// Sessions returns the open store.
	Sessions() session.Backend
	// Start is called when the configuration is taken into use, Tend every
	// minute from then on.
	Start()
	Tend()
	// Grace is how old a token may be to pass while the store cannot tell.
	Grace() time.Duration
	// KeepsInStorage reports whether sessions are written to Caddy's storage.
	KeepsInStorage() bool
	// Probe finds out whether the open store can be written to, and leaves nothing
	// behind.
	Probe(context.Context) error
}

// StoreEnv is what a store gets from the app.
type StoreEnv struct {
	Context caddy.Context
	Storage certmagic.Storage
	// Key returns a key for data at rest that stays the same through rotations.
	Key    func(purpose string) []byte
	Logger *zap.Logger
}
