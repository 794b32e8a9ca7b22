package auth

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/caddymodule/internal/request"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/browser"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/page"
)

// logout ends the sessions of all tokens in the request, that of a client and that
// of a browser, and takes the browser's cookies away whatever they are worth.
func (h *Handler) logout(w http.ResponseWriter, r *http.Request, c *classified) error {
	carried, err := h.carriedTokens(r)
	if err != nil {
		return err
	}
	pairs := h.browsers.cookies.All(r.Header)
	form := browser.Form(r)
	inBrowser := form || len(pairs) > 0
	if inBrowser || len(carried) > 0 && h.carrier.ambient() { // the answer changes cookies
		if err := h.site.check(r, false); err != nil {
			return err
		}
	}
	if len(carried) == 0 && !inBrowser {
		return answer.ErrNoToken
	}
	to, err := h.logoutTo(w, r, c, form)
	if err != nil {
		return err
	}
	if err := h.endSessions(r, carried, pairs, inBrowser); err != nil {
		return err
	}
	h.carrier.clearToken(w, r)
	if inBrowser {
		h.clearCookies(w, r)
	}
	if form {
		redirect(w, http.StatusSeeOther, to)
		return nil
	}
	answer.WriteJSON(w, http.StatusNoContent, nil)
	return nil
}

// maxCarried is how many cookies of one name a logout looks at: the client's own, and what
// neighbours may have planted.
const maxCarried = 8

// carriedTokens are the client's tokens, usually one, and each once. Of two cookies nobody
// knows which is its own, so a logout is about both.
func (h *Handler) carriedTokens(r *http.Request) (tokens []string, err error) {
	if cookie, ok := h.carrier.(cookieCarrier); ok {
		for text := range cookie.values(r) {
			if text != "" && len(tokens) < maxCarried && !slices.Contains(tokens, text) {
				tokens = append(tokens, text)
			}
		}
		return tokens, nil
	}
	text, err := h.carrier.credential(r)
	if err != nil || text == "" {
		return nil, err
	}
	return []string{text}, nil
}

// endSessions ends the sessions of the client's tokens and those of the browser's
// cookies. It is an error if none of the client's is ours, unless there is a browser.
func (h *Handler) endSessions(r *http.Request, carried []string, pairs []browser.Pair, inBrowser bool) error {
	ended := inBrowser || len(carried) == 0
	for _, text := range carried {
		user, err := h.gateway.Logout(r.Context(), text, h.apps)
		switch {
		case err == nil:
			h.loggedOut(user)
			ended = true
		case !errors.Is(err, gateway.ErrLoginRequired):
			return err
		}
	}
	if !ended {
		return gateway.ErrLoginRequired
	}
	name := h.browsers.cookies.Session(secure(r))
	for _, pair := range pairs {
		if pair.Name != name {
			continue
		}
		user, err := h.gateway.LogoutCookie(r.Context(), pair.Value, h.apps)
		switch {
		case err == nil:
			h.loggedOut(user)
		case !errors.Is(err, gateway.ErrLoginRequired):
			return err
		}
	}
	return nil
}

func (h *Handler) loggedOut(user identity.User) {
	h.record.Passed(wechatapp.Authenticated)
	h.record.LoggedOut(user.AppID, h.userHash(user))
}

// clearCookies takes all cookies away, and leaves a mark: until the user asks for a
// login, no link from elsewhere brings one about.
func (h *Handler) clearCookies(w http.ResponseWriter, r *http.Request) {
	b, secure := &h.browsers, secure(r)
	out := b.cookies.Out(secure)
	for _, cookie := range b.cookies.Clear(r.Header, secure) {
		if cookie.Name != out {
			http.SetCookie(w, cookie)
		}
	}
	if !b.cookies.Has(r.Header, b.cookies.Session(secure)) {
		http.SetCookie(w, browser.Set(b.cookies.Session(secure), "", 0, secure))
	}
	http.SetCookie(w, browser.Set(out, newMark(), b.lifetime, secure))
}

const markBytes = 8

// newMark is a secret of a logged-out browser: a link that has it is
// the gateway's own.
func newMark() string {
	var mark [markBytes]byte
	rand.Read(mark[:]) // never fails since Go 1.24
	return hex.EncodeToString(mark[:])
}

// logoutTo is where a form leads: to its own `to`, in the address or the body, or to
// the page that says that the user is logged out.
func (h *Handler) logoutTo(w http.ResponseWriter, r *http.Request, c *classified, form bool) (string, error) {
	if !form {
		return "", nil
	}
	query, _ := parameters(r.URL.RawQuery)
	to := query.Get("to")
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if to == "" && err == nil && mediaType == "application/x-www-form-urlencoded" {
		body, err := request.ReadBody(w, r, maxLoginBody)
		if err != nil {
			return "", err
		}
		fields, err := url.ParseQuery(string(body))
		if err != nil {
			return "", answer.ErrBody
		}
		to = fields.Get("to")
	}
	if to != "" {
		return h.target(c, to), nil
	}
	return h.link(c, "/logged-out", nil), nil
}

// showLoggedOut is the page after a logout. Where no browser logs in it is for
// web-views.
func (h *Handler) showLoggedOut(w http.ResponseWriter, r *http.Request, c *classified) error {
	if !h.browsers.logsIn() && browser.ClientOf(r.UserAgent()) != browser.WebView {
		return answer.ErrNotFound
	}
	p := page.Page{Kind: page.LoggedOut}
	if h.browsers.logsIn() {
		p.Continue = h.authorizeLink(r, c, browser.Home)
	}
	h.record.Passed(wechatapp.Anonymous)
	h.showPage(w, r, http.StatusOK, answer.For(answer.ErrLoggedOut).Code, p)
	return nil
}
