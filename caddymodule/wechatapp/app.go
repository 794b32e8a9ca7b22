package wechatapp

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/provider/transport"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
)

func init() {
	caddy.RegisterModule(App{})
}

// App is what all sites of a process share: the accounts and their
// secrets, the connection to WeChat, the sessions and the keys that sign
// tokens. Sites use it through the `wechat_auth` handler.
type App struct {
	// The accounts whose users can log in.
	Apps []*Account `json:"app,omitempty"`

	// How long logins last.
	Session *SessionSettings `json:"session,omitempty"`

	// Keys that sign tokens, each the base64 of at least 32 random bytes
	// (`openssl rand -base64 32`) or a placeholder for it such as `{env.X}` or
	// `{file./path}`. The first signs, all of them verify: put a new key in front,
	// and drop the old one when its tokens are over. Nodes that share a store but
	// not Caddy's storage need the same keys here. By default one key is made,
	// kept in Caddy's storage and rotated.
	SigningKeys []string `json:"signing_key,omitempty"`

	// The age at which the key in Caddy's storage is replaced by a new one, `1h` to
	// `3650d`. The old key verifies until its last token is over. Has no effect with
	// `signing_key`.
	// Default: `30d`
	KeyRotation caddy.Duration `json:"key_rotation,omitempty"`

	// Where sessions live: a module of the namespace `wechat.stores`.
	// Default: `memory`
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=wechat.stores inline_key=module"`

	// The base URLs of WeChat's server API, in the order in which they are
	// tried. The next one is used only when a connection cannot be made, because
	// a login code works once. Plain http is accepted for loopback only.
	// Default: `https://api.weixin.qq.com https://api2.weixin.qq.com`
	API []string `json:"api,omitempty"`

	// How long WeChat may take to answer, connecting included; at most `2m`.
	// Default: `5s`
	APITimeout caddy.Duration `json:"api_timeout,omitempty"`

	// The URL of an http, https or socks5 proxy for calls of WeChat, for when
	// WeChat's IP whitelist asks for a fixed address. The proxy variables of the
	// environment are ignored. A password belongs into a placeholder: either the
	// whole URL, `{env.WECHAT_PROXY}`, or the password in it, percent-encoded.
	// Default: none
	APIProxy string `json:"api_proxy,omitempty"`

	// Where browsers log in, as scheme://host[:port]. Plain http is accepted for
	// loopback only, for a simulator.
	// Default: `https://open.weixin.qq.com`
	AuthorizeBase string `json:"authorize_base,omitempty"`

	// How many logins one client address may try. Generous by default, because
	// whole towns share one mobile carrier's address. IPv6 clients are counted
	// by their /64.
	LoginLimit *LoginLimit `json:"login_limit,omitempty"`

	// Asks the application whether a user may come in, and for its own name of the
	// user.
	// Default: none; whoever WeChat vouches for comes in
	OnLogin *LoginHook `json:"on_login,omitempty"`

	runtime
}

// CaddyModule returns the Caddy module information.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "wechat", New: func() caddy.Module { return new(App) }}
}

// SessionSettings say how long logins last.
type SessionSettings struct {
	// How long one token is good. Clients renew it, or log in again, which users
	// do not notice. A longer time means a stolen token works longer.
	// Default: `2h`
	TokenLifetime caddy.Duration `json:"token_lifetime,omitempty"`

	// How long a session can be renewed before the Mini Program logs in again.
	// At least `token_lifetime`, at most `3650d`.
	// Default: `30d`
	MaxLifetime caddy.Duration `json:"max_lifetime,omitempty"`

	// How many sessions (devices) a user of an app can have at once, 1 to 1000.
	// With one more, the oldest ends.
	// Default: 5
	MaxPerUser int `json:"max_per_user,omitempty"`
}

// LoginLimit is a number of login attempts per time and client address.
type LoginLimit struct {
	// No limit.
	Off bool `json:"off,omitempty"`

	// How many attempts are allowed per window, 1 to 1000000; all may come at once.
	// Default: 300
	Attempts int `json:"attempts,omitempty"`

	// The window, `1s` to `30d`.
	// Default: `1m`
	Window caddy.Duration `json:"window,omitempty"`
}

