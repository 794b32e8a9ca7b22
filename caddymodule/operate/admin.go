package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/keyring"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/strictjson"
)

func init() {
	caddy.RegisterModule(Admin{})
}

// Admin serves what operators need of a running gateway, below /wechat/ of
// Caddy's admin endpoint: its state, the sessions of a user, ending sessions,
// keeping users out, dropping a signing key. Users are named in request bodies,
// never in a URL. No answer holds a secret, a token or a session key.
type Admin struct {
	app *wechatapp.App
}

// CaddyModule returns the Caddy module information.
func (Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.wechat", New: func() caddy.Module { return new(Admin) }}
}

// Provision finds the app, if there is one.
func (a *Admin) Provision(ctx caddy.Context) error {
	if module, err := ctx.AppIfConfigured("wechat"); err == nil {
		a.app = module.(*wechatapp.App)
	}
	return nil
}

const (
	adminPrefix  = "/wechat/"
	maxAdminBody = 16 << 10
	// maxAdminTime bounds a change; stores have shorter times of their own.
	maxAdminTime = time.Minute
)

// Routes implements caddy.AdminRouter.
func (a *Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminPrefix, Handler: caddy.AdminHandlerFunc(a.serve)}}
}

func (a *Admin) serve(w http.ResponseWriter, r *http.Request) error {
	path := strings.TrimPrefix(r.URL.Path, adminPrefix)
	kid, isKey := strings.CutPrefix(path, "keys/")
	if isKey {
		path = "keys/"
	}
	endpoints := map[string]struct {
		method string
		serve  func(http.ResponseWriter, *http.Request) error
	}{
		"status":         {http.MethodGet, a.status},
		"ready":          {http.MethodGet, a.ready},
		"sessions/list":  {http.MethodPost, a.list},
		"sessions/end":   {http.MethodPost, a.end},
		"users/deny":     {http.MethodPost, a.deny},
		"users/allow":    {http.MethodPost, a.allow},
		"users/set":      {http.MethodPost, a.setUserID},
		"tokens/explain": {http.MethodPost, a.explain},
		"keys/":          {http.MethodDelete, func(w http.ResponseWriter, r *http.Request) error { return a.dropKey(w, r, kid) }},
	}
	endpoint, found := endpoints[path]
	switch {
	case !found:
		return adminError(http.StatusNotFound, errors.New("no such endpoint"))
	case r.Method != endpoint.method:
		w.Header().Set("Allow", endpoint.method)
		return adminError(http.StatusMethodNotAllowed, fmt.Errorf("method is %s", endpoint.method))
	case a.app == nil:
		return adminError(http.StatusNotFound, errors.New("the configuration has no global option wechat"))
	}
	a.app.EnsureStarted()
	if r.Method != http.MethodGet { // a change that has begun finishes, whoever leaves
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), maxAdminTime)
		defer cancel()
		r = r.WithContext(ctx)
	}
	return endpoint.serve(w, r)
}

func adminError(status int, err error) error { return caddy.APIError{HTTPStatus: status, Err: err} }

// coreError maps the errors of operations.
func coreError(err error) error {
	switch {
	case errors.Is(err, gateway.ErrInvalidRequest):
		return adminError(http.StatusBadRequest, err)
	case errors.Is(err, gateway.ErrStoreUnavailable):
		return adminError(http.StatusServiceUnavailable, err)
	}
	return adminError(http.StatusInternalServerError, err)
}

// adminBody is the body of every request that has one.
type adminBody struct {
	gateway.Target
	Token, UserHash, After string
	UserID                 *string // nil if it is not there
	Until, Limit           json.RawMessage
}

// readAdmin reads a body whose members are all allowed here and none empty, so
// that a slip of the pen, or a variable of a script that was not set, does not end
// an app's sessions in place of a user's.
func readAdmin(r *http.Request, allowed ...string) (body adminBody, err error) {
	data, err := io.ReadAll(io.LimitReader(r.Body, maxAdminBody+1))
	if err != nil || len(data) > maxAdminBody {
		return body, adminError(http.StatusBadRequest, errors.New("body is missing or too large"))
	}
	members, err := strictjson.Object(data, 1)
	if err != nil {
		return body, adminError(http.StatusBadRequest, fmt.Errorf("body must be a JSON object with %s", strings.Join(allowed, ", ")))
	}
	texts := map[string]*string{
		"appid": &body.AppID, "openid": &body.OpenID, "session_id": &body.SessionID, "token": &body.Token,
		"user_hash": &body.UserHash, "after": &body.After,
	}
	for name, raw := range members {
		into := texts[name]
		switch {
		case !slices.Contains(allowed, name):
			return body, adminError(http.StatusBadRequest, fmt.Errorf("body may have %s, nothing else", strings.Join(allowed, ", ")))
		case name == "until":
			body.Until = raw
			continue
		case name == "user_id":
			value, ok := strictjson.String(raw)
			if !ok {
				return body, adminError(http.StatusBadRequest, errors.New("user_id is no string"))
			}
			body.UserID = &value
			continue
		case name == "limit":
			body.Limit = raw
			continue
		}
		value, ok := strictjson.String(raw)
		if !ok || value == "" && name != "after" { // empty is before the first page
			return body, adminError(http.StatusBadRequest, fmt.Errorf("%s is empty, or no string", name))
		}
		*into = value
	}
	return body, nil
}

