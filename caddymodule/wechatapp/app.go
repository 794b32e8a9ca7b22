package wechatapp

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
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
