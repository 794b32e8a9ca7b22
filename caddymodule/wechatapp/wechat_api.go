package wechatapp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-wechat/gateway/internal/loopback"
	"github.com/caddy-wechat/gateway/internal/openapi"
	"github.com/caddy-wechat/gateway/internal/wechat"
)

func init() {
	caddy.RegisterModule(API{})
	httpcaddyfile.RegisterHandlerDirective("wechat_api", parseAPI)
	httpcaddyfile.RegisterDirectiveOrder("wechat_api", httpcaddyfile.Before, "reverse_proxy")
}

// API lets apps call WeChat's server API without a credential, as on WeChat Cloud
// Hosting: it forwards `/wxa/…`, `/cgi-bin/…` and the like to WeChat over https
// with the access_token of the Mini Program, which it fetches once (stable_token),
// renews and, with Redis, shares with the other nodes. AppSecret and access_token
// stay here.
//
// Whoever reaches this handler acts in the name of the Mini Program. So it only
// loads on a site that listens on loopback addresses or a unix socket, or with
// `allow`.
//
// `from_appid` in the query chooses another configured app; `access_token` and
// `cloudbase_access_token` in the query are replaced. Answers have
// `X-Openapi-Seqid`; those of the gateway itself `X-Gateway-Error` as well, with
// the same code as the JSON body.
type API struct {
	// The AppID of the Mini Program in whose name calls are made.
	// Default: the only one configured
	AppID string `json:"appid,omitempty"`

	// The addresses that may call, as CIDR ranges or single addresses: those of the
	// connection, not of a header. Needed on listeners that others can reach.
	// Default: everybody who reaches a loopback address or unix socket
	Allow []string `json:"allow,omitempty"`

	// The paths that may be called, such as `/wxa/*` or
	// `/cgi-bin/message/custom/send`. They are the `endpoint` of metrics, too.
	// Default: all but those that hand out credentials (`/cgi-bin/token`,
	// `/cgi-bin/stable_token`, `/cgi-bin/component/*`, `/sns/jscode2session`,
	// `/sns/oauth2/*`, `/sns/component/*`)
	Paths []string `json:"path,omitempty"`

	app    *App
	proxy  *openapi.Proxy
	allow  []netip.Prefix
	logger *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.wechat_api", New: func() caddy.Module { return new(API) }}
}

// Provision checks who could call and prepares the way to WeChat.
func (a *API) Provision(ctx caddy.Context) (err error) {
	a.logger = sampled(ctx.Logger())
	if a.app, err = appOf(ctx); err != nil {
		return err
	}
	if a.allow, err = parseRanges(a.Allow); err != nil {
		return err
	}
	if err := a.checkListeners(ctx); err != nil {
		return err
	}
	paths, err := openapi.NewPaths(a.Paths)
	if err != nil {
		return fmt.Errorf("wechat_api: path: %w", err)
	}
	if a.AppID, err = a.resolveApp(); err != nil {
		return err
	}
	a.proxy = &openapi.Proxy{Paths: paths, Owners: a.app.tokenOwners(), Default: a.AppID, WeChat: a.app.client}
	return nil
}

func (a *API) resolveApp() (string, error) {
	if a.AppID == "" {
		if len(a.app.order) > 1 {
			return "", fmt.Errorf("wechat_api: %d apps are configured, name one of them: wechat_api <appid>: %s",
				len(a.app.order), strings.Join(a.app.order, " "))
		}
		return a.app.order[0], nil
	}
	id, err := resolveAppID(a.AppID)
	if err != nil {
		return "", fmt.Errorf("wechat_api: %w", err)
	}
	if _, known := a.app.apps[id]; !known {
		return "", fmt.Errorf("wechat_api: app %q is not in the global option wechat, which has: %s", id, strings.Join(a.app.order, " "))
	}
	return id, nil
}

