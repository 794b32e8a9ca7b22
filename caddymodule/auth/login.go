package auth

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/caddymodule/internal/request"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/strictjson"
)

const (
	maxLoginBody  = 4 << 10
	maxLoginDepth = 4
)

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
		req.Client = request.ClientAddr(r)
		grant, err = h.gateway.Login(r.Context(), req, h.loginApps)
	}
	if req.AppID == "" && len(h.loginApps) == 1 {
		req.AppID = h.loginApps[0]
	}
	if err != nil {
		refusal := answer.For(err)
		h.record.LoginRefused(request.ClientIP(r), req.AppID, grant, refusal, err, time.Since(start))
		h.refuseCode(w, c, refusal)
		return nil
	}
	h.record.LoggedIn(grant, time.Since(start))
	h.record.Passed(wechatapp.Anonymous)
	h.writeGrant(w, r, grant)
	return nil
}

func (h *Handler) renew(w http.ResponseWriter, r *http.Request, _ *classified) error {
	cred, err := h.requireCredentials(r)
	if err != nil {
		return err
	}
	if cred.byCookie {
		return answer.ErrCookieRenewal
	}
	grant, err := h.gateway.Renew(r.Context(), cred.text, h.apps)
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
	cred, err := h.requireCredentials(r)
	if err != nil {
		return err
	}
	d, err := h.describe(r.Context(), cred)
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
// claims (openid, unionid, session_key) are ignored.
func readLogin(w http.ResponseWriter, r *http.Request) (gateway.LoginRequest, error) {
	var req gateway.LoginRequest
	if !strictjson.Declared(r.Header) {
		return req, answer.ErrMediaType
	}
	data, err := request.ReadBody(w, r, maxLoginBody)
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
