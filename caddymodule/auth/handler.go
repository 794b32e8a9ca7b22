package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/urlpath"
)

func init() {
	caddy.RegisterModule(Handler{})
	wechatapp.OnProvision(surveyRoutes)
	wechatapp.OnStart(placeSites)
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

	// Which family of headers the app gets. `header` renames those of `default`.
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
	vary       []string // what an answer to somebody depends on
	varyCookie []string // the same, and Cookie
	varyNobody []string // what an answer depends on that would be another one to somebody
	logger     *zap.Logger

	browsers browsers
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.wechat_auth", New: func() caddy.Module { return new(Handler) }}
}

const defaultPrefix = "/wechat"

// Provision fills in defaults and builds what requests need.
func (h *Handler) Provision(ctx caddy.Context) (err error) {
	h.logger = ctx.Logger()
	h.configured = option.Digest(h)
	option.SetDefault(&h.Prefix, defaultPrefix)
	if err := checkPrefix(h.Prefix); err != nil {
		return err
	}
	if h.app, err = wechatapp.Of(ctx); err != nil {
		return err
	}
	h.gateway, h.record = h.app.Gateway(), h.app.Record()
	if h.apps, err = h.resolveApps(); err != nil {
		return err
	}
	for _, id := range h.apps {
		if _, redirects := h.app.Redirecter(h.account(id).Kind); !redirects { // its clients post their codes
			h.loginApps = append(h.loginApps, id)
		}
	}
	if err := h.provisionSettings(ctx); err != nil {
		return fmt.Errorf("%w%s", err, option.PositionOfHandler(h.digest()))
	}
	return nil
}

// provisionSettings checks the settings of the site and makes of them what requests
// need.
func (h *Handler) provisionSettings(ctx caddy.Context) (err error) {
	if h.carrier, err = h.Token.carrier(); err != nil {
		return err
	}
	if err := h.provisionHeaders(); err != nil {
		return err
	}
	if err := h.Public.provision(ctx, "public"); err != nil {
		return err
	}
	if err := h.Optional.provision(ctx, "optional"); err != nil {
		return err
	}
	h.prefix = urlpath.Fold(h.Prefix)
	if err := h.provisionBrowser(); err != nil {
		return err
	}
	h.provisionOneTrip()
	// A web-view has a cookie also where no browser logs in.
	if h.varyCookie = slices.Clone(h.vary); !slices.Contains(h.vary, "Cookie") {
		h.varyCookie = append(h.varyCookie, "Cookie")
	}
	if h.varyNobody = h.vary; h.hasKind(provider.MiniProgram) {
		h.varyNobody = h.varyCookie
	}
	h.routes = h.newRoutes()
	h.warnOfLoggedTokens(ctx)
	keepWriters(ctx)
	return h.checkPublic()
}

// digest stands for the handler as it was configured.
func (h *Handler) digest() string {
	if h.configured != "" {
		return h.configured
	}
	return option.Digest(h)
}

// provisionHeaders prepares what the app gets.
func (h *Handler) provisionHeaders() (err error) {
	if h.preset, err = h.Headers.preset(); err != nil {
		return err
	}
	if !h.Headers.isDefault() && len(h.Header) > 0 {
		return errors.New("header: renames the headers of `headers default`; those of cloud_hosting have fixed names")
	}
	if err := h.Assertion.provision(); err != nil {
		return err
	}
	if h.Assertion != nil {
		if err := h.app.OpenAssertionKeys(); err != nil {
			return err
		}
	}
	names, err := headerNames(h.Header)
	if err != nil {
		return err
	}
	if h.guard, err = identity.NewGuard(names, h.Assertion.names()...); err != nil {
		return err
	}
	if h.Token != nil && h.guard.Removes(h.Token.Header) {
		return fmt.Errorf("token: header %q is an identity header, which is removed from every request; choose another name", h.Token.Header)
	}
	return nil
}

// resolveApps finds the apps of this site among the configured ones.
func (h *Handler) resolveApps() (gateway.Apps, error) {
	if len(h.Apps) == 0 {
		if len(h.app.AppIDs()) > 1 {
			return nil, fmt.Errorf("wechat_auth: app: %d apps are configured, name the ones of this site: %s",
				len(h.app.AppIDs()), strings.Join(h.app.AppIDs(), " ")+option.PositionOfHandler(h.digest()))
		}
		return gateway.Apps(h.app.AppIDs()), nil
	}
	var apps gateway.Apps
	for _, text := range h.Apps {
		id, err := option.ResolveAppID("wechat_auth app", text)
		if err != nil {
			return nil, err
		}
		if _, known := h.app.Account(id); !known {
			return nil, fmt.Errorf("wechat_auth: app %q is not in the global option wechat, which has: %s%s",
				id, strings.Join(h.app.AppIDs(), " "), option.Position("wechat_auth app", text))
		}
		if apps.Has(id) {
			return nil, fmt.Errorf("wechat_auth: app %q is listed twice", id)
		}
		apps = append(apps, id)
	}
	return apps, nil
}

// account returns one of the accounts of this site.
func (h *Handler) account(appID string) provider.Account {
	account, _ := h.app.Account(appID) // resolveApps has found it
	return account
}

// checkPrefix accepts canonical paths with at least one segment: the prefix is
// compared with what clients send, and everything below it belongs to us.
func checkPrefix(prefix string) error {
	if !urlpath.Canonical(prefix) || prefix == "/" || strings.HasSuffix(prefix, "/") || strings.Contains(prefix, "*") {
		return fmt.Errorf("prefix: %q must be a path such as /wechat: canonical, not / and without a slash at its end", prefix)
	}
	return nil
}

// checkPublic refuses patterns that would leave the whole site, or the
// gateway's own routes, without protection.
func (h *Handler) checkPublic() error {
	if h.Public == nil {
		return nil
	}
	if err := h.Public.checkPublic(h.Prefix); err != nil {
		return err
	}
	return tryPublic(matchersCover, h.Public.matchers, h.Prefix)
}

// headerFields are the fields of the option `header` with their defaults.
var headerFields = []struct {
	field, name string
	set         func(*identity.Names) *string
}{
	{"openid", identity.DefaultOpenID, func(n *identity.Names) *string { return &n.OpenID }},
	{"unionid", identity.DefaultUnionID, func(n *identity.Names) *string { return &n.UnionID }},
	{"appid", identity.DefaultAppID, func(n *identity.Names) *string { return &n.AppID }},
	{"session_id", "", func(n *identity.Names) *string { return &n.SessionID }},
	{"user_id", identity.DefaultUserID, func(n *identity.Names) *string { return &n.UserID }},
}

const headerOff = "off"

// headerNames turns the option `header` into the names of each field.
func headerNames(configured map[string]string) (identity.Names, error) {
	var names identity.Names
	known := 0
	for _, f := range headerFields {
		name, set := configured[f.field]
		switch {
		case !set:
			name = f.name
		case name == headerOff:
			name, known = "", known+1
		default:
			if err := identity.CheckHeaderName(name); err != nil {
				return names, fmt.Errorf("header: %s: %w", f.field, err)
			}
			known++
		}
		*f.set(&names) = name
	}
	if known != len(configured) {
		return names, errors.New("header: fields are openid, unionid, appid, session_id and user_id")
	}
	return names, nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
