package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/gateway/internal/crosssite"
	"github.com/caddy-wechat/gateway/internal/loopback"
)

// apiHost is WeChat's own name, by which apps written for Cloud Hosting call.
const apiHost = "api.weixin.qq.com"

// errCaller: the address is not in `allow`.
var errCaller = errors.New("caller is not allowed")

func parseRanges(texts []string) ([]netip.Prefix, error) {
	ranges := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		prefix, err := caddyhttp.CIDRExpressionToPrefix(text)
		if err != nil {
			return nil, fmt.Errorf("wechat_api: allow: %q is neither an address nor a range such as 10.0.0.0/8", text)
		}
		ranges[i] = prefix
	}
	return ranges, nil
}

// checkListeners refuses a site that others than this machine's apps can reach.
func (a *API) checkListeners() error {
	if len(a.allow) > 0 {
		return nil
	}
	if a.server == nil {
		return errors.New("wechat_api: it is unknown who can reach this listener; name the callers: allow <ip ranges>")
	}
	for _, text := range a.server.Listen {
		address, err := caddy.ParseNetworkAddress(text)
		if err != nil {
			return fmt.Errorf("wechat_api: listener %q: %w", text, err)
		}
		if !address.IsUnixNetwork() && !loopback.Host(address.Host) {
			return fmt.Errorf("wechat_api: everybody who reaches %s could act in the name of the Mini Program: bind the site to 127.0.0.1 or a unix socket, or name who may call: allow <ip ranges>", text)
		}
	}
	return nil
}

// checkCaller returns an error unless a program calls, from an address that may.
func (a *API) checkCaller(r *http.Request) error {
	if !a.mayCall(r.RemoteAddr) {
		return errCaller
	}
	guard := crosssite.Guard{KnowsHost: func(host string) bool {
		if _, err := netip.ParseAddr(host); err == nil || host == apiHost {
			return true // not a name that an attacker could resolve to this machine
		}
		return a.ownHosts().Match(r)
	}}
	return guard.Check(r)
}

// mayCall checks the connection's own address; a header proves nothing here.
func (a *API) mayCall(remote string) bool {
	if len(a.allow) == 0 {
		return true
	}
	address, err := netip.ParseAddrPort(remote)
	if err != nil {
		return !strings.Contains(remote, ":") // a unix socket: its permissions decide
	}
	ip := address.Addr().Unmap().WithZone("")
	for _, allowed := range a.allow {
		if allowed.Contains(ip) {
			return true
		}
	}
	return false
}

// findHosts returns the hosts that the site's routes name on the way to this
// handler. They are there when the whole server is provisioned, not before.
func (a *API) findHosts() caddyhttp.MatchHost {
	if a.server == nil {
		return nil
	}
	hosts, _ := a.hostsIn(a.server.Routes, nil)
	for _, route := range a.server.NamedRoutes {
		if inside, found := a.hostsIn(caddyhttp.RouteList{*route}, nil); found {
			hosts = append(hosts, inside...)
		}
	}
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	if err := hosts.Provision(caddy.Context{}); err != nil {
		return nil // the site's own matcher has not loaded either
	}
	return hosts
}

func (a *API) hostsIn(routes caddyhttp.RouteList, outer []string) (hosts caddyhttp.MatchHost, found bool) {
	for _, route := range routes {
		here := outer
		for _, host := range hostsOf(route) {
			if strings.Trim(host, "*.") != "" { // a bare wildcard names nobody
				here = append(slices.Clip(here), host)
			}
		}
		for _, handler := range route.Handlers {
			switch h := handler.(type) {
			case *API:
				if h == a {
					hosts, found = append(hosts, here...), true
				}
			case *caddyhttp.Subroute:
				if inside, ok := a.hostsIn(h.Routes, here); ok {
					hosts, found = append(hosts, inside...), true
				}
			}
		}
	}
	return hosts, found
}

// hostsOf returns what the host matcher of a route asks for.
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
