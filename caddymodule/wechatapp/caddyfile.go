package wechatapp

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/provider/transport"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("wechat", parseApp)
}

func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		return nil, d.Err("the global option wechat may only be given once")
	}
	option.ForgetPositions()
	app := new(App)
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	option.RememberPositionsOf(app)
	return httpcaddyfile.App{Name: "wechat", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile sets up the app from the global option:
//
//	wechat {
//		app <appid> <secret> [mini_program | official_account | website | mobile] {
//			unionid followers
//		}
//		session {
//			token_lifetime <duration>
//			max_lifetime   <duration>
//			max_per_user   <number>
//		}
//		signing_key  <key>...
//		key_rotation <duration>
//		store <module> ...
//		api <base-url>...
//		api_timeout <duration>
//		api_proxy   <url>
//		authorize_base <base-url>
//		login_limit <attempts> <window> | off
//		on_login    <url> {
//			secret     <key>
//			timeout    <duration>
//			on_failure deny | allow
//		}
//	}
//
// Only `app` can be repeated.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the option's name
	if err := option.NoArgument(d); err != nil {
		return err
	}
	once := make(option.Once)
	for d.NextBlock(0) {
		name := d.Val()
		if name != "app" {
			if err := once.Check(d); err != nil {
				return err
			}
		}
		if err := a.unmarshalOption(d, name); err != nil {
			return err
		}
	}
	if len(a.Apps) == 0 {
		return d.Err("wechat: no app configured: add `app <appid> <secret>`")
	}
	return nil
}

func (a *App) unmarshalOption(d *caddyfile.Dispenser, name string) error {
	switch name {
	case "app":
		return a.unmarshalAccount(d)
	case "session":
		a.Session = new(SessionSettings)
		return a.Session.unmarshalCaddyfile(d)
	case "signing_key":
		return a.unmarshalSigningKeys(d)
	case "key_rotation":
		return option.Duration(d, &a.KeyRotation, option.KeyRotationBounds)
	case "store":
		return a.unmarshalStore(d)
	case "api":
		return a.unmarshalAPI(d)
	case "api_timeout":
		return option.Duration(d, &a.APITimeout, option.APITimeoutBounds)
	case "api_proxy":
		return option.Secret(d, option.APIProxy, &a.APIProxy)
	case "authorize_base":
		if err := option.String(d, &a.AuthorizeBase); err != nil {
			return err
		}
		if err := a.checkAuthorizeBase(); err != nil {
			return d.WrapErr(err)
		}
		return nil
	case "login_limit":
		a.LoginLimit = new(LoginLimit)
		return a.LoginLimit.unmarshalCaddyfile(d)
	case "on_login":
		a.OnLogin = new(LoginHook)
		return a.OnLogin.unmarshalCaddyfile(d)
	}
	return option.Unknown(d, "wechat", "app", "session", "signing_key", "key_rotation", "store", "api", "api_timeout", "api_proxy",
		"authorize_base", "login_limit", "on_login")
}

func (s *SessionSettings) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if err := option.NoArgument(d); err != nil {
		return err
	}
	once := make(option.Once)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once.Check(d); err != nil {
			return err
		}
		var err error
		switch d.Val() {
		case "token_lifetime":
			err = option.Duration(d, &s.TokenLifetime, option.TokenLifetimeBounds)
		case "max_lifetime":
			err = option.Duration(d, &s.MaxLifetime, option.MaxLifetimeBounds)
		case "max_per_user":
			err = option.Number(d, &s.MaxPerUser, option.MaxPerUserBounds)
		default:
			err = option.Unknown(d, "session", "token_lifetime", "max_lifetime", "max_per_user")
		}
		if err != nil {
			return err
		}
	}
	complete := *s
	complete.setDefaults()
	if err := complete.check(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (a *App) unmarshalSigningKeys(d *caddyfile.Dispenser) error {
	a.SigningKeys = d.RemainingArgs()
	if len(a.SigningKeys) == 0 {
		return d.ArgErr()
	}
	for i, text := range a.SigningKeys {
		if err := option.SigningKey.CheckText(text); err != nil {
			return d.Errf("signing_key: number %d: %v", i+1, err)
		}
		option.RememberPosition(d, "signing_key", text)
	}
	return nil
}

func (a *App) unmarshalStore(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	name := d.Val()
	module, err := caddyfile.UnmarshalModule(d, "wechat.stores."+name)
	if err != nil {
		return err
	}
	a.StoreRaw = caddyconfig.JSONModuleObject(module, "module", name, nil)
	return nil
}

func (a *App) unmarshalAPI(d *caddyfile.Dispenser) error {
	a.API = d.RemainingArgs()
	if len(a.API) == 0 {
		return d.ArgErr()
	}
	for _, base := range a.API {
		if err := transport.CheckBase(base); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

func (l *LoginLimit) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 1 && args[0] == "off" {
		l.Off = true
		return nil
	}
	if len(args) != 2 {
		return d.Err("login_limit: needs a number and a window, as in 300 1m, or off")
	}
	attempts, err := strconv.Atoi(args[0])
	if err != nil {
		return d.Errf("login_limit: %q is not a number", args[0])
	}
	window, err := caddy.ParseDuration(args[1])
	if err != nil {
		return d.Errf("login_limit: %q is not a duration such as 90s, 2h or 30d", args[1])
	}
	l.Attempts, l.Window = attempts, caddy.Duration(window)
	if err := l.check(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*App)(nil)
)
