package auth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/internal/browser"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/page"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/urlpath"
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

// below reports whether the request is for a gateway route, or came with a signature:
// nobody is sent to WeChat for one of these.
func (h *Handler) below(c *classified) bool { return c.route || c.signed }

// challenge answers a page load that needs a login.
func (h *Handler) challenge(w http.ResponseWriter, r *http.Request, c *classified, err error, refusal *answer.Refusal) {
	to := h.sentURI(c)
	login := h.authorizeLink(r, c, to)
	held, current := h.held(r), time.Now()
	b, cookies := &h.browsers, h.browsers.cookies.All(r.Header)
	has := func(name string) bool { return hasCookie(cookies, name) }
	switch {
	case has(b.cookies.Snapshot(secure(r))):
		*refusal = answer.For(provider.ErrSnapshotUser)
		h.writePage(w, r, *refusal, page.Page{Kind: page.Snapshot})
	case has(b.cookies.Out(secure(r))):
		*refusal = answer.For(answer.ErrLoggedOut)
		h.writePage(w, r, *refusal, page.Page{Kind: page.LoggedOut, Continue: login})
	case browser.NotKept(held, current):
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

// held returns the states that the browser brings.
func (h *Handler) held(r *http.Request) []browser.Held {
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

// pageOf is the page for a refusal that no login helps against.
func (h *Handler) pageOf(c *classified, refusal answer.Refusal) page.Page {
	p := page.Page{Code: refusal.Code, Continue: h.home(c)}
	switch {
	case refusal.Status == http.StatusNotFound:
		p.Kind = page.NotFound
	case refusal.Status == http.StatusServiceUnavailable, refusal.Status == http.StatusTooManyRequests:
		p.Kind = page.Busy
	case refusal.Status >= http.StatusInternalServerError:
		p.Kind = page.Failed
	case refusal.Status == http.StatusUnauthorized:
		p.Kind = page.LoginRequired
		p.Continue = h.link(c, "/authorize", nil)
	default:
		p.Kind = page.NotAllowed
	}
	if refusal.OfApp {
		p.Message = refusal.Message
	}
	if (p.Kind == page.Busy || p.Kind == page.Failed) && !h.below(c) {
		p.Continue = h.sentURI(c)
	}
	return p
}

// writePage answers with the page of a refusal.
func (h *Handler) writePage(w http.ResponseWriter, r *http.Request, refusal answer.Refusal, p page.Page) {
	h.count(refusal)
	answer.SetHeaders(w.Header(), refusal)
	h.showPage(w, r, refusal.Status, refusal.Code, p)
}

// showPage answers with a page and the code that it stands for.
func (h *Handler) showPage(w http.ResponseWriter, r *http.Request, status int, code string, p page.Page) {
	if code != "" {
		w.Header().Set(identity.VerdictHeader, code)
	}
	if err := page.Write(w, r, status, p); err != nil {
		h.logger.Error("a page cannot be rendered", zap.Error(err))
		answer.Write(w, answer.InternalError)
	}
}

// redirect sends a browser on. Whatever is in the address that it leaves stays here.
func redirect(w http.ResponseWriter, status int, location string) {
	header := w.Header()
	header.Set("Location", location)
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", page.Policy)
	header.Set("Content-Length", "0")
	w.WriteHeader(status)
}

// link is the path of a gateway route as the browser sees it.
func (h *Handler) link(c *classified, route string, query url.Values) string {
	link := h.base(c) + h.Prefix + route
	if len(query) > 0 {
		link += "?" + query.Encode()
	}
	return link
}

// home is the site's start page as the browser sees it.
func (h *Handler) home(c *classified) string { return h.base(c) + browser.Home }

// to is where a browser may go, see [browser.To].
func (h *Handler) to(c *classified, to string) string {
	if base := h.base(c); base != "" {
		return browser.To(to, urlpath.Fold(base)+h.prefix)
	}
	return browser.To(to, h.prefix)
}

// authorizeLink begins a login that leads to a place. In a browser that has logged
// out it says that the user asks.
func (h *Handler) authorizeLink(r *http.Request, c *classified, to string) string {
	query := url.Values{}
	if to = h.to(c, to); to != browser.Home {
		query.Set("to", to)
	}
	if mark := h.outMark(r); mark != "" {
		query.Set("again", mark)
	}
	return h.link(c, "/authorize", query)
}

// outMark is what the cookie of a browser that logged out says.
func (h *Handler) outMark(r *http.Request) string {
	name := h.browsers.cookies.Out(secure(r))
	for _, pair := range h.browsers.cookies.All(r.Header) {
		if pair.Name == name {
			return pair.Value
		}
	}
	return ""
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

// sentURI is the path and the query as the client sent them, without a token: it goes
// to WeChat and back, and one that was refused is refused again.
func (h *Handler) sentURI(c *classified) string {
	sent := c.sentURI()
	path, query, found := strings.Cut(sent, "?")
	carrier, inURL := h.carrier.(queryCarrier)
	if !found || !inURL {
		return sent
	}
	if query = without(query, func(pair string) bool { _, ok := carrier.is(pair); return ok }); query == "" {
		return path
	}
	return path + "?" + query
}

// sentURI is the path and the query as the client sent them.
func (c *classified) sentURI() string {
	query := c.request.URL.RawQuery
	if original, ok := originalRequest(c.request); ok {
		query = original.URL.RawQuery
	}
	if query == "" {
		return c.sent
	}
	return c.sent + "?" + query
}

// setSession gives a browser its session, and takes away what a login is the end of.
func (h *Handler) setSession(w http.ResponseWriter, r *http.Request, origin browser.Origin, grant gateway.Grant) {
	b, secure := &h.browsers, origin.Secure()
	http.SetCookie(w, browser.Set(b.cookies.Session(secure), grant.Token, grant.ExpiresIn, secure))
	for _, name := range []string{b.cookies.Scan(secure), b.cookies.Out(secure), b.cookies.Snapshot(secure)} {
		if b.cookies.Has(r.Header, name) {
			http.SetCookie(w, browser.Set(name, "", 0, secure))
		}
	}
}
