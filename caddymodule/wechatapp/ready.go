package wechatapp

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
)

func init() {
	caddy.RegisterModule(MatchReady{})
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
// The state is checked once a second at most.
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
		if err := option.NoArgument(d); err != nil {
			return err
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
