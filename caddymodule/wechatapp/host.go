package wechatapp

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/gateway/internal/credential"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/keyring"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
	"github.com/caddy-wechat/gateway/internal/relay"
)

// This file is what other rooms ask a provisioned app for.

// Of returns the app that a site's modules need.
func Of(ctx caddy.Context) (*App, error) {
	module, err := ctx.App("wechat")
	if err != nil {
		return nil, fmt.Errorf("global option wechat: %w", err)
	}
	return module.(*App), nil
}

// ReadSettings reads the settings by themselves, with their defaults. The app that it
// returns is not provisioned.
func ReadSettings(raw json.RawMessage) (*App, error) {
	a := new(App)
	if err := caddy.StrictUnmarshalJSON(raw, a); err != nil {
		return nil, err
	}
	a.setDefaults()
	return a, nil
}

// EnsureStarted takes the store into use unless that is done: Caddy starts its apps in
// no particular order, so requests may come before the app's Start.
func (a *App) EnsureStarted() { a.ensureStarted() }

// Gateway returns the use cases.
func (a *App) Gateway() *gateway.Gateway { return a.gateway }

// Record returns what is told what happens.
func (a *App) Record() *Record { return a.record }

// Keys returns the keys that sign tokens.
func (a *App) Keys() *keyring.Ring { return a.keys }

// Store returns the open store; nil before it was opened.
func (a *App) Store() Store { return a.store }

// AppIDs lists the configured accounts, in their order.
func (a *App) AppIDs() []string { return a.order }

// Account returns a configured account.
func (a *App) Account(appID string) (provider.Account, bool) {
	account, found := a.accounts[appID]
	return account, found
}

// Redirecter returns the provider of a kind of accounts if their logins begin in a
// browser. Clients of all others post their codes.
func (a *App) Redirecter(kind provider.Kind) (provider.Redirecter, bool) {
	return a.providers.redirecter(kind)
}

// WeChat returns the client of WeChat's API.
func (a *App) WeChat() *wechat.Client { return a.client }

// Buffers returns the buffers that relays of this process share.
func (a *App) Buffers() *relay.Buffers { return a.state.buffers }

// TokenOwner returns who fetches and renews the access_token of an account; nil for
// unknown ones.
func (a *App) TokenOwner(appID string) *credential.Owner { return a.tokenOwners()[appID] }

// Health finds out whether requests can be served.
func (a *App) Health(ctx context.Context) Health { return a.health.check(ctx) }

// ProbeStorage writes to Caddy's storage now, as is done every now and then, and says
// in the log and in [App.Health] if that fails.
func (a *App) ProbeStorage(ctx context.Context) {
	if a.storage != nil {
		a.storage.probe(ctx)
	}
}

// OpenStreams is how many answers of this process are watched.
func (a *App) OpenStreams() int { return a.state.OpenStreams() }

// Live says how many sessions are live, negative if the store cannot tell, and the
// state of the worst breaker: closed, half-open or open. It is for the playground of
// the simulator.
func (a *App) Live(ctx context.Context) (sessions int, breaker string) {
	breaker = gateway.BreakerClosed
	found := true
	for _, id := range a.order {
		count, err := a.store.Sessions().Count(ctx, id)
		found = found && err == nil
		sessions += count.Sessions
		switch state := a.gateway.Breaker(id).State; {
		case state == gateway.BreakerOpen, breaker == gateway.BreakerClosed:
			breaker = state
		}
	}
	if !found {
		return -1, breaker
	}
	return sessions, breaker
}

// ResetBreakers makes the gateway ask WeChat again at once, in all apps. It is for
// a simulated WeChat in the same process, which knows that it is well.
func (a *App) ResetBreakers() { a.gateway.ResetBreakers() }