func parseRanges(texts []string) (ranges []netip.Prefix, err error) {
	for _, text := range texts {
		if addr, err := netip.ParseAddr(text); err == nil {
			ranges = append(ranges, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("wechat_api: allow: %q is neither an address nor a range such as 10.0.0.0/8", text)
		}
		ranges = append(ranges, prefix.Masked())
	}
	return ranges, nil
}

// checkListeners refuses a site that others than this machine's apps can reach.
func (a *API) checkListeners(ctx caddy.Context) error {
	if len(a.allow) > 0 {
		return nil
	}
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return errors.New("wechat_api: it cannot be found out who reaches this listener; name who may: allow <ip ranges>")
	}
	for _, text := range server.Listen {
		address, err := caddy.ParseNetworkAddress(text)
		if err != nil {
			return fmt.Errorf("wechat_api: listener %q: %w", text, err)
		}
		if !address.IsUnixNetwork() && !loopback.Host(address.Host) {
			return fmt.Errorf("wechat_api: everybody who reaches %s could act in the name of the Mini Program: bind the site to 127.0.0.1 or a unix socket, or name who may call: allow <ip ranges>", text)
		}
	}
	return nil
}

// errCaller: the address is not in `allow`.
var errCaller = errors.New("caller is not allowed")

// gatewayErrorHeader tells an answer of the gateway from one of WeChat.
const gatewayErrorHeader = "X-Gateway-Error"

// apiRefusals is the table for wechat_api, in front of the common one.
var apiRefusals = []refusal{
	{errCaller, http.StatusForbidden, "caller_not_allowed", "This address may not call WeChat's API here.", 0},
	{openapi.ErrPath, http.StatusForbidden, "path_not_allowed", "This path may not be called here.", 0},
	{openapi.ErrUnsupported, http.StatusNotImplemented, "not_implemented", "WeChat Pay and object storage without credentials exist in Cloud Hosting only; use their own APIs.", 0},
	{openapi.ErrUnknownApp, http.StatusBadRequest, "unknown_app", "from_appid names an app that the gateway does not have.", 0},
	{openapi.ErrBody, http.StatusBadRequest, "invalid_request", "The body cannot be read.", 0},
	{openapi.ErrTooLarge, http.StatusRequestEntityTooLarge, "body_too_large", "A body this large needs a Content-Length.", 0},
	{openapi.ErrTokenRefused, http.StatusBadGateway, "token_refused", "WeChat refuses the access_token that it has just handed out.", 0},
}

func apiRefusal(err error) refusal {
	for _, r := range apiRefusals {
		if errors.Is(err, r.err) {
			return r
		}
	}
	return refusalFor(err)
}

// ServeHTTP forwards a call. It is the end of the chain, like reverse_proxy.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	call := openapi.Call{AppID: a.AppID, Path: openapi.OtherPath}
	err := errCaller
	if a.mayCall(r.RemoteAddr) {
		call, err = a.proxy.Serve(w, r)
	}
	a.note(call, err)
	if err == nil {
		return nil
	}
	refusal := apiRefusal(err)
	w.Header().Set(gatewayErrorHeader, refusal.code)
	if refusal.status == http.StatusServiceUnavailable {
		refusal.retryAfter = max(refusal.retryAfter, a.retryAfter(call.AppID))
	}
	writeRefusal(w, refusal)
	return nil
}

func (a *API) retryAfter(appID string) time.Duration {
	if owner := a.proxy.Owners[appID]; owner != nil {
		return owner.RetryAfter()
	}
	return 0
}

// mayCall looks at the connection's own address; a header proves nothing here.
func (a *API) mayCall(remote string) bool {
	if len(a.allow) == 0 {
		return true
	}
	address, err := netip.ParseAddrPort(remote)
	if err != nil {
		return !strings.Contains(remote, ":") // a unix socket: its permissions decide
	}
	ip := address.Addr().Unmap().WithZone("")
	for _, allowed := range a.allow {
		if allowed.Contains(ip) {
			return true
		}
	}
	return false
}

