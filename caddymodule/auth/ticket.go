package auth

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/caddymodule/internal/request"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/browser"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/page"
	"github.com/caddy-wechat/gateway/internal/strictjson"
)

var errTicketBody = fmt.Errorf("%w: the body must be one JSON object such as {\"to\":\"/page\"}", gateway.ErrInvalidRequest)

// ticket makes the address that a Mini Program opens in its web-view.
func (h *Handler) ticket(w http.ResponseWriter, r *http.Request, c *classified) error {
	text, err := h.tokenOnly(r)
	if err != nil {
		return err
	}
	origin, err := h.origin(r)
	if err != nil {
		return err
	}
	if !strictjson.Declared(r.Header) {
		return answer.ErrMediaType
	}
	data, err := request.ReadBody(w, r, maxLoginBody)
	if err != nil {
		return err
	}
	members, err := strictjson.Object(data, maxLoginDepth)
	if err != nil {
		return errTicketBody
	}
	to := browser.Home
	if err := readMember(members, "to", &to); err != nil {
		return errTicketBody
	}
	sealed, lifetime, err := h.gateway.Ticket(r.Context(), text, origin.Host, h.target(c, to), h.apps)
	if err != nil {
		return err
	}
	h.record.Passed(wechatapp.Authenticated)
	answer.WriteJSON(w, http.StatusOK, struct {
		URL       string `json:"url"`
		ExpiresIn int64  `json:"expires_in"`
	}{origin.String() + h.link(c, "/enter", url.Values{"t": {sealed}}), int64(lifetime / time.Second)})
	return nil
}

// enter lets a web-view in with its ticket.
func (h *Handler) enter(w http.ResponseWriter, r *http.Request, c *classified) error {
	if !browser.PageLoad(r) {
		return gateway.ErrTicketRefused
	}
	query, single := parameters(r.URL.RawQuery)
	if !single {
		return gateway.ErrTicketRefused
	}
	return h.useTicket(w, r, c, query.Get("t"), false)
}

// enterReplacing is the form that asks before another person's login is replaced. Unlike
// elsewhere, a browser must say that its own page has sent it: somebody who brings a
// user to send it logs him in as another.
func (h *Handler) enterReplacing(w http.ResponseWriter, r *http.Request, c *classified) error {
	if len(r.Header["Origin"]) == 0 && len(r.Header["Sec-Fetch-Site"]) == 0 {
		return answer.ErrCrossSite
	}
	if err := h.site.check(r, false); err != nil {
		return err
	}
	if !browser.Form(r) {
		return gateway.ErrTicketRefused
	}
	body, err := request.ReadBody(w, r, maxEnterBody)
	if err != nil {
		return err
	}
	fields, single := parameters(string(body))
	if !single {
		return gateway.ErrTicketRefused
	}
	return h.useTicket(w, r, c, fields.Get("t"), true)
}

const maxEnterBody = 8 << 10

// useTicket judges first whose browser it is: what scanners, previews and friends open
// uses nothing up.
func (h *Handler) useTicket(w http.ResponseWriter, r *http.Request, c *classified, text string, agreed bool) error {
	origin, err := h.origin(r)
	if err != nil {
		return err
	}
	if browser.ClientOf(r.UserAgent()) != browser.WebView {
		return gateway.ErrTicketRefused
	}
	t, err := h.gateway.OpenTicket(origin.Host, text, h.apps)
	if err != nil {
		return err
	}
	if named := browser.MiniProgram(r.UserAgent()); named != "" && named != t.User.AppID {
		return gateway.ErrTicketRefused
	}
	to := h.target(c, t.To)
	current, isLive := h.liveUser(r)
	if isLive && sameSession(current, t.User) { // also when the page is loaded again
		redirect(w, http.StatusSeeOther, to)
		return nil
	}
	user, err := h.gateway.CheckTicket(r.Context(), t)
	if err != nil {
		return err
	}
	if isLive && !agreed && !samePerson(current, user) {
		h.record.Passed(wechatapp.Anonymous)
		h.showPage(w, r, http.StatusOK, "", page.Page{Kind: page.Confirm, Continue: h.link(c, "/enter", nil), Confirm: text})
		return nil
	}
	grant, err := h.gateway.UseTicket(r.Context(), t, h.browsers.lifetime)
	if err != nil {
		return err
	}
	h.record.Entered(grant.AppID, grant.UserHash)
	h.record.Passed(wechatapp.Anonymous)
	if isLive {
		h.endOld(r, grant)
	}
	h.setSession(w, r, origin, grant)
	redirect(w, http.StatusSeeOther, to)
	return nil
}

func sameSession(a, b identity.User) bool {
	return a.AppID == b.AppID && a.OpenID == b.OpenID && a.SessionID == b.SessionID
}

// samePerson reports whether two users are one person as far as WeChat tells.
func samePerson(a, b identity.User) bool {
	return a.AppID == b.AppID && a.OpenID == b.OpenID || a.UnionID != "" && a.UnionID == b.UnionID
}
