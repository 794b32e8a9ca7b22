package auth

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/caddymodule/internal/request"
	"github.com/caddy-wechat/gateway/internal/authparam"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/identity"
)

const (
	codeScheme  = "WeChat-Code"
	maxTripBody = 64 << 10
)

// Errors of a request that cannot log in on its way. Its code is as good as before.
var (
	errTripSyntax = fmt.Errorf("%w: Authorization must be %s code=\"…\", with nonce=\"…\" and appid=\"…\" if need be, each once", gateway.ErrInvalidRequest, codeScheme)
	errTripTwice  = fmt.Errorf("%w: the request carries a code and another credential", gateway.ErrInvalidRequest)
	errTripSwitch = fmt.Errorf("%w: a connection that is to be upgraded cannot carry a code; log in first", gateway.ErrInvalidRequest)
	errTripBody   = fmt.Errorf("%w: a request that carries a code must have a body of known length, at most %d bytes; log in first", gateway.ErrInvalidRequest, maxTripBody)
)

func (h *Handler) provisionOneTrip() {
	if !h.OneTrip {
		return
	}
	h.trips = new(trip)
	if !slices.Contains(h.vary, "Authorization") {
		h.vary = append(h.vary, "Authorization")
	}
}

// sentCode is what a request has in place of a token.
type sentCode struct {
	params   []string // of each header line of the scheme
	upgrades bool
}

// takeCode removes the code from the request, whatever becomes of it, and returns
// it; nil if there is none. It comes before the hop's headers are cleaned, and so
// sees every upgrade that is asked for.
func (h *Handler) takeCode(r *http.Request) *sentCode {
	values := r.Header["Authorization"]
	if !h.OneTrip || len(values) == 0 {
		return nil
	}
	var params, kept []string
	for _, value := range values {
		if text, ok := authparam.Cut(value, codeScheme); ok {
			params = append(params, text)
		} else {
			kept = append(kept, value)
		}
	}
	if len(params) == 0 {
		return nil
	}
	if len(kept) == 0 {
		delete(r.Header, "Authorization")
	} else {
		r.Header["Authorization"] = kept
	}
	return &sentCode{params, len(r.Header["Upgrade"]) > 0 || identity.IsExtendedConnect(r)}
}

// decideCode logs the request's user in. Nothing of the body has been read when it
// refuses.
func (h *Handler) decideCode(w http.ResponseWriter, r *http.Request, c *classified, sent *sentCode) decision {
	start := time.Now()
	req, err := h.readCode(r, sent)
	var grant gateway.Grant
	if err == nil {
		req.Client = request.ClientAddr(r)
		grant, err = h.gateway.Login(r.Context(), req, h.loginApps)
	}
	if err != nil {
		if req.AppID == "" && len(h.loginApps) == 1 {
			req.AppID = h.loginApps[0]
		}
		refusal := answer.For(err)
		h.record.LoginRefused(request.ClientIP(r), req.AppID, grant, refusal, err, time.Since(start))
		h.refuseCode(w, c, refusal)
		return answered{}
	}
	h.record.LoggedIn(grant, time.Since(start))
	// A login repeated by its nonce may belong to a session that has ended.
	pass, err := h.authenticate(r, credential{text: grant.Token})
	if err != nil {
		refusal := answer.For(err)
		h.refuseCode(w, c, refusal)
		h.record.LogRefused(refusal, err, pass.User, h.userHash)
		return answered{}
	}
	h.browsers.strip(r)
	p := h.newPassage(w, pass)
	p.trip = &trip{grant.Token, strconv.FormatInt(int64(grant.ExpiresIn/time.Second), 10)}
	return p
}

// readCode reads the login of a request that may carry one.
func (h *Handler) readCode(r *http.Request, sent *sentCode) (req gateway.LoginRequest, err error) {
	if r.ProtoMajor == 3 && r.ContentLength < 0 && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		r.Body, r.ContentLength = http.NoBody, 0 // HTTP/3 does not say that there is none
	}
	switch {
	case request.InEarlyData(r):
		return req, answer.ErrTooEarly
	case len(sent.params) > 1:
		return req, errTripTwice
	case sent.upgrades:
		return req, errTripSwitch
	case r.ContentLength < 0 || r.ContentLength > maxTripBody:
		return req, errTripBody
	}
	if err := h.onlyCode(r); err != nil {
		return req, err
	}
	params, err := authparam.Parse(sent.params[0])
	if err != nil {
		return req, errTripSyntax
	}
	for name, value := range params {
		switch {
		case value == "":
			return req, errTripSyntax
		case name == "code":
			req.Code = value
		case name == "nonce":
			req.Nonce = value
		case name == "appid":
			req.AppID = value
		default:
			return req, errTripSyntax
		}
	}
	if req.Code == "" {
		return req, errTripSyntax
	}
	return req, nil
}

// onlyCode refuses another credential beside the code: a token in the carrier,
// whatever it is worth, or a browser's cookie that counts.
func (h *Handler) onlyCode(r *http.Request) error {
	if text, err := h.carrier.credential(r); err != nil || text != "" {
		return errTripTwice
	}
	inCookie, err := h.cookie(r)
	if err != nil || inCookie == "" {
		return err
	}
	if _, err = h.gateway.AdmitCookie(r.Context(), inCookie, h.apps); err == nil {
		return errTripTwice
	}
	if answer.For(err).Status == http.StatusUnauthorized {
		return nil // left over in a client that keeps cookies
	}
	return err
}
