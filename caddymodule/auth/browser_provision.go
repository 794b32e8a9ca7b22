package auth

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/gateway/internal/browser"
	"github.com/caddy-wechat/gateway/internal/provider"
)

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
	if b.methods.InWeChat, err = h.accountFor("in_wechat", settings.InWeChat, provider.OfficialAccount); err != nil {
		return err
	}
	if b.methods.Elsewhere, err = h.accountFor("elsewhere", settings.Elsewhere, provider.Website); err != nil {
		return err
	}
	if settings.Scan != nil {
		if b.methods.Scan, err = h.accountFor("scan", settings.Scan.App, provider.MiniProgram); err != nil {
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