// Defaults of the settings above.
const (
	defaultTokenLifetime = 2 * time.Hour
	defaultMaxLifetime   = 30 * 24 * time.Hour
	defaultMaxPerUser    = 5
	defaultKeyRotation   = 30 * 24 * time.Hour
	defaultAttempts      = 300
	defaultWindow        = time.Minute
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
	a.health = &health{app: a}
	a.storage = a.newStorageWatch()
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

func (a *App) setDefaults() {
	if a.Session == nil {
		a.Session = new(SessionSettings)
	}
	a.Session.setDefaults()
	option.SetDefault(&a.KeyRotation, caddy.Duration(defaultKeyRotation))
	option.SetDefault(&a.APITimeout, caddy.Duration(transport.DefaultTimeout))
	if len(a.API) == 0 {
		a.API = wechat.DefaultBases
	}
	option.SetDefault(&a.AuthorizeBase, wechat.DefaultAuthorizeBase)
	if a.LoginLimit == nil {
		a.LoginLimit = new(LoginLimit)
	}
	option.SetDefault(&a.LoginLimit.Attempts, defaultAttempts)
	option.SetDefault(&a.LoginLimit.Window, caddy.Duration(defaultWindow))
}

// check looks at the settings that need nothing but themselves.
func (a *App) check() error {
	if len(a.Apps) == 0 {
		return errors.New("no app configured: add `wechat { app <appid> <secret> }` to the global options")
	}
	if slices.Contains(a.Apps, nil) {
		return errors.New("app: null is not an app")
	}
	if err := a.Session.check(); err != nil {
		return err
	}
	return cmp.Or(
		option.KeyRotationBounds.Check("key_rotation", time.Duration(a.KeyRotation)),
		option.APITimeoutBounds.Check("api_timeout", time.Duration(a.APITimeout)),
		a.LoginLimit.check(),
		a.checkAuthorizeBase(),
	)
}

func (a *App) checkAuthorizeBase() error {
	if err := wechat.CheckAuthorizeBase(a.AuthorizeBase); err != nil {
		return fmt.Errorf("authorize_base: %q %w", a.AuthorizeBase, err)
	}
	return nil
}

func (s *SessionSettings) setDefaults() {
	option.SetDefault(&s.TokenLifetime, caddy.Duration(defaultTokenLifetime))
	option.SetDefault(&s.MaxLifetime, caddy.Duration(defaultMaxLifetime))
	option.SetDefault(&s.MaxPerUser, defaultMaxPerUser)
}

func (s *SessionSettings) check() error {
	err := cmp.Or(
		option.TokenLifetimeBounds.Check("session: token_lifetime", time.Duration(s.TokenLifetime)),
		option.MaxLifetimeBounds.Check("session: max_lifetime", time.Duration(s.MaxLifetime)),
		option.MaxPerUserBounds.Check("session: max_per_user", s.MaxPerUser),
	)
	if err == nil && s.TokenLifetime > s.MaxLifetime {
		return fmt.Errorf("session: token_lifetime %s is longer than max_lifetime %s; a token cannot outlive its session",
			time.Duration(s.TokenLifetime), time.Duration(s.MaxLifetime))
	}
	return err
}

// check also looks at what is off: it may be switched on by a slip.
func (l *LoginLimit) check() error {
	if err := cmp.Or(option.AttemptsBounds.Check("login_limit", l.Attempts), option.WindowBounds.Check("login_limit: window", time.Duration(l.Window))); err != nil {
		return fmt.Errorf("%w; `off` switches the limit off", err)
	}
	return nil
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

func (l *LoginLimit) limit() gateway.Limit {
	if l.Off {
		return gateway.Limit{}
	}
	return gateway.Limit{Events: l.Attempts, Window: time.Duration(l.Window)}
}

// Interface guards
var (
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.App          = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
