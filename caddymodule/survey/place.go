package survey

import (
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// findBases tells each site where its routes are for browsers, and keeps the cookies of
// sites on one host apart. Cookies do not know ports, nor which app they are kept from: a
// login at the one is nothing for the app of the other.
func findBases(ctx caddy.Context) error {
	s := Of(ctx)
	for site, other := range s.onOneHost {
		site.Handler.KeepCookiesFrom(other.Handler)
		other.Handler.KeepCookiesFrom(site.Handler)
	}
	for _, site := range s.Sites {
		site.Handler.Place(site.base())
	}
	return nil
}

// onOneHost yields each two different sites that can answer for one host.
func (s *Survey) onOneHost(yield func(site, other *Site) bool) {
	for i, site := range s.Sites {
		for _, other := range s.Sites[:i] {
			if site.Handler != other.Handler && shareHost(site, other) && !yield(site, other) {
				return
			}
		}
	}
}

// base is what stands before the paths that a handler sees: behind handle_path
// /shop/*, what is /wechat/login there is /shop/wechat/login in the browser. Where
// several do it is the shortest.
func (h *Site) base() (base string, known bool) {
	for _, login := range h.Logins {
		above, found := strings.CutSuffix(login, h.Handler.PrefixOrDefault()+LoginRoute)
		if found && (!known || len(above) < len(base)) {
			base, known = above, true
		}
	}
	return base, known
}

// shareHost reports whether two sites, on whatever ports, can answer for one host.
func shareHost(a, b *Site) bool {
	return sharesKey(a.hosts, b.hosts) || a.hosts[anyHost] || b.hosts[anyHost]
}

func sharesKey(a, b map[string]bool) bool {
	for key := range a {
		if b[key] {
			return true
		}
	}
	return false
}
