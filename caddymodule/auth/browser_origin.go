package auth

import (
	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/internal/browser"
)

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
