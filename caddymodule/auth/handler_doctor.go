package auth

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/provider"
)

// Methods for the doctor, which examines a provisioned handler.

// App returns the app of the handler's configuration.
func (h *Handler) App() *wechatapp.App { return h.app }

// SiteApps lists the accounts that may use the site.
func (h *Handler) SiteApps() gateway.Apps { return h.apps }

// IdentityHeaders returns what the app gets about a user.
func (h *Handler) IdentityHeaders(user identity.User) http.Header {
	header := make(http.Header)
	h.preset.Inject(header, h.guard, user, identity.Asked{}, "")
	return header
}

// A NamedRoute is one of the gateway's routes, by its name below the prefix.
type NamedRoute struct{ Name, Method string }

// GuardedRoutes lists the routes of the site that refuse a request without a credential.
func (h *Handler) GuardedRoutes() (routes []NamedRoute) {
	for _, name := range routeNames {
		if route, there := h.routes[h.Prefix+"/"+name]; there {
			routes = append(routes, NamedRoute{name, route.method})
		}
	}
	return routes
}

// MayCover reports whether requests to a path may be in the selection: matchers may
// look at more than the path.
func (s *Selection) MayCover(path string) bool {
	return s != nil && (s.covers(path, nil) || len(s.matchers) > 0)
}

// BrowserAccounts returns the accounts by which browsers log in, in order.
func (h *Handler) BrowserAccounts() []provider.Account {
	return slices.SortedFunc(maps.Values(h.browsers.accounts), func(a, b provider.Account) int { return strings.Compare(a.ID, b.ID) })
}
