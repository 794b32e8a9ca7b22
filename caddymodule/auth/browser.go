package auth

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/browser"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/provider"
)

// Browser says how browsers log in. They get a cookie in place of a token. A site
// whose apps have an official account or a website among them lets browsers in
// without any of these settings.
type Browser struct {
	// What happens to a page load that needs a login: `navigate` sends the browser
	// to WeChat and back to the page, `off` answers with a page that has a link.
	// Requests of scripts get a 401 with JSON either way.
	// Default: `navigate`
	Challenge string `json:"challenge,omitempty"`

	// The name of the session cookie. Over https it is `__Host-` and this name, so
	// that no other host of the domain can set it. Sites on one host name that do not
	// share their logins need a name each.
	// Default: `wechat_session`
	Cookie string `json:"cookie,omitempty"`

	// How long a browser stays logged in. There is no renewal: in WeChat the next
	// login is silent. At most `max_lifetime`.
	// Default: `24h`
	Lifetime caddy.Duration `json:"lifetime,omitempty"`

	// The official account for pages that WeChat opens. Needed only if the site
	// has several.
	// Default: the only one of the site
	InWeChat string `json:"in_wechat,omitempty"`

	// The website app for browsers on computers. Needed only if the site has several.
	// Default: the only one of the site
	Elsewhere string `json:"elsewhere,omitempty"`

	// The Mini Program that logs desktops in, on sites without a website app and for
	// links to `{prefix}/scan`: the desktop shows its code, and its user confirms.
	// Default: none
	Scan *Scan `json:"scan,omitempty"`

	// Origins, each `scheme://host[:port]`, whose pages may send forms and other
	// unsafe requests to this site with its cookie.
	// Default: none but the site itself
	TrustOrigin []string `json:"trust_origin,omitempty"`
}

const (
	challengeNavigate = "navigate"
	challengeOff      = "off"

	defaultBrowserLifetime = 24 * time.Hour
)

// browsers is what a site needs to serve browsers.
type browsers struct {
	cookies   browser.Cookies
	ways      browser.Ways
	challenge bool
	lifetime  time.Duration
	// accounts are those that log in by a redirect, by AppID.
	accounts map[string]provider.Account
	scan     Scan       // what its code opens; for ways.Scan
	warned   *sync.Once // of an origin that WeChat refuses
	// base is what stands before the paths that the handler sees, if placed; see
	// placeSites.
	base   string
	placed bool
	// besides are the cookies of other sites on the same host, which browsers send
	// here, too; tokens are the cookies that their clients have tokens in.
	besides []browser.Cookies
	tokens  []cookieCarrier
}

// strip removes from a request all cookies of the gateway but the token's own.
func (b *browsers) strip(r *http.Request) {
	b.cookies.Strip(r.Header)
	for _, cookies := range b.besides {
		cookies.Strip(r.Header)
	}
	for _, token := range b.tokens {
		token.remove(r)
	}
}

// stripAnswer removes from an answer what would set one of a browser's cookies.
func (b *browsers) stripAnswer(header http.Header) {
	b.cookies.StripSetCookies(header)
	for _, cookies := range b.besides {
		cookies.StripSetCookies(header)
	}
}

// keepFrom makes the cookies of another site on the same host unknown to this one's app.
func (b *browsers) keepFrom(own carrier, other *Handler) {
	if cookies := other.browsers.cookies; cookies != b.cookies && !slices.Contains(b.besides, cookies) {
		b.besides = append(b.besides, cookies)
	}
	if token, ok := other.carrier.(cookieCarrier); ok && own != token && !slices.Contains(b.tokens, token) {
		b.tokens = append(b.tokens, token)
	}
}

// logsIn reports whether browsers can log in here.
func (b *browsers) logsIn() bool { return b.ways != browser.Ways{} }

func (b *Browser) setDefaults() {
	option.SetDefault(&b.Challenge, challengeNavigate)
	option.SetDefault(&b.Cookie, browser.DefaultCookie)
	if b.Scan != nil {
		scan := *b.Scan
		option.SetDefault(&scan.Version, scanRelease)
		b.Scan = &scan
	}
	option.SetDefault(&b.Lifetime, caddy.Duration(defaultBrowserLifetime))
}

