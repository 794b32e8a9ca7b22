package auth

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/urlpath"
)

// admission is what became of a request before the app.
type admission struct {
	answered  bool // by the gateway; the app never hears of it
	anonymous bool
	pass      gateway.Pass
	varies    bool      // whether a token would have changed the answer
	trip      *trip     // of a login on the way
	byCookie  bool      // a browser's cookie says who it is from
	until     time.Time // not zero: when the signed URL ends that let it pass
}

// ServeHTTP strips, serves the gateway's routes, authenticates and injects.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	h.app.EnsureStarted()
	asked := h.preset.Read(r.Header)
	// Before any decision, and in place: error routes get the same header map.
	h.guard.Strip(r.Header, func() bool { return fromTrustedProxy(r) })
	sent := h.takeCode(r)
	upgrades := len(r.Header["Upgrade"]) > 0
	websocket := identity.CleanHop(r)
	h.preset.Keep(r.Header, asked)

	a := h.admit(w, r, hop{websocket, upgrades}, sent)
	if a.answered {
		return nil
	}
	if !a.anonymous {
		if err := h.inject(r, a.pass.User, asked); err != nil {
			a.trip.hand(w.Header())
			h.refuse(w, err, a.pass.User)
			return nil
		}
	}
	if a.anonymous {
		setPlaceholders(r, placeholderOfNobody)
		h.record.Passed(wechatapp.Anonymous)
		marked := h.marked(w, false)
		if marked.vary = h.varyNobody; !a.varies {
			marked.vary, marked.referrer = nil, false
		}
		return marked.finish(next.ServeHTTP(&marked, r))
	}
	p := &passage{responseWriter: h.marked(w, true), handler: h, pass: a.pass}
	if a.trip != nil {
		p.trip = a.trip
	}
	if a.byCookie {
		p.vary = h.varyCookie
	}
	if !a.until.IsZero() {
		p.until, p.referrer = a.until, true
	}
	setPlaceholders(r, p.placeholder)
	h.record.Passed(wechatapp.Authenticated)
	return p.serve(r, next)
}

// hop is what a request wanted of its connection before that was cleaned.
type hop struct {
	websocket bool
	upgrades  bool // to whatever
}

// admit decides. Whatever goes wrong in here, a panic included, is an answer of
// the gateway and never lets a request through.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request, hop hop, sent *sentCode) (a admission) {
	defer func() {
		if p := recover(); p != nil {
			h.logger.Error("panic while deciding about a request", zap.String("panic", fmt.Sprintf("%T", p)), zap.Stack("stack"))
			h.answerRefusal(w, answer.InternalError)
			a = admission{answered: true}
		}
	}()
	// Neither has a use for an app, and both are dangerous: a CONNECT body can
	// be taken for another request (Traefik CVE-2026-71324), TRACE echoes the
	// injected headers.
	if r.Method == http.MethodTrace || r.Method == http.MethodConnect && !hop.websocket {
		h.refuse(w, answer.ErrMethodNotAllowed, identity.User{})
		return admission{answered: true}
	}
	c := classify(r)
	signed := takeSignature(r)
	if urlpath.Below(c.sent, h.prefix) || c.current != c.sent && urlpath.Below(c.current, h.prefix) {
		h.serveRoute(w, r, &c)
		return admission{answered: true}
	}
	if h.Public.selects(&c) {
		h.carrier.remove(r)
		h.browsers.strip(r)
		return admission{anonymous: true}
	}
	if sent != nil {
		return h.admitCode(w, r, &c, sent)
	}
	given, err := h.credentials(r)
	optional := h.Optional.selects(&c)
	if err == nil && given.text == "" && optional && !h.judgesSignature(r, signed, hop) {
		return h.anonymous(r)
	}
	var pass gateway.Pass
	if err == nil {
		pass, err = h.authenticate(r, given)
	}
	if err == nil && h.ambient(given) { // what does not count identifies nothing
		err = h.site.check(r, hop.websocket)
	}
	var until time.Time
	if needsSignature(err) && h.judgesSignature(r, signed, hop) {
		c.signed = true
		pass, until, err = h.admitSigned(r, &c, signed, err)
	}
	if err != nil && optional && !c.signed && h.isNoCredential(r, given, err) {
		return h.anonymous(r)
	}
	if err != nil {
		h.refuseTo(w, r, &c, err, pass.User)
		return admission{answered: true}
	}
	if !h.ForwardToken && !given.foreign {
		h.carrier.remove(r)
	}
	h.browsers.strip(r)
	return admission{pass: pass, varies: true, byCookie: given.byCookie, until: until}
}

// anonymous lets a request pass that a login would have changed.
func (h *Handler) anonymous(r *http.Request) admission {
	h.browsers.strip(r)
	return admission{anonymous: true, varies: true}
}

// refuse answers for the gateway. user is who the token speaks for, if anybody.
func (h *Handler) refuse(w http.ResponseWriter, err error, user identity.User) {
	refusal := answer.For(err)
	h.answerRefusal(w, refusal)
	h.record.LogRefused(refusal, err, user, h.userHash)
}

// debugToken says in the log why the token of a refused request does not count.
func (h *Handler) debugToken(r *http.Request, err error) {
	if !errors.Is(err, gateway.ErrLoginRequired) && !errors.Is(err, gateway.ErrSessionExpired) && !errors.Is(err, gateway.ErrSessionEnded) {
		return
	}
	h.record.TokenRefused(func() (reason, kid string) {
		given, _ := h.credentials(r)
		e := h.gateway.Explain(r.Context(), given.text)
		if app := e.Claims.User.AppID; app != "" && !h.apps.Has(app) {
			return "app_not_of_this_site", e.Claims.KeyID
		}
		return e.Verdict, e.Claims.KeyID
	})
}

func (h *Handler) answerRefusal(w http.ResponseWriter, refusal answer.Refusal) {
	h.count(refusal)
	answer.Write(w, refusal)
}

// count counts a refused request.
func (h *Handler) count(refusal answer.Refusal) {
	h.record.Refused(refusal)
}

func (h *Handler) userHash(user identity.User) string {
	return h.app.Keys().Current().UserHash(user.AppID, user.OpenID)
}

// fromTrustedProxy reports whether the peer is in Caddy's trusted_proxies.
func fromTrustedProxy(r *http.Request) bool {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}
