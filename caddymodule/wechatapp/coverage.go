package wechatapp

import (
	"maps"
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
	for _, w := range walkServers(ctx) {
		for _, p := range w.uncovered() {
			a.logger.Warn("this route reaches an app without wechat_auth, so its clients can forge the identity headers",
				zap.String("route", p.route), zap.Strings("upstreams", p.upstreams))
		}
	}
}

// walkServers walks through the servers of a configuration, by name.
func walkServers(ctx caddy.Context) []*walk {
	module, err := ctx.AppIfConfigured("http")
	if err != nil {
		return nil
	}
	servers, ok := module.(*caddyhttp.App)
	if !ok {
		return nil
	}
	var walks []*walk
	for _, name := range slices.Sorted(maps.Keys(servers.Servers)) {
		server := servers.Servers[name]
		w := &walk{server: server}
		w.routes(server.Routes, place{site: name})
		if server.Errors != nil {
			w.routes(server.Errors.Routes, place{site: name + " handle_errors"})
		}
		walks = append(walks, w)
	}
	return walks
}

// walk collects the reverse proxies of a server in the order in which requests
// meet handlers, and the sites that have a wechat_auth somewhere.
type walk struct {
	server  *caddyhttp.Server
	proxies []proxy
	sites   []string
}

// place is where in the routes the walk is.
type place struct {
	site string // the outermost route's hosts
	// host and path are what the matchers on the way ask for.
	host, path []string
	by         *Handler // the wechat_auth that requests went through, if any
}

type proxy struct {
	place
	route     string // where it is
	upstreams []string
}

// routes returns the wechat_auth that covers what comes behind them, if any.
func (w *walk) routes(routes caddyhttp.RouteList, at place) *Handler {
	for i, route := range routes {
		here := at
		if hosts := hostsOf(route); len(hosts) > 0 {
			here.site += " " + strings.Join(hosts, ",")
			here.host = hosts
		}
		here.path = append(slices.Clone(at.path), pathsOf(route)...)
		by := w.handlers(route, here, i)
		// A handler without a matcher in front covers the routes behind it, too.
		if by != nil && len(route.MatcherSets) == 0 {
			at.by = by
		}
	}
	return at.by
}

func (w *walk) handlers(route caddyhttp.Route, at place, number int) *Handler {
	for _, handler := range route.Handlers {
		switch h := handler.(type) {
		case *Handler:
			at.by = h
			w.sites = append(w.sites, at.site)
		case *caddyhttp.Subroute:
			if by := w.routes(h.Routes, at); by != nil {
				at.by = by
			}
			if h.Errors != nil {
				errorsAt := at
				errorsAt.site += " handle_errors"
				w.routes(h.Errors.Routes, errorsAt)
			}
		case *reverseproxy.Handler:
			p := proxy{place: at, route: at.site + " route " + strconv.Itoa(number)}
			for _, upstream := range h.Upstreams {
				p.upstreams = append(p.upstreams, upstream.Dial)
			}
			w.proxies = append(w.proxies, p)
		}
	}
	return at.by
}

// uncovered returns the proxies that should be covered and are not.
func (w *walk) uncovered() []proxy {
	var upstreams []string
	for _, p := range w.proxies {
		if p.by != nil {
			upstreams = append(upstreams, p.upstreams...)
		}
	}
	var found []proxy
	for _, p := range w.proxies {
		if p.by != nil {
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

func hostsOf(route caddyhttp.Route) []string {
	for _, set := range route.MatcherSets {
		for _, matcher := range set {
			if hosts, ok := matcher.(*caddyhttp.MatchHost); ok {
				return *hosts
			}
		}
	}
	return nil
}

// pathsOf returns the patterns of all path matchers of a route.
func pathsOf(route caddyhttp.Route) []string {
	var paths []string
	for _, set := range route.MatcherSets {
		for _, matcher := range set {
			if patterns, ok := matcher.(*caddyhttp.MatchPath); ok {
				paths = append(paths, *patterns...)
			}
		}
	}
	return paths
}
