package wechatapp

import (
	"time"
)

// AllowBrowserLifetime lets the tokens of a site's browsers live this long.
func (a *App) AllowBrowserLifetime(lifetime time.Duration) {
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
