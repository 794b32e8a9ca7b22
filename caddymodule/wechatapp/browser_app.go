package wechatapp

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/internal/browser"
)

// browserSites is what the sites of a configuration have told about their browsers.
type browserSites struct {
	mu       sync.Mutex
	lifetime time.Duration // the longest
}

// allowBrowserLifetime lets the tokens of a site's browsers live this long.
func (a *App) allowBrowserLifetime(lifetime time.Duration) {
	a.browserSites.mu.Lock()
	defer a.browserSites.mu.Unlock()
	a.browserSites.lifetime = max(a.browserSites.lifetime, lifetime)
	a.gateway.AllowLifetime(lifetime)
}

// longestToken is how long a token of this configuration lives at most. Only once
// all sites are there is it known.
func (a *App) longestToken() time.Duration {
	a.browserSites.mu.Lock()
	defer a.browserSites.mu.Unlock()
	return max(a.browserSites.lifetime, time.Duration(a.Session.TokenLifetime))
}

// warnRedirect says once per site that WeChat will refuse to send browsers back to
// an origin.
func (h *Handler) warnRedirect(origin browser.Origin) {
	reason := origin.Refused()
	if reason == "" {
		return
	}
	h.browsers.warned.Do(func() {
		h.logger.Warn("WeChat will not send browsers back to this site; it takes host names over https without a port",
			zap.String("origin", origin.String()), zap.String("reason", reason))
	})
}