// answerAdmin encodes the answer before it says that all is well.
func answerAdmin(w http.ResponseWriter, status int, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return adminError(http.StatusInternalServerError, fmt.Errorf("encoding the answer: %w", err))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // a client that left is no error of ours
	return nil
}

type adminKey struct {
	ID    string     `json:"kid"`
	Signs bool       `json:"signs"`
	Made  *time.Time `json:"made,omitempty"`
}

func (a *Admin) keys() (keys []adminKey) {
	for _, k := range a.app.Keys().Keys() {
		key := adminKey{ID: k.ID, Signs: k.Signing}
		if !k.Made.IsZero() {
			key.Made = &k.Made
		}
		keys = append(keys, key)
	}
	return keys
}

type adminApp struct {
	AppID    string `json:"appid"`
	Sessions *int   `json:"sessions,omitempty"` // absent when the store cannot tell
	Users    *int   `json:"users,omitempty"`
	Breaker  string `json:"breaker"`
	// BreakerUntil is when the next call of WeChat is tried.
	BreakerUntil *time.Time         `json:"breaker_until,omitempty"`
	LastLogin    *time.Time         `json:"last_login,omitempty"`
	LastProblem  *wechatapp.Problem `json:"last_problem,omitempty"`
}

func (a *Admin) status(w http.ResponseWriter, r *http.Request) error {
	state := a.app.Health(r.Context())
	apps := make([]adminApp, 0, len(a.app.AppIDs()))
	for _, id := range a.app.AppIDs() {
		app := adminApp{AppID: id}
		if count, err := a.app.Store().Sessions().Count(r.Context(), id); err == nil {
			app.Sessions, app.Users = &count.Sessions, &count.Users
		}
		breaker := a.app.Gateway().Breaker(id)
		if app.Breaker = breaker.State; !breaker.Until.IsZero() {
			app.BreakerUntil = &breaker.Until
		}
		app.LastLogin, app.LastProblem = a.app.Record().Last(id)
		if app.LastProblem == nil && breaker.Cause != nil { // of a configuration before this one
			problem := wechatapp.NewProblem(breaker.Cause, breaker.Failed)
			app.LastProblem = &problem
		}
		apps = append(apps, app)
	}
	return answerAdmin(w, http.StatusOK, struct {
		readyBody
		Apps      []adminApp `json:"apps"`
		StoreType string     `json:"store_type"`
		Keys      []adminKey `json:"keys"`
	}{newReadyBody(state), apps, a.app.Store().CaddyModule().ID.Name(), a.keys()})
}

type readyBody struct {
	Ready     bool   `json:"ready"`
	Store     string `json:"store"`
	StoreKeys string `json:"signing_keys"`
	// Storage is Caddy's, where sessions are kept over a stop.
	Storage string `json:"storage"`
}

func newReadyBody(s wechatapp.Health) readyBody {
	text := func(err error) string {
		if err != nil {
			return err.Error()
		}
		return "ok"
	}
	return readyBody{s.Ready(), text(s.Store), text(s.Keys), text(s.Storage)}
}

func (a *Admin) ready(w http.ResponseWriter, r *http.Request) error {
	state, status := a.app.Health(r.Context()), http.StatusOK
	if !state.Ready() {
		status = http.StatusServiceUnavailable
	}
	return answerAdmin(w, status, newReadyBody(state))
}

func (a *Admin) end(w http.ResponseWriter, r *http.Request) error {
	body, err := readAdmin(r, "appid", "openid", "session_id")
	if err != nil {
		return err
	}
	ended, err := a.app.Gateway().End(r.Context(), body.Target)
	if err != nil {
		return coreError(err)
	}
	a.ended(body.Target, ended)
	return answerAdmin(w, http.StatusOK, map[string]int{"ended": ended})
}

// ended tells log and events.
func (a *Admin) ended(t gateway.Target, ended int) {
	a.app.Record().SessionsEnded(t.AppID, a.app.Gateway().UserHash(t), ended)
}

