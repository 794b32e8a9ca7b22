package auth

import (
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/caddymodule/internal/request"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/urlpath"
)

// ServeHTTP strips, serves the gateway's routes, authenticates and injects.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.ProtoMajor > 1 {
		growStack()
	}
	h.app.EnsureStarted()
	asked := h.preset.Read(r.Header)
	// Before any decision, and in place: error routes get the same header map.
	h.guard.Strip(r.Header, func() bool { return request.FromTrustedProxy(r) })
	sent := h.takeCode(r)
	upgrades := len(r.Header["Upgrade"]) > 0
	websocket := identity.CleanHop(r)
	h.preset.Keep(r.Header, asked)

	switch d := h.decide(w, r, hop{websocket, upgrades}, sent).(type) {
	case nobody:
		return h.passNobody(w, r, next, d)
	case *passage:
		if err := h.inject(r, d.pass.User, asked); err != nil {
			d.trip.addToken(w.Header())
			h.refuse(w, err, d.pass.User)
			return nil
		}
		return h.passUser(d, r, next)
	}
	return nil
}

// passNobody passes a request on without a user.
func (h *Handler) passNobody(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, how nobody) error {
	setPlaceholders(r, placeholderOfNobody)
	h.record.Passed(wechatapp.Anonymous)
	marked := h.marked(w, false)
	marked.vary, marked.referrer = nil, how&tokenInURL != 0
	if how&varies != 0 {
		marked.vary = h.varyNobody
	}
	return marked.finish(next.ServeHTTP(&marked, r))
}

// passUser passes a request on in the name of its user.
func (h *Handler) passUser(p *passage, r *http.Request, next caddyhttp.Handler) error {
	setPlaceholders(r, p.placeholder)
	h.record.Passed(wechatapp.Authenticated)
	return p.serve(r, next)
}

// decide decides about a request. Any failure in here, a panic included, is
// an answer of the gateway and never lets a request through.
func (h *Handler) decide(w http.ResponseWriter, r *http.Request, hop hop, sent *sentCode) (d decision) {
	defer func() {
		if p := recover(); p != nil {
			h.logger.Error("panic while deciding about a request", zap.String("panic", fmt.Sprintf("%T", p)), zap.Stack("stack"))
			h.answerRefusal(w, answer.InternalError)
			d = answered{}
		}
	}()
	// No app needs either, and both are dangerous: a CONNECT body can
	// be taken for another request (Traefik CVE-2026-71324), TRACE echoes the
	// injected headers.
	if r.Method == http.MethodTrace || r.Method == http.MethodConnect && !hop.websocket {
		h.refuse(w, answer.ErrMethodNotAllowed, identity.User{})
		return answered{}
	}
	c := classify(r)
	signed := takeSignature(r)
	switch {
	case urlpath.Below(c.sent, h.prefix) || c.current != c.sent && urlpath.Below(c.current, h.prefix):
		h.serveRoute(w, r, c)
		return answered{}
	case h.Public.selects(&c):
		query := r.URL.RawQuery
		h.carrier.remove(r)
		h.browsers.strip(r)
		if r.URL.RawQuery != query {
			return tokenInURL
		}
		return nobody(0)
	case sent != nil:
		return h.decideCode(w, r, &c, sent)
	}
	return h.decideCredentials(w, r, &c, hop, signed)
}

// decideCredentials decides by the token, the cookie or the signature of a request.
func (h *Handler) decideCredentials(w http.ResponseWriter, r *http.Request, c *classified, hop hop, signed string) decision {
	cred, err := h.credentials(r)
	optional := h.Optional.selects(c)
	if err == nil && cred.text == "" && optional && !h.judgesSignature(r, signed, hop) {
		return h.anonymous(r)
	}
	var pass gateway.Pass
	if err == nil {
		pass, err = h.authenticate(r, cred)
	}
	if err == nil && h.ambient(cred) { // a token that does not count identifies nobody
		err = h.site.check(r, hop.websocket)
	}
	var until time.Time
	if needsSignature(err) && h.judgesSignature(r, signed, hop) {
		c.signed = true
		pass, until, err = h.admitSigned(r, c, signed, err)
	}
	if err != nil && optional && !c.signed && h.isNoCredential(r, cred, err) {
		return h.anonymous(r)
	}
	if err != nil {
		h.refuseTo(w, r, c, err, pass.User)
		return answered{}
	}
	if !h.ForwardToken && !cred.foreign {
		h.carrier.remove(r)
	}
	h.browsers.strip(r)
	p := h.newPassage(w, pass)
	if cred.byCookie {
		p.vary = h.varyCookie
	}
	if !until.IsZero() {
		p.until, p.referrer = until, true
	}
	return p
}

// anonymous lets a request pass that a login would have changed.
func (h *Handler) anonymous(r *http.Request) decision {
	h.browsers.strip(r)
	return varies
}