func (a *API) note(call openapi.Call, err error) {
	m := a.app.observer.metrics
	outcome := outcomeOK
	if err != nil {
		outcome = apiRefusal(err).code
	}
	if call.Took > 0 {
		m.wechatTime.WithLabelValues(call.Path, call.AppID).Observe(call.Took.Seconds())
	}
	if call.Errcode != 0 {
		outcome = "errcode"
		m.errcodes.WithLabelValues(call.Path, call.AppID, errcodeLabel(call.Errcode)).Inc()
	}
	m.apiCalls.WithLabelValues(call.AppID, call.Path, outcome).Inc()
	level := zapcore.DebugLevel
	if err != nil {
		level = zapcore.InfoLevel
	}
	if errors.Is(err, wechat.ErrMisconfigured) || errors.Is(err, openapi.ErrTokenRefused) {
		level = zapcore.ErrorLevel
	}
	c := a.logger.Check(level, "call of WeChat's API")
	if c == nil {
		return
	}
	fields := []zap.Field{
		zap.String("app", call.AppID), zap.String("endpoint", call.Path), zap.String("outcome", outcome),
		zap.String("seqid", call.Seq), zap.Duration("duration", call.Took),
	}
	if api, ok := errors.AsType[*wechat.APIError](err); ok {
		fields = append(fields, zap.Int("errcode", api.Code), zap.String("rid", api.RID))
	} else if call.Errcode != 0 {
		fields = append(fields, zap.Int("errcode", call.Errcode))
	}
	if err != nil {
		fields = append(fields, zap.Error(err))
	}
	c.Write(fields...)
}

// tokenOwners returns the owners of the access_tokens of all apps.
func (a *App) tokenOwners() map[string]*openapi.Owner {
	if a.owners == nil {
		vault, _ := a.store.sessions().(openapi.Vault)
		a.owners = make(map[string]*openapi.Owner, len(a.apps))
		for id, app := range a.apps {
			a.owners[id] = openapi.NewOwner(a.state.tokens, app, observedTokens{a.client, a.observer.metrics}, vault)
		}
	}
	return a.owners
}

// observedTokens measures and traces calls of stable_token.
type observedTokens struct {
	openapi.Fetcher
	metrics *metrics
}

const endpointStableToken = "stable_token"

// StableToken implements openapi.Fetcher.
func (t observedTokens) StableToken(ctx context.Context, app wechat.App, force bool) (token wechat.AccessToken, err error) {
	err = t.metrics.observe(ctx, endpointStableToken, app.ID, func(ctx context.Context) error {
		token, err = t.Fetcher.StableToken(ctx, app, force)
		return err
	})
	return token, err
}

func parseAPI(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(API)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from its directive:
//
//	wechat_api [<matcher>] [<appid>] {
//		allow <ip ranges>...
//		path  <pattern>...
//	}
func (a *API) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		a.AppID = d.Val()
		if !isPlaceholder(a.AppID) && !appIDPattern.MatchString(a.AppID) {
			return d.Errf("wechat_api: %q is not an AppID", a.AppID)
		}
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	once := make(onceOnly)
	for d.NextBlock(0) {
		if err := once.check(d); err != nil {
			return err
		}
		switch option := d.Val(); option {
		case "allow":
			if a.Allow = d.RemainingArgs(); len(a.Allow) == 0 {
				return d.ArgErr()
			}
			if _, err := parseRanges(a.Allow); err != nil {
				return d.WrapErr(err)
			}
		case "path":
			if a.Paths = d.RemainingArgs(); len(a.Paths) == 0 {
				return d.ArgErr()
			}
			if _, err := openapi.NewPaths(a.Paths); err != nil {
				return d.WrapErr(err)
			}
		default:
			return d.Errf("wechat_api: unrecognized option %q", option)
		}
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*API)(nil)
	_ caddyfile.Unmarshaler       = (*API)(nil)
	_ caddyhttp.MiddlewareHandler = (*API)(nil)
)