// check looks at the settings that need nothing but themselves.
func (b *Browser) check() error {
	if b.Challenge != challengeNavigate && b.Challenge != challengeOff {
		return fmt.Errorf("browser: challenge: %q must be navigate or off", b.Challenge)
	}
	if _, err := browser.NewCookies(b.Cookie); err != nil {
		return fmt.Errorf("browser: %w", err)
	}
	if err := option.BrowserLifetimeBounds.Check("browser: lifetime", time.Duration(b.Lifetime)); err != nil {
		return err
	}
	if _, err := newSiteCheck(b.TrustOrigin...); err != nil {
		return fmt.Errorf("browser: trust_origin: %w", err)
	}
	if err := b.Scan.check(); err != nil {
		return fmt.Errorf("browser: scan: %w", err)
	}
	return nil
}

// provisionBrowser finds the accounts for browsers among the apps of the site.
func (h *Handler) provisionBrowser() (err error) {
	settings := new(Browser)
	if h.Browser != nil {
		*settings = *h.Browser
	}
	settings.setDefaults()
	if err := settings.check(); err != nil {
		return err
	}
	longest := time.Duration(h.app.Session.MaxLifetime)
	if lifetime := time.Duration(settings.Lifetime); lifetime > longest {
		if h.Browser != nil && h.Browser.Lifetime != 0 {
			return fmt.Errorf("browser: lifetime %s is longer than max_lifetime %s", lifetime, longest)
		}
		settings.Lifetime = caddy.Duration(longest) // nobody asked for the default
	}
	b := &h.browsers
	if b.cookies, err = browser.NewCookies(settings.Cookie); err != nil {
		return fmt.Errorf("browser: %w", err)
	}
	if h.Token != nil && h.Token.Cookie != "" && b.cookies.Ours(h.Token.Cookie) {
		return fmt.Errorf("token: cookie: %q is a cookie of browsers, see the option browser; use another name", h.Token.Cookie)
	}
	b.challenge = settings.Challenge == challengeNavigate
	b.lifetime = time.Duration(settings.Lifetime).Truncate(time.Second)
	if h.site, err = newSiteCheck(settings.TrustOrigin...); err != nil {
		return fmt.Errorf("browser: trust_origin: %w", err)
	}
	if b.ways.InWeChat, err = h.accountFor("in_wechat", settings.InWeChat, provider.OfficialAccount); err != nil {
		return err
	}
	if b.ways.Elsewhere, err = h.accountFor("elsewhere", settings.Elsewhere, provider.Website); err != nil {
		return err
	}
	if settings.Scan != nil {
		if b.ways.Scan, err = h.accountFor("scan", settings.Scan.App, provider.MiniProgram); err != nil {
			return err
		}
		b.scan = *settings.Scan
	}
	b.warned = new(sync.Once)
	b.accounts = make(map[string]provider.Account)
	for _, id := range h.apps {
		account := h.account(id)
		if _, redirects := h.app.Redirecter(account.Kind); redirects {
			b.accounts[id] = account
		}
	}
	h.app.AllowBrowserLifetime(b.lifetime)
	if name := h.carrier.vary(); name != "" {
		h.vary = append(h.vary, name)
	}
	if b.logsIn() && !slices.Contains(h.vary, "Cookie") {
		h.vary = append(h.vary, "Cookie")
	}
	return nil
}

// accountFor returns the account that a setting names, or the only one of the kind.
func (h *Handler) accountFor(setting, named string, kind provider.Kind) (string, error) {
	var found gateway.Apps
	for _, id := range h.apps {
		if h.account(id).Kind == kind {
			found = append(found, id)
		}
	}
	if named == "" {
		switch len(found) {
		case 0:
			return "", nil
		case 1:
			return found[0], nil
		}
		return "", fmt.Errorf("browser: %s: this site has %d apps of kind %s, name one of them", setting, len(found), kind)
	}
	id, err := option.ResolveAppID("browser "+setting, named)
	switch {
	case err != nil:
		return "", fmt.Errorf("browser: %s: %w", setting, err)
	case !h.apps.Has(id):
		return "", fmt.Errorf("browser: %s: app %q is not one of this site", setting, id)
	case !found.Has(id):
		return "", fmt.Errorf("browser: %s: app %s is of kind %s, it must be %s", setting, id, h.account(id).Kind, kind)
	}
	return id, nil
}
