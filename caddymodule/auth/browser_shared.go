package auth

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/browser"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/urlpath"
)

// CheckBeside refuses another site on the same host if browsers would take the one's
// cookie for the other's: with other apps or another prefix, the one would end or replace
// the login of the other. It reads settings, as Caddy may not have provisioned the
// handlers yet; faults of a single handler are reported by its Provision.
func (h *Handler) CheckBeside(other *Handler, app *wechatapp.App) error {
	a, ok := h.claim(app)
	b, ok2 := other.claim(app)
	if !ok || !ok2 {
		return nil
	}
	return cmp.Or(a.checkNames(b), b.checkNames(a), a.checkShared(b))
}

// claim is which cookies a site takes for its own, and for whom.
type claim struct {
	apps    gateway.Apps
	prefix  string
	cookies browser.Cookies
	token   string // the cookie that its clients have a token in
	logsIn  bool   // whether browsers log in there
}

func (h *Handler) claim(app *wechatapp.App) (c claim, ok bool) {
	var settings Browser
	if h.Browser != nil {
		settings = *h.Browser
	}
	settings.setDefaults()
	reader := Handler{Apps: h.Apps, app: app}
	apps, err := reader.resolveApps()
	if err != nil {
		return claim{}, false
	}
	cookies, err := browser.NewCookies(settings.Cookie)
	if err != nil {
		return claim{}, false
	}
	c = claim{apps: apps, prefix: h.PrefixOrDefault(), cookies: cookies}
	if h.Token != nil {
		c.token = h.Token.Cookie
	}
	for _, id := range apps {
		_, redirects := app.Redirecter(reader.account(id).Kind)
		c.logsIn = c.logsIn || redirects
	}
	return c, true
}

// checkShared compares two sites whose cookies have one name.
func (c claim) checkShared(other claim) error {
	if !c.logsIn && !other.logsIn || c.cookies != other.cookies {
		return nil
	}
	what := ""
	switch {
	case !sameApps(c.apps, other.apps):
		what = fmt.Sprintf("apps: %s, and %s", strings.Join(c.apps, " "), strings.Join(other.apps, " "))
	case urlpath.Fold(c.prefix) != urlpath.Fold(other.prefix):
		what = fmt.Sprintf("prefixes: %s, and %s", c.prefix, other.prefix)
	default:
		return nil
	}
	return fmt.Errorf("wechat_auth: two sites on one host share the cookie %s but have different %s; give one of them another name: browser { cookie <name> }",
		c.cookies.Session(false), what)
}

// checkNames refuses names of another site's cookies that this one takes for its own:
// with `cookie a` here and `cookie a_out` there, a login there is a logout here.
func (c claim) checkNames(other claim) error {
	var names []string
	if c.cookies != other.cookies {
		names = append(names, other.cookies.Session(false))
	}
	if other.token != "" {
		names = append(names, other.token)
	}
	for _, name := range names {
		if c.cookies.Ours(name) {
			return fmt.Errorf("wechat_auth: two sites on one host: the cookie %s of one is among those that the other makes out of %s; choose other names: browser { cookie <name> } or token cookie <name>",
				name, c.cookies.Session(false))
		}
	}
	return nil
}

func sameApps(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
