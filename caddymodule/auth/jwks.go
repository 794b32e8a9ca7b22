package auth

import (
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
)

const (
	// jwksTime is how long apps may keep the public keys. A new key is published
	// longer than this before it signs (keyring).
	jwksTime = 5 * time.Minute
)

// jwks serves the public keys.
func (h *Handler) jwks(w http.ResponseWriter, _ *http.Request, _ *classified) error {
	ring, err := h.app.AssertionKeys()
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(jwksTime/time.Second)))
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(ring.JWKS())))
	h.record.Passed(wechatapp.Anonymous)
	_, _ = w.Write(ring.JWKS()) // a client that left is no error of ours
	return nil
}
