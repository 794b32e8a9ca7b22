package auth

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/strictjson"
	"github.com/caddy-wechat/gateway/internal/urlpath"
)

// route is one of the gateway's own endpoints.
type route struct {
	method string
	serve  func(http.ResponseWriter, *http.Request, *classified) error
	// form, if there is one, takes the form of the page that serve shows.
	form func(http.ResponseWriter, *http.Request, *classified) error
	// once says that serve uses something up, although it is a GET.
	once bool
}

// routeNames lists the routes below the prefix that refuse who has nothing to show.
// A site need not have all of them.
var routeNames = []string{"login", "renew", "logout", "session", "sign", "authorize", "callback", "ticket", "enter", "scan", "scan/code", "scan/state", "scan/describe", "scan/approve", "scan/deny"}

func (h *Handler) newRoutes() map[string]route {
	routes := map[string]route{
		h.Prefix + "/login":   {method: http.MethodPost, serve: h.login},
		h.Prefix + "/renew":   {method: http.MethodPost, serve: h.renew},
		h.Prefix + "/logout":  {method: http.MethodPost, serve: h.logout},
		h.Prefix + "/session": {method: http.MethodGet, serve: h.session},
		h.Prefix + "/sign":    {method: http.MethodPost, serve: h.sign},
		// After a logout in a browser.
		h.Prefix + "/logged-out": {method: http.MethodGet, serve: h.showLoggedOut},
	}
	if len(h.browsers.accounts) > 0 || h.browsers.ways.Scan != "" {
		routes[h.Prefix+"/authorize"] = route{method: http.MethodGet, serve: h.authorize}
		routes[h.Prefix+"/callback"] = route{method: http.MethodGet, serve: h.callback, once: true}
	}
	if h.hasKind(provider.MiniProgram) {
		routes[h.Prefix+"/ticket"] = route{method: http.MethodPost, serve: h.ticket}
		routes[h.Prefix+"/enter"] = route{method: http.MethodGet, serve: h.enter, form: h.enterAnyway, once: true}
	}
	if h.browsers.ways.Scan != "" {
		routes[h.Prefix+"/scan"] = route{method: http.MethodGet, serve: h.showScan}
		routes[h.Prefix+"/scan/code"] = route{method: http.MethodGet, serve: h.scanCode, once: true}
		routes[h.Prefix+"/scan/state"] = route{method: http.MethodPost, serve: h.scanState}
		routes[h.Prefix+"/scan/describe"] = route{method: http.MethodPost, serve: h.describeScan}
		routes[h.Prefix+"/scan/approve"] = route{method: http.MethodPost, serve: h.approveScan}
		routes[h.Prefix+"/scan/deny"] = route{method: http.MethodPost, serve: h.denyScan}
	}
	if h.Assertion != nil {
		routes[h.Prefix+"/jwks.json"] = route{method: http.MethodGet, serve: h.jwks}
	}
	return routes
}

const (
	maxLoginBody  = 4 << 10
	maxLoginDepth = 4
	bodyTime      = 5 * time.Second
)

// serveRoute answers everything below the prefix. A path that only some server
// would read as one of the routes is not found.
func (h *Handler) serveRoute(w http.ResponseWriter, r *http.Request, c *classified) {
	// What the client asked for counts, whatever a rewrite such as try_files made
	// of it; h.routes has canonical paths only.
	route, found := h.routes[c.sent]
	if !found {
		// Behind handle_path or a rewrite: fine if the client's spelling was no
		// look-alike itself.
		if route, found = h.routes[c.current]; found {
			found = c.canonical() && !urlpath.Below(c.sent, h.prefix)
		}
	}
	c.route = true
	if err := h.callRoute(w, r, c, route, found); err != nil {
		if errors.Is(err, answer.ErrMethodNotAllowed) {
			w.Header().Set("Allow", route.allow())
		}
		h.refuseTo(w, r, c, err, identity.User{})
	}
}

// allow names the methods of a route.
func (r *route) allow() string {
	if r.form != nil {
		return r.method + ", " + http.MethodPost
	}
	return r.method
}

func (h *Handler) callRoute(w http.ResponseWriter, r *http.Request, c *classified, route route, found bool) error {
	switch {
	case !found:
		return answer.ErrNotFound
	case r.Method != route.method && (route.form == nil || r.Method != http.MethodPost):
		return answer.ErrMethodNotAllowed
	case (route.once || r.Method != http.MethodGet) && inEarlyData(r):
		return answer.ErrTooEarly
	case r.Method != route.method:
		return route.form(w, r, c)
	}
	return route.serve(w, r, c)
}

// inEarlyData reports whether somebody may have replayed the request from an
// unfinished TLS handshake (RFC 8470).
func inEarlyData(r *http.Request) bool {
	return r.TLS != nil && !r.TLS.HandshakeComplete ||
		fromTrustedProxy(r) && strings.TrimSpace(r.Header.Get("Early-Data")) == "1"
}

