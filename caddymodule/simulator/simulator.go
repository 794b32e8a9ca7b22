// Package simulator is the handler http.handlers.wechat_simulator: a simulated
// WeChat, for trying a gateway without a WeChat account. It is not part of
// production builds and answers loopback clients only.
package simulator

import (
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/gateway/internal/simulator"
)

func init() {
	caddy.RegisterModule(Simulator{})
	httpcaddyfile.RegisterHandlerDirective("wechat_simulator", parse)
	httpcaddyfile.RegisterDirectiveOrder("wechat_simulator", httpcaddyfile.Before, "respond")
}

// Simulator plays WeChat's server API, as far as the gateway calls it, on
// `/sns/jscode2session`, `/cgi-bin/stable_token` and
// `/cgi-bin/message/custom/send`. What users do in a Mini Program is played by
// `POST /simulator/code?user=alice`, which answers with a login code. The
// routes `/simulator/users`, `/simulator/answer` and `/simulator/state` add
// users, make WeChat answer with an errcode and show what was called.
//
// Only clients on this machine are answered. Codes and users survive changes of
// the configuration.
type Simulator struct {
	// The AppIDs that are accepted, each with its AppSecret.
	// Default: every AppID of `wx` and 16 hex digits, with any secret
	Apps map[string]string `json:"app,omitempty"`

	server *simulator.Server
}

// CaddyModule returns the Caddy module information.
func (Simulator) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.wechat_simulator", New: func() caddy.Module { return new(Simulator) }}
}

var pool = caddy.NewUsagePool()

const poolKey = "simulator"

type pooled struct{ *simulator.Server }

func (pooled) Destruct() error { return nil }

// Provision joins the simulator of this process.
func (s *Simulator) Provision(caddy.Context) error {
	value, _, err := pool.LoadOrNew(poolKey, func() (caddy.Destructor, error) { return pooled{simulator.New()}, nil })
	if err != nil {
		return fmt.Errorf("opening simulator: %w", err)
	}
	s.server = value.(pooled).Server
	s.server.SetApps(s.Apps)
	return nil
}

// Cleanup leaves the simulator.
func (s *Simulator) Cleanup() error {
	if s.server == nil {
		return nil
	}
	_, err := pool.Delete(poolKey)
	return err
}

// ServeHTTP answers clients on this machine.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	if !isLocal(r) {
		return caddyhttp.Error(http.StatusForbidden, fmt.Errorf("the simulator answers clients on this machine only"))
	}
	s.server.ServeHTTP(w, r)
	return nil
}

// isLocal reports whether both ends say that this is this machine talking to
// itself. The peer's address alone is not enough: a web page that has its name
// resolved to 127.0.0.1 would get in (DNS rebinding), and so would a form on
// any page.
func isLocal(r *http.Request) bool {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || !isLoopback(peer) {
		return false
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	if !isLoopback(strings.Trim(host, "[]")) {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return false
	}
	origin := r.Header.Get("Origin")
	return origin == "" || origin == "http://"+r.Host || origin == "https://"+r.Host
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func parse(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	s := new(Simulator)
	return s, s.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from its directive:
//
//	wechat_simulator {
//		app <appid> <secret>
//	}
//
// `app` can be repeated.
func (s *Simulator) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		return d.ArgErr()
	}
	for d.NextBlock(0) {
		if d.Val() != "app" {
			return d.Errf("wechat_simulator: unrecognized option %q", d.Val())
		}
		args := d.RemainingArgs()
		if len(args) != 2 || args[0] == "" || args[1] == "" {
			return d.Err("app: needs an AppID and a secret")
		}
		if _, taken := s.Apps[args[0]]; taken {
			return d.Errf("app %s is given twice", args[0])
		}
		if s.Apps == nil {
			s.Apps = make(map[string]string)
		}
		s.Apps[args[0]] = args[1]
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Simulator)(nil)
	_ caddy.CleanerUpper          = (*Simulator)(nil)
	_ caddyhttp.MiddlewareHandler = (*Simulator)(nil)
	_ caddyfile.Unmarshaler       = (*Simulator)(nil)
)
