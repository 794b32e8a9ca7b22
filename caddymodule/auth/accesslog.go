package auth

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// warnOfLoggedTokens says when access logs show tokens. Caddy redacts Authorization
// and cookies, unless it is told not to, and nothing else.
func (h *Handler) warnOfLoggedTokens(ctx caddy.Context) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.Logs == nil {
		return
	}
	filter := ""
	switch c := h.carrier.(type) {
	case headerCarrier:
		filter = "request>headers>" + c.name + " delete"
	case queryCarrier:
		filter = "request>uri query { delete " + c.name + " }"
	default:
		if server.Logs.ShouldLogCredentials {
			h.logger.Warn("access logs of this server show tokens, because of log_credentials")
		}
		return
	}
	h.logger.Warn("access logs of this server show tokens, unless their `format filter` has this field", zap.String("field", filter))
}