// grantBody is the answer of login and renew.
type grantBody struct {
	Token     string `json:"token"`
	TokenType string `json:"token_type"`
	ExpiresIn int64  `json:"expires_in"`
}

func (h *Handler) login(w http.ResponseWriter, r *http.Request, c *classified) error {
	if h.carrier.ambient() { // the answer sets the cookie
		if err := h.site.check(r, false); err != nil {
			return err
		}
	}
	start := time.Now()
	req, err := readLogin(w, r)
	var grant gateway.Grant
	if err == nil {
		req.Client = clientAddr(r)
		grant, err = h.gateway.Login(r.Context(), req, h.loginApps)
	}
	if req.AppID == "" && len(h.loginApps) == 1 {
		req.AppID = h.loginApps[0]
	}
	if err != nil {
		refusal := answer.For(err)
		h.record.LoginRefused(clientIP(r), req.AppID, grant, refusal, err, time.Since(start))
		h.refuseCode(w, c, refusal)
		return nil
	}
	h.record.LoggedIn(grant, time.Since(start))
	h.record.Passed(wechatapp.Anonymous)
	h.writeGrant(w, r, grant)
	return nil
}

func (h *Handler) renew(w http.ResponseWriter, r *http.Request, _ *classified) error {
	given, err := h.requireCredentials(r)
	if err != nil {
		return err
	}
	if given.byCookie {
		return answer.ErrCookieRenewal
	}
	grant, err := h.gateway.Renew(r.Context(), given.text, h.apps)
	if err != nil {
		return err
	}
	h.record.Passed(wechatapp.Authenticated)
	h.writeGrant(w, r, grant)
	return nil
}

func (h *Handler) writeGrant(w http.ResponseWriter, r *http.Request, grant gateway.Grant) {
	h.carrier.setToken(w, r, grant.Token, grant.ExpiresIn)
	answer.WriteJSON(w, http.StatusOK, grantBody{grant.Token, "Bearer", int64(grant.ExpiresIn / time.Second)})
}

func (h *Handler) session(w http.ResponseWriter, r *http.Request, _ *classified) error {
	given, err := h.requireCredentials(r)
	if err != nil {
		return err
	}
	d, err := h.describe(r.Context(), given)
	if err != nil {
		return err
	}
	h.record.Passed(wechatapp.Authenticated)
	answer.WriteJSON(w, http.StatusOK, struct {
		AppID            string `json:"appid"`
		ExpiresIn        int64  `json:"expires_in"`
		SessionExpiresIn int64  `json:"session_expires_in"`
	}{d.AppID, int64(d.ExpiresIn / time.Second), int64(d.SessionExpiresIn / time.Second)})
	return nil
}

// readLogin reads and checks the form of a login. Identifiers that a client
// claims (openid, unionid, session_key) are not looked at.
func readLogin(w http.ResponseWriter, r *http.Request) (gateway.LoginRequest, error) {
	var req gateway.LoginRequest
	if !strictjson.Declared(r.Header) {
		return req, answer.ErrMediaType
	}
	data, err := readBody(w, r, maxLoginBody)
	if err != nil {
		return req, err
	}
	members, err := strictjson.Object(data, maxLoginDepth)
	if err != nil {
		return req, answer.ErrBody
	}
	for name, field := range map[string]*string{"code": &req.Code, "appid": &req.AppID, "nonce": &req.Nonce} {
		if err := readMember(members, name, field); err != nil {
			return req, err
		}
	}
	return req, nil
}

// readMember reads a string that must not be empty if it is there at all.
func readMember(members map[string]json.RawMessage, name string, into *string) error {
	raw, present := members[name]
	if !present {
		return nil
	}
	value, ok := strictjson.String(raw)
	if !ok || value == "" {
		return answer.ErrBody
	}
	*into = value
	return nil
}

// readBody reads a small body within bodyTime, whatever the server's own
// limits are.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, answer.ErrBodyTooLarge
	}
	control := http.NewResponseController(w)
	limited := control.SetReadDeadline(time.Now().Add(bodyTime)) == nil
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if limited {
		// Or the deadline would later end the watch for clients that leave.
		_ = control.SetReadDeadline(time.Time{})
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, answer.ErrBodyTooLarge
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, answer.ErrSlowBody
	}
	if err != nil {
		return nil, answer.ErrBody
	}
	return data, nil
}

// clientAddr is the address that Caddy resolved, by trusted_proxies.
func clientAddr(r *http.Request) netip.Addr {
	text := clientIP(r)
	if addrPort, err := netip.ParseAddrPort(text); err == nil {
		return addrPort.Addr()
	}
	addr, _ := netip.ParseAddr(text) // unix sockets have none: one shared limit
	return addr
}

// clientIP is that address as Caddy's access log has it.
func clientIP(r *http.Request) string {
	text, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return text
}
