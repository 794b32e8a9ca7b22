package auth

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/identity"
)

func init() {
	caddy.RegisterModule(Handler{})
}

// Handler lets users of WeChat Mini Programs log in to a site and tells the app
// behind it who they are. The first thing it does with any request is to remove
// every spelling of every identity header; then it serves the gateway's own
// routes below `prefix`; then it lets requests pass that carry the token of a
// live session, with the user in `X-OpenID`, `X-UnionID` and `X-AppID`. All
// others get a 401 with a JSON body, never a redirect.
//
// For authenticated requests the placeholders `{http.auth.user.openid}`,
// `{http.auth.user.unionid}`, `{http.auth.user.appid}` and
// `{http.auth.user.session_id}` are set, and `{http.auth.user.id}`, a keyed hash
// of the user that access logs show as `user_id`.
//
// The app must not be reachable except through this handler.
type Handler struct {
	// The AppIDs of the Mini Programs that may use this site, of those in the
	// `wechat` app. A token of any other app is refused.
	// Default: the only one configured
	Apps []string `json:"app,omitempty"`

	// The path below which the gateway's routes are: `/login`, `/renew`,
	// `/logout` and `/session`. Nothing below it ever reaches the app.
	// Default: `/wechat`
	Prefix string `json:"prefix,omitempty"`

	// Requests that need no login and are always anonymous: a token sent along is
	// removed.
	Public *Selection `json:"public,omitempty"`

	// Requests that may be anonymous: with a token they carry the user, without
	// one nobody. A bad token is refused all the same.
	Optional *Selection `json:"optional,omitempty"`

	// Names of the identity headers, by field: `openid`, `unionid`, `appid`,
	// `session_id`, `user_id`. The name `off` leaves a field out.
	// Default: `{"openid": "X-OpenID", "unionid": "X-UnionID", "appid": "X-AppID", "session_id": "off", "user_id": "X-WeChat-User-ID"}`
	Header map[string]string `json:"header,omitempty"`

	// Which family of headers the app gets. `header` renames those of `default`, and
	// what goes with every family: the session and the application's own user.
	// Default: `{"preset": "default"}`
	Headers *Headers `json:"headers,omitempty"`

	// Add a signed statement about the user.
	// Default: none
	Assertion *Assertion `json:"assertion,omitempty"`

	// Where clients send the token.
	// Default: `Authorization: Bearer <token>`
	Token *TokenCarrier `json:"token,omitempty"`

	// Pass the token on to the app. By default it is removed, so that an app
	// cannot use it elsewhere or log it.
	// Default: false
	ForwardToken bool `json:"forward_token,omitempty"`

	// Let a request log in on its way to the app: with
	// `Authorization: WeChat-Code code="…", nonce="…", appid="…"` in place of a token
	// it is from the user whose code it is, and its answer has the token in
	// `Authorization` and the token's lifetime in `X-WeChat-Expires-In`. Both headers
	// are removed from what the app answers.
	// Default: false
	OneTrip bool `json:"one_trip,omitempty"`

	// How browsers log in, in WeChat by an official account and elsewhere by a
	// website app.
	// Default: the settings' own
	Browser *Browser `json:"browser,omitempty"`

	configured string // the digest of all of the above

	app        *wechatapp.App
	gateway    *gateway.Gateway
	record     *wechatapp.Record
	apps       gateway.Apps
	loginApps  gateway.Apps // those of which clients post codes
	guard      *identity.Guard
	preset     identity.Preset
	carrier    carrier
	site       *siteCheck
	prefix     string // folded
	routes     map[string]route
	trips      *trip    // of requests that do not log in; nil without one_trip
	vary       []string // what an answer to a user depends on
	varyCookie []string // the same, and Cookie
	varyNobody []string // what an answer to nobody depends on, where a user would get another
	logger     *zap.Logger

	browsers browsers
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.wechat_auth", New: func() caddy.Module { return new(Handler) }}
}

const defaultPrefix = "/wechat"

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
