package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/credential"
	"github.com/caddy-wechat/gateway/internal/crosssite"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
	"github.com/caddy-wechat/gateway/internal/relay"
	"github.com/caddy-wechat/gateway/internal/userdata"
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
// Programs only are answered, not web pages: a request with `Origin` or
// `Sec-Fetch-Site` is refused, and so is one whose `Host` is neither a loopback
// or IP address, nor `api.weixin.qq.com`, nor a host of the site.
//
// `access_token` and `cloudbase_access_token` in the query are replaced. Answers
// have `X-Openapi-Seqid`; those of the gateway itself `X-Gateway-Error` as well,
// with the same code as the JSON body. Redirects by WeChat are refused.
//
// `POST /gateway/decrypt` and `POST /gateway/signature` use the session_key of a user,
// which stays here, too; a call of WeChat with the header `X-WeChat-OpenID` is signed in
// the name of that user.
type API struct {
	// The AppIDs of the Mini Programs in whose name calls may be made; one can be
	// given without a list. `from_appid` in the query chooses among them, without
	// it the first one is used.
	// Default: the only one configured
	AppIDs AppIDs `json:"appid,omitempty"`

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

	app      *wechatapp.App
	proxy    *relay.Proxy
	allow    []netip.Prefix
	server   *caddyhttp.Server // nil if it is not known
	ownHosts func() caddyhttp.MatchHost
	logger   *zap.Logger
}

// AppIDs are one AppID or a list of them.
type AppIDs []string

// UnmarshalJSON accepts a single AppID, too.
func (a *AppIDs) UnmarshalJSON(data []byte) error {
	var single string
	if json.Unmarshal(data, &single) == nil {
		if *a = nil; single != "" {
			*a = AppIDs{single}
		}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(a))
}

// MarshalJSON writes a single AppID without a list.
func (a AppIDs) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// apiBodyTime is generous: callers are near.
const apiBodyTime = 15 * time.Second

// CaddyModule returns the Caddy module information.
func (API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.wechat_api", New: func() caddy.Module { return new(API) }}
}

// Provision checks who could call and prepares the calls of WeChat.
func (a *API) Provision(ctx caddy.Context) (err error) {
	a.logger = wechatapp.Sampled(ctx.Logger())
	if a.app, err = wechatapp.Of(ctx); err != nil {
		return err
	}
	if a.allow, err = parseRanges(a.Allow); err != nil {
		return err
	}
	a.server, _ = ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	a.ownHosts = sync.OnceValue(a.findHosts)
	if err := a.checkListeners(); err != nil {
		return err
	}
	paths, err := relay.NewPaths(a.Paths)
	if err != nil {
		return fmt.Errorf("wechat_api: path: %w", err)
	}
	appIDs, err := a.resolveApps()
	if err != nil {
		return err
	}
	owners := make(map[string]*credential.Owner, len(appIDs))
	for _, id := range appIDs {
		owners[id] = a.app.TokenOwner(id)
	}
	a.proxy = &relay.Proxy{
		Paths: paths, Owners: owners, Default: appIDs[0], WeChat: a.app.WeChat(), Users: a.app.Gateway(),
		Buffers: a.app.Buffers(), BodyTime: apiBodyTime,
	}
	return nil
}

