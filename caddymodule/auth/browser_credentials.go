package auth

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/caddymodule/internal/request"
	"github.com/caddy-wechat/gateway/internal/browser"
	"github.com/caddy-wechat/gateway/internal/gateway"
)

// credential is what a request says about its user.
type credential struct {
	// text is the token; empty if there is none.
	text string
	// byCookie says that the token is that of a browser's cookie.
	byCookie bool
	// foreign says that beside it there is a token in the carrier that is the app's
	// own and stays.
	foreign bool
	// tried is the answer for the token, if finding out which one counts gave it.
	tried *trial
}

type trial struct {
	pass gateway.Pass
	err  error
}

// secure reports whether the browser is at https, which decides about the names of
// cookies.
func secure(r *http.Request) bool { return request.Scheme(r) == "https" }

// cookie returns the token in the browser's cookie, empty if there is none.
func (h *Handler) cookie(r *http.Request) (string, error) {
	if len(r.Header["Cookie"]) == 0 {
		return "", nil
	}
	value, count := h.browsers.cookies.Value(r.Header, secure(r))
	if count > 1 {
		return "", answer.ErrTwoCredentials
	}
	return value, nil
}

// credentials finds the token that counts, in the carrier or in the browser's
// cookie. A request can have both: a page in WeChat that calls an API with the app's
// own bearer, a Mini Program whose host keeps cookies. Two live ones of different
// users are errTwoCredentials.
func (h *Handler) credentials(r *http.Request) (credential, error) {
	text, err := h.carrier.credential(r)
	if err != nil {
		return credential{}, err
	}
	inCookie, err := h.cookie(r)
	switch {
	case err != nil:
		return credential{}, err
	case inCookie == "":
		return credential{text: text}, nil
	case text == "":
		return credential{text: inCookie, byCookie: true}, nil
	}
	return h.choose(r, text, inCookie)
}

// choose decides between a token in the carrier and one in the cookie.
func (h *Handler) choose(r *http.Request, text, inCookie string) (credential, error) {
	carried := new(trial)
	carried.pass, carried.err = h.gateway.Admit(r.Context(), text, h.apps)
	ofCookie := new(trial)
	ofCookie.pass, ofCookie.err = h.gateway.AdmitCookie(r.Context(), inCookie, h.apps)
	explicit := credential{text: text, tried: carried}
	foreign := errors.Is(carried.err, gateway.ErrLoginRequired) && !h.gateway.Signed(text)
	switch {
	case ofCookie.err != nil && foreign && !saysNobody(ofCookie.err): // the cookie may be what counts
		return credential{text: inCookie, byCookie: true, foreign: true, tried: ofCookie}, nil
	case ofCookie.err != nil:
		return explicit, nil //nolint:nilerr // the cookie is not needed, or worth nothing
	case carried.err == nil:
		a, b := carried.pass.User, ofCookie.pass.User
		if a.AppID != b.AppID || a.OpenID != b.OpenID {
			return credential{}, answer.ErrTwoCredentials
		}
		return explicit, nil
	case foreign:
		return credential{text: inCookie, byCookie: true, foreign: true, tried: ofCookie}, nil
	}
	return explicit, nil
}

// authenticate returns the user of the token that counts; a missing token is the
// same error as a token that another issuer signed.
func (h *Handler) authenticate(r *http.Request, c credential) (gateway.Pass, error) {
	switch surely := h.Assertion != nil; { // an app believes an assertion after an outage, too
	case c.text == "":
		return gateway.Pass{}, answer.ErrNoToken
	case c.byCookie && surely:
		return h.gateway.AdmitCookieSurely(r.Context(), c.text, h.apps)
	case surely:
		return h.gateway.AdmitSurely(r.Context(), c.text, h.apps)
	case c.tried != nil:
		return c.tried.pass, c.tried.err
	case c.byCookie:
		return h.gateway.AdmitCookie(r.Context(), c.text, h.apps)
	}
	return h.gateway.Admit(r.Context(), c.text, h.apps)
}

// describe says what is left of the session of the token that counts.
func (h *Handler) describe(ctx context.Context, c credential) (gateway.Description, error) {
	if c.byCookie {
		return h.gateway.DescribeCookie(ctx, c.text, h.apps)
	}
	return h.gateway.Describe(ctx, c.text, h.apps)
}

// requireCredentials is credentials for a gateway route that needs them.
func (h *Handler) requireCredentials(r *http.Request) (credential, error) {
	cred, err := h.credentials(r)
	switch {
	case err != nil:
		return credential{}, err
	case cred.text == "":
		return credential{}, answer.ErrNoToken
	case h.ambient(cred):
		err = h.site.check(r, false)
	}
	return cred, err
}

// ambient reports whether it is the browser that sends the token, whoever made it
// send the request.
func (h *Handler) ambient(c credential) bool {
	return c.byCookie || c.text != "" && h.carrier.ambient()
}

// isNoCredential reports whether an error is about a browser's cookie that does not
// count, which on pages for everybody is the same as none. A store that cannot tell,
// and a request from another site, are no reason to take it for that.
func (h *Handler) isNoCredential(r *http.Request, cred credential, err error) bool {
	switch {
	case errors.Is(err, answer.ErrTwoCredentials):
		// Two cookies, and nothing in the carrier.
		text, carried := h.carrier.credential(r)
		_, count := h.browsers.cookies.Value(r.Header, secure(r))
		return carried == nil && text == "" && count > 1
	case !cred.byCookie:
		return false
	}
	return saysNobody(err)
}

// saysNobody reports whether an error says that a token has no user, and not that
// the gateway cannot tell.
func saysNobody(err error) bool {
	return errors.Is(err, gateway.ErrLoginRequired) || errors.Is(err, gateway.ErrSessionExpired) || errors.Is(err, gateway.ErrSessionEnded)
}

// origin is the origin in the browser's address bar.
func (h *Handler) origin(r *http.Request) (browser.Origin, error) {
	origin, ok := browser.OriginOf(r, request.FromTrustedProxy(r))
	if !ok {
		return origin, answer.ErrHost
	}
	return origin, nil
}
