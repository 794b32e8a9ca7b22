package wechatapp

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/provider/transport"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
)

// Defaults of the settings.
const (
	defaultTokenLifetime = 2 * time.Hour
	defaultMaxLifetime   = 30 * 24 * time.Hour
	defaultMaxPerUser    = 5
	defaultKeyRotation   = 30 * 24 * time.Hour
	defaultAttempts      = 300
	defaultWindow        = time.Minute
)

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

// check validates the settings that depend on nothing else.
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

// check also validates what is off: it may be switched on by mistake.
func (l *LoginLimit) check() error {
	if err := cmp.Or(option.AttemptsBounds.Check("login_limit", l.Attempts), option.WindowBounds.Check("login_limit: window", time.Duration(l.Window))); err != nil {
		return fmt.Errorf("%w; `off` switches the limit off", err)
	}
	return nil
}

func (l *LoginLimit) limit() gateway.Limit {
	if l.Off {
		return gateway.Limit{}
	}
	return gateway.Limit{Events: l.Attempts, Window: time.Duration(l.Window)}
}
