package auth

import (
	"errors"
	"net/http"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/identity"
)

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
		cred, _ := h.credentials(r)
		e := h.gateway.Explain(r.Context(), cred.text)
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

// refuseCode answers as login does: whoever sends a code reads JSON.
func (h *Handler) refuseCode(w http.ResponseWriter, c *classified, refusal answer.Refusal) {
	login := ""
	if refusal.Status == http.StatusUnauthorized && h.browsers.logsIn() {
		login = h.link(c, "/authorize", nil)
	}
	h.count(refusal)
	answer.WriteWithLogin(w, refusal, login)
}
