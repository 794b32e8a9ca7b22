package auth

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/gateway/internal/identity"
)

// inject tells the app who the user is.
func (h *Handler) inject(r *http.Request, user identity.User, asked identity.Asked) error {
	client := ""
	if h.preset.NeedsClient() {
		client, _ = caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	}
	h.preset.Inject(r.Header, h.guard, user, asked, client)
	if h.Assertion == nil {
		return nil
	}
	return h.assert(r, user)
}

// assert sets the header.
func (h *Handler) assert(r *http.Request, user identity.User) error {
	ring, err := h.app.AssertionKeys()
	if err != nil {
		return err
	}
	r.Header[h.Assertion.Header] = []string{h.Assertion.minter.Mint(ring, user)}
	return nil
}
