package auth

import (
	"net/http"

	"github.com/caddy-wechat/gateway/internal/browser"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/identity"
)

// liveUser returns whose live session the browser's cookie names, if any.
func (h *Handler) liveUser(r *http.Request) (identity.User, bool) {
	text, err := h.cookie(r)
	if err != nil || text == "" {
		return identity.User{}, false
	}
	user, err := h.gateway.AuthenticateCookie(r.Context(), text, h.apps)
	return user, err == nil
}

// endOld ends the session that the browser had before, unless the login gave it the
// same one again. With two cookies it is unknown which is the browser's own.
func (h *Handler) endOld(r *http.Request, grant gateway.Grant) {
	old, err := h.cookie(r)
	if err != nil || old == "" || old == grant.Token {
		return
	}
	user, err := h.gateway.LogoutCookie(r.Context(), old, h.apps)
	if err != nil {
		return // not a token of this gateway, or the store cannot tell; it is not in the cookie any more
	}
	h.record.SessionReplaced(user.AppID, h.userHash(user))
}

// setSession gives a browser its session, and takes away what a login is the end of.
func (h *Handler) setSession(w http.ResponseWriter, r *http.Request, origin browser.Origin, grant gateway.Grant) {
	b, secure := &h.browsers, origin.Secure()
	http.SetCookie(w, browser.Set(b.cookies.Session(secure), grant.Token, grant.ExpiresIn, secure))
	for _, name := range []string{b.cookies.Scan(secure), b.cookies.Out(secure), b.cookies.Snapshot(secure)} {
		if b.cookies.Has(r.Header, name) {
			http.SetCookie(w, browser.Set(name, "", 0, secure))
		}
	}
}
