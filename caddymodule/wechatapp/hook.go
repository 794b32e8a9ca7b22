package wechatapp

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/loginhook"
)

// LoginHook asks the application once per login, after WeChat has said who the user
// is and before the session exists. It is a `POST` with the JSON body `{"appid", "kind",
// "openid", "unionid", "client_ip", "scope"}` and the header `X-WeChat-Signature:
// t=<unix>,v1=<hex HMAC-SHA-256 of "t.body">`.
//
// 204, or 200 with `{}`, lets the user in. 200 with `{"user_id": "42"}` gives the user the
// application's own name, which requests carry in `X-WeChat-User-ID` from then on, in all
// sessions of the user. 403, which can have `{"message": "…"}` for the user, keeps the user
// out.
type LoginHook struct {
	// Where to post to: https, or http on a loopback address. `api_proxy` is not used.
	URL string `json:"url,omitempty"`

	// The text that signs the requests, at least 32 characters (`openssl rand -hex 32`), as a
	// placeholder such as `{env.X}` or `{file./path}`.
	Secret string `json:"secret,omitempty"`

	// How long the application may take to answer. Users wait that long for a login at most,
	// in addition to WeChat's own time.
	// Default: `2s`
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// What becomes of a login that the hook cannot judge, because it is down, late or answers
	// something else. `deny`: it fails with `login_hook_failed`. `allow`: the user comes in under
	// the name that is known.
	// Default: `deny`
	OnFailure string `json:"on_failure,omitempty"`
}

const (
	onFailureDeny  = "deny"
	onFailureAllow = "allow"
)

// AllowsOnFailure reports whether a user comes in whom the hook cannot judge.
func (h *LoginHook) AllowsOnFailure() bool { return h.OnFailure == onFailureAllow }

// Open checks the settings and returns the hook, which is called by nobody yet.
func (h *LoginHook) Open() (*loginhook.Hook, error) {
	option.SetDefault(&h.Timeout, caddy.Duration(loginhook.DefaultTimeout))
	option.SetDefault(&h.OnFailure, onFailureDeny)
	if err := option.HookTimeoutBounds.Check("timeout", time.Duration(h.Timeout)); err != nil {
		return nil, err
	}
	if h.OnFailure != onFailureDeny && h.OnFailure != onFailureAllow {
		return nil, fmt.Errorf("on_failure: must be %s or %s, not %q", onFailureDeny, onFailureAllow, h.OnFailure)
	}
	if err := loginhook.CheckURL(h.URL); err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	plain, err := option.HookSecret.Resolve(h.Secret)
	if err != nil {
		return nil, fmt.Errorf("secret: %w%s", err, option.Position(option.HookSecret.Name, h.Secret))
	}
	return loginhook.New(loginhook.Options{URL: h.URL, Secret: plain, Timeout: time.Duration(h.Timeout)})
}

// unmarshalCaddyfile sets up the hook from its option:
//
//	on_login <url> {
//		secret     <key>
//		timeout    <duration>
//		on_failure deny | allow
//	}
func (h *LoginHook) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if err := option.String(d, &h.URL); err != nil {
		return err
	}
	if err := loginhook.CheckURL(h.URL); err != nil {
		return d.Errf("on_login: %v", err)
	}
	once := make(option.Once)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once.Check(d); err != nil {
			return err
		}
		var err error
		switch d.Val() {
		case "secret":
			err = option.Secret(d, option.HookSecret, &h.Secret)
		case "timeout":
			err = option.Duration(d, &h.Timeout, option.HookTimeoutBounds)
		case "on_failure":
			if err = option.String(d, &h.OnFailure); err == nil && h.OnFailure != onFailureDeny && h.OnFailure != onFailureAllow {
				err = d.Errf("on_login: on_failure must be %s or %s, not %q", onFailureDeny, onFailureAllow, h.OnFailure)
			}
		default:
			err = option.Unknown(d, "on_login", "secret", "timeout", "on_failure")
		}
		if err != nil {
			return err
		}
	}
	if h.Secret == "" {
		return d.Err("on_login: secret is missing: the application knows by it that the gateway asks")
	}
	return nil
}
