package auth

import (
	"errors"
	"net/http"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/caddymodule/internal/request"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/urlpath"
)

func (h *Handler) newRoutes() map[string]route {
	routes := map[string]route{
		h.Prefix + "/login":   {method: http.MethodPost, serve: h.login},
		h.Prefix + "/renew":   {method: http.MethodPost, serve: h.renew},
		h.Prefix + "/logout":  {method: http.MethodPost, serve: h.logout},
		h.Prefix + "/session": {method: http.MethodGet, serve: h.session},
		h.Prefix + "/sign":    {method: http.MethodPost, serve: h.sign},
		// After a logout in a browser.
		h.Prefix + "/logged-out": {method: http.MethodGet, serve: h.showLoggedOut},
	}
	if len(h.browsers.accounts) > 0 || h.browsers.methods.Scan != "" {
		routes[h.Prefix+"/authorize"] = route{method: http.MethodGet, serve: h.authorize}
		routes[h.Prefix+"/callback"] = route{method: http.MethodGet, serve: h.callback, once: true}
	}
	if h.hasKind(provider.MiniProgram) {
		routes[h.Prefix+"/ticket"] = route{method: http.MethodPost, serve: h.ticket}
		routes[h.Prefix+"/enter"] = route{method: http.MethodGet, serve: h.enter, form: h.enterReplacing, once: true}
	}
	if h.browsers.methods.Scan != "" {
		routes[h.Prefix+"/scan"] = route{method: http.MethodGet, serve: h.showScan}
		routes[h.Prefix+"/scan/code"] = route{method: http.MethodGet, serve: h.scanCode, once: true}
		routes[h.Prefix+"/scan/state"] = route{method: http.MethodPost, serve: h.scanState}
		routes[h.Prefix+"/scan/describe"] = route{method: http.MethodPost, serve: h.describeScan}
		routes[h.Prefix+"/scan/approve"] = route{method: http.MethodPost, serve: h.approveScan}
		routes[h.Prefix+"/scan/deny"] = route{method: http.MethodPost, serve: h.denyScan}
	}
	if h.Assertion != nil {
		routes[h.Prefix+"/jwks.json"] = route{method: http.MethodGet, serve: h.jwks}
	}
	return routes
}

// serveRoute answers everything below the prefix. A path that only some server
// would read as one of the routes is not found. It takes a copy: routes may keep it,
// and what is on its way to the app stays off the heap (BenchmarkSite).
func (h *Handler) serveRoute(w http.ResponseWriter, r *http.Request, asked classified) {
	c := &asked
	// What the client asked for counts, whatever a rewrite such as try_files made
	// of it; h.routes has canonical paths only.
	route, found := h.routes[c.sent]
	if !found {
		// Behind handle_path or a rewrite: fine if the client's spelling was no
		// look-alike itself.
		if route, found = h.routes[c.current]; found {
			found = c.canonical() && !urlpath.Below(c.sent, h.prefix)
		}
	}
	c.route = true
	if err := h.callRoute(w, r, c, route, found); err != nil {
		if errors.Is(err, answer.ErrMethodNotAllowed) {
			w.Header().Set("Allow", route.allow())
		}
		h.refuseTo(w, r, c, err, identity.User{})
	}
}

func (h *Handler) callRoute(w http.ResponseWriter, r *http.Request, c *classified, route route, found bool) error {
	switch {
	case !found:
		return answer.ErrNotFound
	case r.Method != route.method && (route.form == nil || r.Method != http.MethodPost):
		return answer.ErrMethodNotAllowed
	case (route.once || r.Method != http.MethodGet) && request.InEarlyData(r):
		return answer.ErrTooEarly
	case r.Method != route.method:
		return route.form(w, r, c)
	}
	return route.serve(w, r, c)
}
