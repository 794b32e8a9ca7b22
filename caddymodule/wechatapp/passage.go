package wechatapp

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/gateway/internal/identity"
)

// passage is somebody's request on its way to the app and back: all that is kept
// of it, in one piece.
type passage struct {
	responseWriter
	handler *Handler
	user    identity.User
}

// placeholder is a caddy.ReplacerFunc. Values are checked at login: no braces, so
// nothing in them is ever expanded again.
func (p *passage) placeholder(key string) (any, bool) {
	switch key {
	case "http.auth.user.id":
		return p.handler.userHash(p.user), true
	case "http.auth.user.openid":
		return p.user.OpenID, true
	case "http.auth.user.unionid":
		return p.user.UnionID, true
	case "http.auth.user.appid":
		return p.user.AppID, true
	case "http.auth.user.session_id":
		return p.user.SessionID, true
	}
	return nil, false
}

// placeholderOfNobody is empty for each of them.
func placeholderOfNobody(key string) (any, bool) {
	switch key {
	case "http.auth.user.id", "http.auth.user.openid", "http.auth.user.unionid", "http.auth.user.appid", "http.auth.user.session_id":
		return "", true
	}
	return nil, false
}

// setPlaceholders makes the user known to the rest of the Caddyfile. The function
// runs only if somebody asks.
func setPlaceholders(r *http.Request, placeholder caddy.ReplacerFunc) {
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(placeholder)
	}
}
