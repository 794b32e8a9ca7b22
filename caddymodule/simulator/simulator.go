// Package simulator is the handler http.handlers.wechat_simulator: a simulated
// WeChat, for trying a gateway without a WeChat account. It is not part of
// production builds and answers loopback clients only.
package simulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/gateway/internal/crosssite"
	"github.com/caddy-wechat/gateway/internal/loopback"
	"github.com/caddy-wechat/gateway/internal/simulator"
)

func init() {
	caddy.RegisterModule(Simulator{})
}

// Simulator plays WeChat's server API, as far as the gateway calls it, on
// `/sns/jscode2session`, `/sns/oauth2/access_token`, `/cgi-bin/stable_token`,
// `/cgi-bin/token` and `/cgi-bin/message/custom/send`, and the pages of
// open.weixin.qq.com, `/connect/oauth2/authorize` and `/connect/qrconnect`, on which
// a user is chosen and what goes wrong then. What users do in a Mini Program is played by
// `POST /simulator/code?user=alice`, which answers with a login code. The
// routes `/simulator/users`, `/simulator/answer`, `/simulator/developer-tools`,
// `/simulator/reset` and `/simulator/state` add users, make WeChat answer with an
// errcode, choose whom WeChat's developer tools log in as and show what was called.
// All of it can be done by hand on the page at `/`.
//
// The developer tools' `the code is a mock one` logs in, too, as often as it comes;
// a gateway refuses it for its spaces.
//
// Only clients on this machine are answered. Codes and users survive changes of
// the configuration.
type Simulator struct {
	// The AppIDs that are accepted, each with its AppSecret.
	// Default: every AppID of `wx` and 16 hex digits, with any secret
	Apps map[string]string `json:"app,omitempty"`

	// The host names that an account may send browsers back to, by AppID, as its
	// console lists them: whole, and without a port.
	// Default: this machine, on any port
	Domains map[string][]string `json:"domain,omitempty"`

	// Test users, besides alice, who has a unionid, and bob, who has none. The
	// value says whether WeChat knows a unionid of the user.
	Users map[string]bool `json:"user,omitempty"`

	// The user as whom codes of WeChat's developer tools log in, which the simulator
	// has not handed out: 32 letters and digits, each good once.
	// Default: nobody; such codes get errcode 40029
	DeveloperTools string `json:"developer_tools,omitempty"`

	// The gateway that the page at `/` talks to, as in `http://127.0.0.1:8080`.
	// The page may send anything there, so it must be on this machine. If it runs in
	// this process, `/simulator/reset`, and an answer without an errcode, make it ask
	// again at once where it has suspended logins.
	// Default: none, and the page only shows the simulator
	Gateway string `json:"gateway,omitempty"`

	// Where the routes of that gateway are, as `wechat_auth` has it.
	// Default: `/wechat`
	Prefix string `json:"prefix,omitempty"`

	site *simulator.Site
}

// CaddyModule returns the Caddy module information.
func (Simulator) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.wechat_simulator", New: func() caddy.Module { return new(Simulator) }}
}

var pool = caddy.NewUsagePool()

const (
	poolKey       = "simulator"
	defaultPrefix = "/wechat"
)

type pooled struct{ *simulator.Server }

func (pooled) Destruct() error { return nil }

