package auth

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/gateway/internal/gateway"
)

// passage is a user's request on its way to the app and back: all its state,
// in one allocation.
type passage struct {
	responseWriter
	handler *Handler
	pass    gateway.Pass
	stream  gateway.Stream

	cancel   context.CancelFunc
	reads    bool        // the request has a body
	upgraded bool        // to a WebSocket
	late     bool        // the handlers behind answered after the session had ended
	started  atomic.Bool // the client sees an answer
	ended    atomic.Bool // the session did
}

// newPassage returns the passage of a request that is let through, its answer to be
// written to w.
func (h *Handler) newPassage(w http.ResponseWriter, pass gateway.Pass) *passage {
	return &passage{responseWriter: h.marked(w, true), handler: h, pass: pass}
}

// placeholder is a caddy.ReplacerFunc. Values are checked at login: no braces, so
// nothing in them is ever expanded again.
func (p *passage) placeholder(key string) (any, bool) {
	switch key {
	case "http.auth.user.id":
		return p.handler.userHash(p.pass.User), true
	case "http.auth.user.openid":
		return p.pass.User.OpenID, true
	case "http.auth.user.unionid":
		return p.pass.User.UnionID, true
	case "http.auth.user.appid":
		return p.pass.User.AppID, true
	case "http.auth.user.session_id":
		return p.pass.User.SessionID, true
	case "http.auth.user.user_id":
		return p.pass.User.UserID, true
	}
	return nil, false
}

// placeholderOfNobody is [passage.placeholder] without a user: every value is empty.
func placeholderOfNobody(key string) (any, bool) {
	switch key {
	case "http.auth.user.id", "http.auth.user.openid", "http.auth.user.unionid", "http.auth.user.appid", "http.auth.user.session_id", "http.auth.user.user_id":
		return "", true
	}
	return nil, false
}

// setPlaceholders makes the user known to the rest of the Caddyfile. The function
// runs only if a placeholder is used.
func setPlaceholders(r *http.Request, placeholder caddy.ReplacerFunc) {
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(placeholder)
	}
}

// marked wraps the writer of an answer that depends on the token; one to somebody
// is private.
func (h *Handler) marked(w http.ResponseWriter, private bool) responseWriter {
	return responseWriter{
		ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w},
		vary:                  h.vary, browsers: &h.browsers, private: private, referrer: h.carrier.inURL(), trip: h.trips,
	}
}
