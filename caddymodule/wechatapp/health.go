package wechatapp

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(MatchReady{})
}

// health remembers for a moment whether store and keys are well, so that health
// checks, however many, do not load the store.
type health struct {
	app *App

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
	defer func() { state.Storage = h.app.storage.state() }() // it is known already
	if time.Since(h.checked) < healthAge {
		return h.state
	}
	// Not the context of whoever asks: a client that leaves is no failure.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTime)
	defer cancel()
	h.state = Health{Store: h.app.Store().Sessions().Check(ctx), Keys: h.keysErr}
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

// MatchReady matches when the gateway can serve logged-in users: the session
// store can be read and written, and the signing keys are there. It is for
// health checks of load balancers:
//
//	@ready {
//		path /healthz
//		wechat_ready
//	}
//	respond @ready ok
//	respond /healthz "not ready" 503
//
// The state is looked at once a second at most.
type MatchReady struct {
	app *App
}

// CaddyModule returns the Caddy module information.
func (MatchReady) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.wechat_ready", New: func() caddy.Module { return new(MatchReady) }}
}

// Provision finds the app.
func (m *MatchReady) Provision(ctx caddy.Context) (err error) {
	m.app, err = Of(ctx)
	return err
}

// MatchWithError reports whether the gateway is ready.
func (m *MatchReady) MatchWithError(r *http.Request) (bool, error) {
	return m.app.Health(r.Context()).Ready(), nil
}

// UnmarshalCaddyfile sets up the matcher, which takes no arguments.
func (m *MatchReady) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		if d.NextArg() {
			return d.ArgErr()
		}
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner                 = (*MatchReady)(nil)
	_ caddyhttp.RequestMatcherWithError = (*MatchReady)(nil)
	_ caddyfile.Unmarshaler             = (*MatchReady)(nil)
)
