package caddymodule

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"
)

// warnUncovered logs every route that reaches an app around wechat_auth: on a
// site that uses wechat_auth elsewhere, or to an app that a covered route also
// reaches. On such a route any client can send X-OpenID itself.
func (a *App) warnUncovered(ctx caddy.Context) {
	module, err := ctx.AppIfConfigured("http")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return
	}
	servers, ok := module.(*caddyhttp.App)
	if err != nil || !ok {
		return
	}
	for name, server := range servers.Servers {
		w := walk{}
		w.routes(server.Routes, name, false)
		if server.Errors != nil {
			w.routes(server.Errors.Routes, name+" handle_errors", false)
		}
		for _, p := range w.uncovered() {
			a.logger.Warn("this route reaches an app without wechat_auth, so its clients can forge the identity headers",
				zap.String("route", p.route), zap.Strings("upstreams", p.upstreams))
		}
	}
}

// walk collects the reverse proxies of a server in the order in which requests
// meet handlers, and the sites that have a wechat_auth somewhere.
type walk struct {
	proxies []proxy
	sites   []string
}

type proxy struct {
	route     string // where it is
	site      string // the outermost route's hosts
	upstreams []string
	covered   bool
}

func (w *walk) routes(routes caddyhttp.RouteList, site string, covered bool) (coversRest bool) {
	for i, route := range routes {
		here := site
		if hosts := hostsOf(route); hosts != "" {
			here += " " + hosts
		}
		routeCovered := w.handlers(route, here, i, covered)
		// A handler without a matcher in front covers the routes behind it, too.
		if routeCovered && len(route.MatcherSets) == 0 {
			covered = true
		}
	}
	return covered
}

func (w *walk) handlers(route caddyhttp.Route, site string, number int, covered bool) bool {
	for _, handler := range route.Handlers {
		switch h := handler.(type) {
		case *Handler:
			covered = true
			w.sites = append(w.sites, site)
		case *caddyhttp.Subroute:
			if w.routes(h.Routes, site, covered) {
				covered = true
			}
			if h.Errors != nil {
				w.routes(h.Errors.Routes, site+" handle_errors", covered)
			}
		case *reverseproxy.Handler:
			p := proxy{route: site + " route " + strconv.Itoa(number), site: site, covered: covered}
			for _, upstream := range h.Upstreams {
				p.upstreams = append(p.upstreams, upstream.Dial)
			}
			w.proxies = append(w.proxies, p)
		}
	}
	return covered
}

// uncovered returns the proxies that should be covered and are not.
func (w *walk) uncovered() []proxy {
	var upstreams []string
	for _, p := range w.proxies {
		if p.covered {
			upstreams = append(upstreams, p.upstreams...)
		}
	}
	var found []proxy
	for _, p := range w.proxies {
		if p.covered {
			continue
		}
		sharesSite := slices.Contains(w.sites, strings.TrimSuffix(p.site, " handle_errors"))
		sharesApp := slices.ContainsFunc(p.upstreams, func(u string) bool { return slices.Contains(upstreams, u) })
		if sharesSite || sharesApp {
			found = append(found, p)
		}
	}
	return found
}

func hostsOf(route caddyhttp.Route) string {
	for _, set := range route.MatcherSets {
		for _, matcher := range set {
			if hosts, ok := matcher.(*caddyhttp.MatchHost); ok {
				return strings.Join(*hosts, ",")
			}
		}
	}
	return ""
}
