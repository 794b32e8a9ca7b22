package wechatapp

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/provider/transport"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
)

// Provision fills in defaults, resolves secrets and opens keys and store.
func (a *App) Provision(ctx caddy.Context) error {
	err := a.provision(ctx)
	inspectionOf(ctx).provisioned(a, err)
	return err
}

func (a *App) provision(ctx caddy.Context) error {
	a.ctx = ctx
	a.ensureStarted = sync.OnceFunc(a.startStore)
	a.logger = ctx.Logger()
	option.KeepPositionsOf(a)
	a.setDefaults()
	if err := a.check(); err != nil {
		return err
	}
	if err := a.resolveApps(); err != nil {
		return err
	}
	client, err := a.NewClient()
	if err != nil {
		return err
	}
	a.client = client
	option.APIProxy.WarnIfWrittenOut(a.logger, a.APIProxy)
	if a.keys, err = a.openKeys(); err != nil {
		return &KeysError{err}
	}
	if err := a.openStore(ctx); err != nil {
		return &StoreError{err}
	}
	if a.state, err = acquireState(); err != nil {
		return err
	}
	if a.record, err = newRecord(ctx, a.order, a.kinds()); err != nil {
		return err
	}
	a.assertions = new(assertionKeys)
	a.browserSites = new(browserSites)
	a.prepared = sync.OnceValue(func() error { return runHooks(beforeStart, ctx) })
	a.storage = a.newStorageWatch()
	a.health = &health{
		askStore: func(ctx context.Context) error { return a.store.Sessions().Check(ctx) },
		storage:  a.storage,
	}
	a.providers = newProviders(a.client, a.AuthorizeBase, a.accounts, a.record.metrics)
	hook, err := a.openHook()
	if err != nil {
		return err
	}
	a.gateway = gateway.New(gateway.Config{
		Hook:            hook,
		ExchangeTimeout: time.Duration(a.APITimeout),
		Accounts:        a.accounts,
		TokenLifetime:   time.Duration(a.Session.TokenLifetime),
		MaxLifetime:     time.Duration(a.Session.MaxLifetime),
		MaxPerUser:      a.Session.MaxPerUser,
		LoginLimit:      a.LoginLimit.limit(),
		Grace:           a.store.Grace(),
		Provider:        a.providers,
		UnionIDs:        followers{a.client, a.tokenOwners(), time.Duration(a.APITimeout), a.record.metrics},
		Codes:           pictures{a.client, a.tokenOwners(), time.Duration(a.APITimeout), a.record.metrics},
		Store:           a.store.Sessions(),
		Keys:            a.keys.Current,
		State:           a.state.State,
		Observer:        a.record,
	})
	if err := ctx.GetMetricsRegistry().Register(newGauges(a)); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	if a.logger.Core().Enabled(zapcore.DebugLevel) {
		a.logger.Warn("debug logs of Caddy's reverse_proxy show the identity headers in clear; filter them or log at INFO in production")
	}
	return runHooks(afterProvision, ctx)
}

// openStore opens the configured store, or one in memory.
func (a *App) openStore(ctx caddy.Context) error {
	if a.StoreRaw == nil {
		a.StoreRaw = json.RawMessage(`{"module":"memory"}`)
	}
	module, err := ctx.LoadModule(a, "StoreRaw")
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	store, ok := module.(Store)
	if !ok {
		return fmt.Errorf("store: module %T is not a session store", module)
	}
	a.store = store
	if err := store.Open(StoreEnv{ctx, ctx.Storage(), a.keys.StoreKey, a.logger}); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// newStorageWatch returns nil if nothing is ever written to the storage.
func (a *App) newStorageWatch() *storageWatch {
	if !a.store.KeepsInStorage() && len(a.SigningKeys) > 0 {
		return nil
	}
	return &storageWatch{storage: a.ctx.Storage(), logger: a.logger}
}

// openHook returns the configured hook; without one, one that asks nobody.
func (a *App) openHook() (gateway.Hook, error) {
	if a.OnLogin == nil {
		return gateway.Hook{}, nil
	}
	hook, err := a.OnLogin.Open()
	if err != nil {
		return gateway.Hook{}, fmt.Errorf("on_login: %w", err)
	}
	option.HookSecret.WarnIfWrittenOut(a.logger, a.OnLogin.Secret)
	a.hook = hook
	return gateway.Hook{LoginHook: hook, AllowOnFailure: a.OnLogin.AllowsOnFailure()}, nil
}

// NewClient returns a client of WeChat as the settings have it.
func (a *App) NewClient() (*wechat.Client, error) {
	options := transport.Options{Bases: a.API, Timeout: time.Duration(a.APITimeout)}
	if a.APIProxy != "" {
		proxy, err := option.APIProxy.Resolve(a.APIProxy)
		if err != nil {
			return nil, fmt.Errorf("api_proxy: %w%s", err, option.Position("api_proxy", a.APIProxy))
		}
		options.Proxy = proxy.Reveal()
	}
	return wechat.New(options)
}

// Interface guards
var (
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.App          = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