// Provision joins the simulator of this process.
func (s *Simulator) Provision(ctx caddy.Context) error {
	site := &simulator.Site{Apps: s.Apps, Domains: s.Domains, Prefix: s.Prefix}
	if site.Prefix == "" {
		site.Prefix = defaultPrefix
	}
	if s.Gateway != "" {
		gateway, err := simulator.ParseGateway(s.Gateway)
		if err != nil {
			return err
		}
		site.Gateway = gateway
		if err := announce(ctx); err != nil {
			return err
		}
		if app, err := ctx.AppIfConfigured("wechat"); err == nil {
			if watched, ok := app.(interface {
				Live(context.Context) (sessions int, breaker string)
			}); ok {
				site.Live = func(ctx context.Context) (live simulator.Live) {
					live.Sessions, live.Breaker = watched.Live(ctx)
					return live
				}
			}
			if breakers, ok := app.(interface{ ResetBreakers() }); ok {
				site.ResetBreakers = breakers.ResetBreakers
			}
		}
	}
	value, _, err := pool.LoadOrNew(poolKey, func() (caddy.Destructor, error) { return pooled{simulator.New()}, nil })
	if err != nil {
		return fmt.Errorf("opening simulator: %w", err)
	}
	s.site = site // from here on Cleanup has something to release
	site.Server = value.(pooled).Server
	for name, unionID := range s.Users {
		if err := site.Server.AddUser(simulator.User{Name: name, UnionID: unionID}); err != nil {
			return fmt.Errorf("user %q: %w", name, err)
		}
	}
	if s.DeveloperTools != "" {
		if err := site.Server.SetDeveloperTools(s.DeveloperTools); err != nil {
			return fmt.Errorf("developer_tools %q: %w", s.DeveloperTools, err)
		}
	}
	return nil
}

// Validate checks what came as JSON.
func (s *Simulator) Validate() error {
	for appID, secret := range s.Apps {
		if err := checkApp(appID, secret); err != nil {
			return err
		}
	}
	for appID, hosts := range s.Domains {
		if err := checkDomain(appID, hosts); err != nil {
			return err
		}
	}
	return checkPrefix(s.site.Prefix)
}

func checkApp(appID, secret string) error {
	if !simulator.IsAppID(appID) {
		return fmt.Errorf("app %q: %w", appID, simulator.ErrApp)
	}
	if secret == "" {
		return fmt.Errorf("app %s: the secret is empty", appID)
	}
	return nil
}

func checkDomain(appID string, hosts []string) error {
	if !simulator.IsAppID(appID) {
		return fmt.Errorf("domain %q: %w", appID, simulator.ErrApp)
	}
	for _, host := range hosts {
		if !simulator.IsHost(host) {
			return fmt.Errorf("domain %s: %q is not a host name in lower case, without scheme and port", appID, host)
		}
	}
	return nil
}

func checkPrefix(prefix string) error {
	if !strings.HasPrefix(prefix, "/") || strings.HasSuffix(prefix, "/") || strings.ContainsAny(prefix, " ?#") {
		return fmt.Errorf("prefix %q must begin with / and not end with it", prefix)
	}
	return nil
}

// Cleanup leaves the simulator.
func (s *Simulator) Cleanup() error {
	if s.site == nil {
		return nil
	}
	_, err := pool.Delete(poolKey)
	return err
}

// ServeHTTP answers clients on this machine.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	if !isLocal(r) {
		return caddyhttp.Error(http.StatusForbidden, errors.New("the simulator answers clients on this machine only"))
	}
	s.site.ServeHTTP(w, r)
	return nil
}

// guard keeps the pages of other sites out, and those whose name resolves to this
// machine (DNS rebinding).
var guard = crosssite.Guard{OwnPages: true}

// isLocal reports whether both ends say that this is this machine talking to
// itself: a browser's address alone proves nothing about the page in it.
func isLocal(r *http.Request) bool {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || !loopback.Host(peer) {
		return false
	}
	err = guard.Check(r)
	if errors.Is(err, crosssite.ErrPage) {
		// Following a link to a page is no attack; it does nothing by itself
		// and lets nobody frame it.
		return r.Method == http.MethodGet && simulator.IsPage(r.URL.Path) && r.Header.Get("Sec-Fetch-Mode") == "navigate"
	}
	return err == nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Simulator)(nil)
	_ caddy.Validator             = (*Simulator)(nil)
	_ caddy.CleanerUpper          = (*Simulator)(nil)
	_ caddyhttp.MiddlewareHandler = (*Simulator)(nil)
)