func (a *Admin) deny(w http.ResponseWriter, r *http.Request) error {
	body, err := readAdmin(r, "appid", "openid", "until")
	if err != nil {
		return err
	}
	until, err := readTime(body.Until)
	if err != nil {
		return adminError(http.StatusBadRequest, err)
	}
	ended, err := a.app.Gateway().Deny(r.Context(), body.Target, until)
	if err != nil {
		return coreError(err)
	}
	a.app.Record().Operated("user denied by an operator", body.AppID, a.app.Gateway().UserHash(body.Target), zap.Time("until", until))
	if ended > 0 {
		a.ended(body.Target, ended)
	}
	return answerAdmin(w, http.StatusOK, struct {
		Ended       int       `json:"ended"`
		DeniedUntil time.Time `json:"denied_until"`
	}{ended, until.UTC()})
}

// readTime reads a time as RFC 3339 has it, or as Unix seconds. It must be
// named: a denial that nobody remembers does not end.
func readTime(raw json.RawMessage) (time.Time, error) {
	var seconds int64
	if json.Unmarshal(raw, &seconds) == nil && raw != nil {
		if seconds > session.LastTime.Unix() || seconds < 0 {
			return time.Time{}, errors.New("until must be Unix seconds between now and the year 9999")
		}
		return time.Unix(seconds, 0), nil
	}
	var until time.Time
	if raw == nil || json.Unmarshal(raw, &until) != nil {
		return until, errors.New("until must be a time such as 2026-12-31T23:59:59Z")
	}
	return until.Truncate(time.Second), nil
}

func (a *Admin) allow(w http.ResponseWriter, r *http.Request) error {
	body, err := readAdmin(r, "appid", "openid")
	if err != nil {
		return err
	}
	if err := a.app.Gateway().Allow(r.Context(), body.Target); err != nil {
		return coreError(err)
	}
	a.app.Record().Operated("user allowed by an operator", body.AppID, a.app.Gateway().UserHash(body.Target))
	return answerAdmin(w, http.StatusOK, map[string]bool{"allowed": true})
}

func (a *Admin) dropKey(w http.ResponseWriter, r *http.Request, kid string) error {
	err := a.app.DropKey(r.Context(), kid)
	switch {
	case errors.Is(err, keyring.ErrUnknownKey):
		return adminError(http.StatusNotFound, err)
	case errors.Is(err, keyring.ErrOnlyKey):
		return adminError(http.StatusConflict, fmt.Errorf("%w: put another one in front of it in the configuration first", err))
	case err != nil:
		return adminError(http.StatusServiceUnavailable, err)
	}
	return answerAdmin(w, http.StatusOK, map[string][]adminKey{"keys": a.keys()})
}

// explanationBody is the answer about a token.
type explanationBody struct {
	Verdict string `json:"verdict"`
	// Answer is the code of the error that a request with the token gets; absent if
	// it passes.
	Answer   string           `json:"answer,omitempty"`
	KeyID    string           `json:"kid,omitempty"`
	Signs    bool             `json:"key_signs"`
	UserHash string           `json:"user_hash,omitempty"`
	Claims   *explainedClaims `json:"claims,omitempty"`
}

type explainedClaims struct {
	AppID     string    `json:"appid"`
	OpenID    string    `json:"openid"`
	UnionID   string    `json:"unionid,omitempty"`
	SessionID string    `json:"session_id"`
	IssuedAt  time.Time `json:"issued_at"`
	Expires   time.Time `json:"expires"`
}

func (a *Admin) explain(w http.ResponseWriter, r *http.Request) error {
	body, err := readAdmin(r, "token")
	if err != nil {
		return err
	}
	var explained explanationBody
	e := a.app.Gateway().Explain(r.Context(), body.Token)
	explained.Verdict, explained.KeyID, explained.Signs = e.Verdict, e.Claims.KeyID, e.Signs
	if e.Err != nil {
		explained.Answer = answer.For(e.Err).Code
	}
	if u := e.Claims.User; u.OpenID != "" {
		explained.Claims = &explainedClaims{u.AppID, u.OpenID, u.UnionID, u.SessionID, e.Claims.IssuedAt.UTC(), e.Claims.Expires.UTC()}
		explained.UserHash = a.app.Gateway().UserHash(gateway.Target{AppID: u.AppID, OpenID: u.OpenID})
	}
	return answerAdmin(w, http.StatusOK, explained)
}

// Interface guards
var (
	_ caddy.AdminRouter = (*Admin)(nil)
	_ caddy.Provisioner = (*Admin)(nil)
)
