package auth

import (
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// placeSites tells each site where its routes are for browsers, and keeps the cookies of
// sites on one host apart. Cookies do not know ports, nor which app they are kept from: a
// login at the one is nothing for the app of the other.
func placeSites(ctx caddy.Context) error {
	s := SurveyOf(ctx)
	for one, other := range s.onOneHost {
		one.Handler.browsers.keepFrom(one.Handler.carrier, other.Handler)
		other.Handler.browsers.keepFrom(other.Handler.carrier, one.Handler)
	}
	for _, one := range s.Handlers {
		one.Handler.browsers.base, one.Handler.browsers.placed = one.base()
	}
	return nil
}

// onOneHost yields each two different sites that can answer for one host.
func (s *Survey) onOneHost(yield func(one, other *HandlerSurvey) bool) {
	for i, one := range s.Handlers {
		for _, other := range s.Handlers[:i] {
			if one.Handler != other.Handler && shareHost(one, other) && !yield(one, other) {
				return
			}
		}
	}
}

// base is what stands before the paths that a handler sees: behind handle_path
// /shop/*, what is /wechat/login there is /shop/wechat/login in the browser. Where
// several do it is the shortest.
func (h *HandlerSurvey) base() (base string, known bool) {
	for _, login := range h.Logins {
		above, found := strings.CutSuffix(login, h.Handler.prefixOrDefault()+LoginRoute)
		if found && (!known || len(above) < len(base)) {
			base, known = above, true
		}
	}
	return base, known
}

// shareHost reports whether two sites, on whatever ports, can answer for one host.
func shareHost(a, b *HandlerSurvey) bool {
	return sharesKey(a.hosts, b.hosts) || a.hosts[anyHost] || b.hosts[anyHost]
}

// base is the site's base for a request. Where no survey has found it, it is what the
// client sent without what is seen here.
func (h *Handler) base(c *classified) string {
	if h.browsers.placed {
		return h.browsers.base
	}
	base, found := strings.CutSuffix(c.sent, c.current)
	if !found {
		return ""
	}
	return base
}
