package auth

import (
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/internal/browser"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/page"
	"github.com/caddy-wechat/gateway/internal/provider"
)

// refuseTo answers for the gateway: people whose browser loads a page, or sends a
// form, get a page or a redirect to WeChat, everybody else JSON.
func (h *Handler) refuseTo(w http.ResponseWriter, r *http.Request, c *classified, err error, user identity.User) {
	h.debugToken(r, err)
	refusal := answer.For(err)
	if !h.answersPerson(w, r, c, err, &refusal) {
		login := ""
		if refusal.Status == http.StatusUnauthorized && h.browsers.logsIn() {
			login = h.link(c, "/authorize", nil)
		}
		h.count(refusal)
		answer.WriteWithLogin(w, refusal, login)
	}
	h.record.LogRefused(refusal, err, user, h.userHash)
}

// answersPerson answers a page load or a form; false if the request is neither, or
// if no page fits. It may change the refusal to a more fitting one.
func (h *Handler) answersPerson(w http.ResponseWriter, r *http.Request, c *classified, err error, refusal *answer.Refusal) bool {
	load, form := browser.PageLoad(r), browser.Form(r)
	client := browser.ClientOf(r.UserAgent())
	if !load && !form || !h.browsers.logsIn() && client != browser.WebView {
		return false
	}
	switch {
	case h.answersTicket(w, r, err, *refusal):
	case refusal.Status != http.StatusUnauthorized || h.below(c):
		h.writePage(w, r, *refusal, h.pageOf(c, *refusal))
	case form:
		h.writePage(w, r, *refusal, page.Page{Kind: page.FormLost, Continue: h.authorizeLink(r, c, h.home(c))})
	case client == browser.WebView:
		h.writePage(w, r, *refusal, page.Page{Kind: page.GoBack})
	default:
		h.challenge(w, r, c, err, refusal)
	}
	return true
}

// challenge answers a page load that needs a login.
func (h *Handler) challenge(w http.ResponseWriter, r *http.Request, c *classified, err error, refusal *answer.Refusal) {
	to := h.sentURI(c)
	login := h.authorizeLink(r, c, to)
	states, current := h.storedStates(r), time.Now()
	b, cookies := &h.browsers, h.browsers.cookies.All(r.Header)
	has := func(name string) bool { return hasCookie(cookies, name) }
	switch {
	case has(b.cookies.Snapshot(secure(r))):
		*refusal = answer.For(provider.ErrSnapshotUser)
		h.writePage(w, r, *refusal, page.Page{Kind: page.Snapshot})
	case has(b.cookies.Out(secure(r))):
		*refusal = answer.For(answer.ErrLoggedOut)
		h.writePage(w, r, *refusal, page.Page{Kind: page.LoggedOut, Continue: login})
	case browser.NotKept(states, current):
		*refusal = answer.For(answer.ErrNotKept)
		reason := "the browser does not send the session cookie back"
		if !errors.Is(err, answer.ErrNoToken) {
			reason = "the session of the cookie is not known here"
		}
		h.logger.Warn("a browser logs in again and again", zap.String("reason", reason), zap.Error(err))
		h.writePage(w, r, *refusal, page.Page{Kind: page.NotKept, Code: refusal.Code, Continue: login})
	case !b.challenge || h.bringsBoth(r):
		h.writePage(w, r, *refusal, page.Page{Kind: page.LoginRequired, Continue: login})
	default:
		h.count(*refusal)
		w.Header().Set(identity.VerdictHeader, refusal.Code)
		redirect(w, http.StatusFound, login)
	}
}

// storedStates returns the states that the browser brings.
func (h *Handler) storedStates(r *http.Request) []browser.StoredState {
	origin, err := h.origin(r)
	if err != nil {
		return nil
	}
	return h.browsers.cookies.States(h.app.Keys().Current(), origin, r.Header)
}

func hasCookie(cookies []browser.Pair, name string) bool {
	for _, pair := range cookies {
		if pair.Name == name {
			return true
		}
	}
	return false
}

// bringsBoth reports whether the browser is logged in, and yet sends on its own a token
// that does not count. A login would not help.
func (h *Handler) bringsBoth(r *http.Request) bool {
	if !h.carrier.ambient() {
		return false
	}
	_, live := h.liveUser(r)
	return live
}

// answersTicket shows a page for a ticket that is refused, always the same.
func (h *Handler) answersTicket(w http.ResponseWriter, r *http.Request, err error, refusal answer.Refusal) bool {
	if !errors.Is(err, gateway.ErrTicketRefused) {
		return false
	}
	h.writePage(w, r, refusal, page.Page{Kind: page.GoBack})
	return true
}