func (a *API) resolveApps() ([]string, error) {
	if len(a.AppIDs) == 0 {
		if len(a.app.AppIDs()) > 1 {
			return nil, fmt.Errorf("wechat_api: %d apps are configured, name those of this site, the default one first: wechat_api <appid>...: %s",
				len(a.app.AppIDs()), strings.Join(a.app.AppIDs(), " "))
		}
		return a.app.AppIDs(), a.checkKind(a.app.AppIDs()[0])
	}
	var ids []string
	for _, text := range a.AppIDs {
		id, err := option.ResolveAppID("wechat_api", text)
		if err != nil {
			return nil, err
		}
		if _, found := a.app.Account(id); !found {
			return nil, fmt.Errorf("wechat_api: app %q is not in the global option wechat, which has: %s", id, strings.Join(a.app.AppIDs(), " "))
		}
		if slices.Contains(ids, id) {
			return nil, fmt.Errorf("wechat_api: app %s is named twice", id)
		}
		if err := a.checkKind(id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// checkKind refuses accounts without an access_token.
func (a *API) checkKind(appID string) error {
	if account, _ := a.app.Account(appID); !wechatapp.HasAccessToken(account.Kind) {
		return fmt.Errorf("wechat_api: app %s is of kind %s, for which WeChat has no access_token", appID, account.Kind)
	}
	return nil
}

// apiRefusals is the table for wechat_api, in front of the common one.
var apiRefusals = []answer.Refusal{
	{Err: errCaller, Status: http.StatusForbidden, Code: answer.CodeCallerNotAllowed, Message: "This address may not call WeChat's API here."},
	{Err: crosssite.ErrPage, Status: http.StatusForbidden, Code: answer.CodeCallerNotAllowed, Message: "Programs may call here, web pages may not."},
	{Err: crosssite.ErrHost, Status: http.StatusForbidden, Code: answer.CodeCallerNotAllowed, Message: "The Host header is not one of this site; use its address or " + apiHost + "."},
	{Err: relay.ErrPath, Status: http.StatusForbidden, Code: answer.CodePathNotAllowed, Message: "This path may not be called here."},
	{Err: relay.ErrUnsupported, Status: http.StatusNotImplemented, Code: answer.CodeNotImplemented, Message: "WeChat Pay and object storage without credentials exist in Cloud Hosting only; use their own APIs."},
	{Err: relay.ErrUnknownApp, Status: http.StatusBadRequest, Code: answer.CodeUnknownApp, Message: "from_appid names an app that may not be used here."},
	{Err: relay.ErrBody, Status: http.StatusBadRequest, Code: answer.CodeInvalidRequest, Message: "The body cannot be read."},
	{Err: relay.ErrSlowBody, Status: http.StatusBadRequest, Code: answer.CodeInvalidRequest, Message: "The body did not arrive in time."},
	{Err: relay.ErrBusy, Status: http.StatusServiceUnavailable, Code: answer.CodeGatewayBusy, Message: "Too many bodies without a Content-Length are being sent; try again, or send one.", RetryAfter: time.Second},
	{Err: relay.ErrTooLarge, Status: http.StatusRequestEntityTooLarge, Code: answer.CodeBodyTooLarge, Message: "A body this large needs a Content-Length."},
	{Err: relay.ErrUserHeader, Status: http.StatusBadRequest, Code: answer.CodeInvalidRequest, Message: "X-WeChat-OpenID must name one user, once and in no other spelling."},
	{Err: relay.ErrSignedTooLarge, Status: http.StatusRequestEntityTooLarge, Code: answer.CodeBodyTooLarge, Message: "A body that is signed for a user can have 1 MiB."},
	{Err: errUserBody, Status: http.StatusBadRequest, Code: answer.CodeInvalidRequest, Message: "The body must be one JSON object with the members that this call has, all of them texts."},
	{Err: errSignedData, Status: http.StatusBadRequest, Code: answer.CodeInvalidRequest, Message: "data must be 1 to 4096 bytes."},
	{Err: errTwoAppIDs, Status: http.StatusBadRequest, Code: answer.CodeInvalidRequest, Message: "appid and from_appid name different apps."},
	{Err: gateway.ErrNoSession, Status: http.StatusNotFound, Code: answer.CodeNoSession, Message: "The user has no session; he must log in first."},
	{Err: userdata.ErrStale, Status: http.StatusConflict, Code: answer.CodeSessionKeyStale, Message: "The data cannot be read with the user's session_key; log in again and ask for the data afterwards."},
	{Err: gateway.ErrRateLimited, Status: http.StatusTooManyRequests, Code: answer.CodeRateLimited, Message: "There are too many calls about this user; wait before the next one.", RetryAfter: time.Second},
	{Err: provider.ErrRateLimited, Status: http.StatusTooManyRequests, Code: answer.CodeRateLimited, Message: "WeChat's limit is reached for now; wait before the next call.", RetryAfter: time.Minute},
	{Err: provider.ErrTimeout, Status: http.StatusGatewayTimeout, Code: answer.CodeWeChatTimeout, Message: "WeChat did not answer in time."},
	{Err: relay.ErrMethod, Status: http.StatusMethodNotAllowed, Code: answer.CodeMethodNotAllowed, Message: "This method is not allowed here."},
	{Err: relay.ErrTokenRefused, Status: http.StatusBadGateway, Code: answer.CodeTokenRefused, Message: "WeChat refuses the access_token that it has just handed out."},
}

func apiRefusal(err error) answer.Refusal {
	for _, r := range apiRefusals {
		if errors.Is(err, r.Err) {
			return r
		}
	}
	return answer.For(err)
}

// ServeHTTP forwards a call. It is the end of the chain, like reverse_proxy.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	a.app.EnsureStarted()
	call := a.proxy.NewCall(w)
	err := a.checkCaller(r)
	defer func() { a.logCall(*call, err) }() // also of an answer that is cut off
	if err == nil {
		if serve := a.ownCall(r.URL); serve != nil {
			err = serve(w, r, call)
		} else {
			err = a.proxy.Serve(w, r, call)
		}
	}
	if err == nil {
		return nil
	}
	refusal := apiRefusal(err)
	w.Header().Set(relay.ErrorHeader, refusal.Code)
	if refusal.Status == http.StatusServiceUnavailable {
		refusal.RetryAfter = max(refusal.RetryAfter, a.retryAfter(call.AppID))
	}
	answer.Write(w, refusal)
	return nil
}

func (a *API) retryAfter(appID string) time.Duration {
	if owner := a.proxy.Owners[appID]; owner != nil {
		return owner.RetryAfter()
	}
	return 0
}

// logCall counts a call, and writes it to the log.
func (a *API) logCall(call relay.Call, err error) {
	outcome := wechatapp.OutcomeOK
	if err != nil {
		outcome = apiRefusal(err).Code
	}
	if call.Errcode != 0 {
		outcome = wechatapp.OutcomeErrcode
	}
	a.app.Record().Called(wechatapp.Call{AppID: call.AppID, Endpoint: call.Path, Outcome: outcome, Errcode: call.Errcode, Took: call.Took})
	level := zapcore.DebugLevel
	if err != nil {
		level = zapcore.InfoLevel
	}
	if errors.Is(err, provider.ErrMisconfigured) || errors.Is(err, relay.ErrTokenRefused) {
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

func parseAPI(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(API)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from its directive:
//
//	wechat_api [<matcher>] [<appid>...] {
//		allow <ip ranges>...
//		path  <pattern>...
//	}
func (a *API) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	a.AppIDs = d.RemainingArgs()
	for i, id := range a.AppIDs {
		if err := option.CheckAppIDText(id); err != nil {
			return d.Errf("wechat_api: the AppID %v", err)
		}
		option.RememberPosition(d, "wechat_api", id)
		if slices.Contains(a.AppIDs[:i], id) {
			return d.Errf("wechat_api: app %s is named twice", id)
		}
	}
	once := make(option.Once)
	for d.NextBlock(0) {
		if err := once.Check(d); err != nil {
			return err
		}
		switch d.Val() {
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
			if _, err := relay.NewPaths(a.Paths); err != nil {
				return d.WrapErr(err)
			}
		default:
			return option.Unknown(d, "wechat_api", "allow", "path")
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
