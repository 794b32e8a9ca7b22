package wechatapp

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddy-wechat/gateway/internal/gateway"
)

// recheckInterval is how soon a WebSocket notices that its session has ended
// or its token has expired.
const recheckInterval = time.Second

// endWithSession returns the request under a context that ends when the token
// stops being good: reverse_proxy closes both ends of a WebSocket then. The
// caller calls stop when the request is over.
func (h *Handler) endWithSession(r *http.Request, text string) (bound *http.Request, stop func()) {
	// The leeway for clocks that differ is for new requests, not for a tunnel
	// that is open.
	left := recheckInterval
	if d, err := h.gateway.Describe(r.Context(), text, h.apps); err == nil {
		left = max(d.ExpiresIn, recheckInterval)
	}
	ctx, cancel := context.WithTimeout(r.Context(), left)
	go func() {
		ticker := time.NewTicker(recheckInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				_, err := h.gateway.Authenticate(ctx, text, h.apps)
				// A store that cannot tell ends nothing; the token's own end does.
				if err != nil && !errors.Is(err, gateway.ErrStoreUnavailable) {
					cancel()
					return
				}
			}
		}
	}()
	return r.WithContext(ctx), cancel
}
