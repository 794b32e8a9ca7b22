package auth

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/browser"
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

// check validates the settings that depend on nothing else.
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
