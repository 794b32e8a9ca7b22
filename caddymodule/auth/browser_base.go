package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// placeSites tells each site where its routes are for browsers, and finds sites on
// one host whose browsers would take each other's cookie for their own: with other
// apps or another prefix, the one would end or replace the login of the other.
// Cookies do not know ports, nor which app they are kept from: a login at the one is
// nothing for the app of the other.
func placeSites(ctx caddy.Context) error {
	s := SurveyOf(ctx)
	for one, other := range s.onOneHost {
		if err := one.Handler.checkSharedCookie(other.Handler); err != nil {
			return err
		}
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

// checkSharedCookie compares two sites on one host.
func (h *Handler) checkSharedCookie(other *Handler) error {
	if err := errors.Join(h.checkOwnCookies(other), other.checkOwnCookies(h)); err != nil {
		return err
	}
	if !h.browsers.logsIn() && !other.browsers.logsIn() || h.browsers.cookies != other.browsers.cookies {
		return nil
	}
	what := ""
	switch {
	case !sameApps(h.apps, other.apps):
		what = fmt.Sprintf("apps: %s, and %s", strings.Join(h.apps, " "), strings.Join(other.apps, " "))
	case h.prefix != other.prefix:
		what = fmt.Sprintf("prefixes: %s, and %s", h.Prefix, other.Prefix)
	default:
		return nil
	}
	return fmt.Errorf("wechat_auth: two sites on one host share the cookie %s but have different %s; give one of them another name: browser { cookie <name> }",
		h.browsers.cookies.Session(false), what)
}

// checkOwnCookies refuses names of another site's cookies that this one takes for its own:
// with `cookie a` here and `cookie a_out` there, a login there is a logout here.
func (h *Handler) checkOwnCookies(other *Handler) error {
	names := []string{}
	if h.browsers.cookies != other.browsers.cookies {
		names = append(names, other.browsers.cookies.Session(false))
	}
	if other.Token != nil && other.Token.Cookie != "" {
		names = append(names, other.Token.Cookie)
	}
	for _, name := range names {
		if h.browsers.cookies.Ours(name) {
			return fmt.Errorf("wechat_auth: two sites on one host: the cookie %s of one is among those that the other makes out of %s; choose other names: browser { cookie <name> } or token cookie <name>",
				name, h.browsers.cookies.Session(false))
		}
	}
	return nil
}

func sameApps(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
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
