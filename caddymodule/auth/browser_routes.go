package auth

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/caddymodule/internal/request"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/browser"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/page"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
)

// maxRestarts is how often a callback without its state begins again.
const maxRestarts = 2

// authorizeRequest is what a request for authorize asks for.
type authorizeRequest struct {
	to, scope, appID string
	restarts         int
}

// authorize sends a browser to WeChat, or says why it does not.
func (h *Handler) authorize(w http.ResponseWriter, r *http.Request, c *classified) error {
	if !browser.PageLoad(r) {
		return answer.ErrNoPageLoad
	}
	query, ok := parameters(r.URL.RawQuery)
	if !ok {
		return fmt.Errorf("%w: a parameter comes twice", gateway.ErrInvalidRequest)
	}
	req := authorizeRequest{to: h.target(c, query.Get("to")), appID: query.Get("appid")}
	switch scope := query.Get("scope"); scope {
	case "", "base", "userinfo":
		req.scope = scope
	default:
		return fmt.Errorf("%w: scope must be base or userinfo", gateway.ErrInvalidRequest)
	}
	if mark := h.outMark(r); mark != "" && !browser.OwnLink(r.Header) && !sameText(query.Get("again"), mark) {
		refusal := answer.For(answer.ErrLoggedOut)
		h.writePage(w, r, refusal, page.Page{Kind: page.LoggedOut, Continue: h.authorizeLink(r, c, req.to)})
		return nil
	}
	return h.sendToWeChat(w, r, c, req)
}

func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// sendToWeChat begins a login in a browser, by the method that fits it.
func (h *Handler) sendToWeChat(w http.ResponseWriter, r *http.Request, c *classified, req authorizeRequest) error {
	client := browser.ClientOf(r.UserAgent())
	method, appID := h.browsers.methods.For(client)
	if req.appID != "" && client != browser.WebView {
		account, found := h.browsers.accounts[req.appID]
		switch {
		case found && fits(account.Kind, client):
			method, appID = browser.ByRedirect, req.appID
		case req.appID == h.browsers.methods.Scan && scans(client):
			method, appID = browser.ByScan, req.appID
		default:
			return fmt.Errorf("%w: this browser cannot log in with that appid", gateway.ErrInvalidRequest)
		}
	}
	if user, live := h.liveUser(r); live && req.scope != "userinfo" && (user.AppID == appID || method != browser.ByRedirect) {
		redirect(w, http.StatusFound, req.to)
		return nil
	}
	if method != browser.ByRedirect {
		h.answerElsewhere(w, r, c, method, req)
		return nil
	}
	origin, err := h.origin(r)
	if err != nil {
		return err
	}
	callback := h.callbackURL(origin, c, req)
	account := h.browsers.accounts[appID]
	state := browser.NewState(appID, scopeFor(account.Kind, req.scope), req.to, time.Now())
	cookie, err := h.browsers.cookies.SealState(h.app.Keys().Current(), origin, state)
	if err != nil {
		return err
	}
	for _, name := range browser.Surplus(h.storedStates(r)) {
		http.SetCookie(w, browser.Set(name, "", 0, origin.Secure()))
	}
	http.SetCookie(w, cookie)
	h.warnRedirect(origin)
	redirecter, ok := h.app.Redirecter(account.Kind)
	if !ok {
		return errNoRedirect
	}
	redirect(w, http.StatusFound, redirecter.AuthorizeURL(account, state.Scope, state.ID, callback))
	return nil
}

// errNoRedirect cannot happen: a site has no such accounts among those for browsers.
var errNoRedirect = errors.New("account whose logins do not begin in a browser")

// fits reports whether an account can log in a kind of browser.
func fits(kind provider.Kind, client browser.Client) bool {
	if kind == provider.OfficialAccount {
		return client == browser.WeChat
	}
	return client == browser.Desktop || client == browser.Outside
}

func scopeFor(kind provider.Kind, asked string) string {
	switch {
	case kind == provider.Website:
		return wechat.ScopeLogin
	case asked == "userinfo":
		return wechat.ScopeUserInfo
	}
	return wechat.ScopeBase
}

// callbackURL is where WeChat sends the browser back to. It carries where the
// browser goes then, for one that loses its cookies, and how often it did.
func (h *Handler) callbackURL(origin browser.Origin, c *classified, req authorizeRequest) string {
	query := url.Values{}
	if req.to != browser.Home {
		query.Set("to", req.to)
	}
	if req.restarts > 0 {
		query.Set("n", strconv.Itoa(req.restarts))
	}
	return origin.String() + h.link(c, "/callback", query)
}

// answerElsewhere answers a browser that cannot be redirected to WeChat.
func (h *Handler) answerElsewhere(w http.ResponseWriter, r *http.Request, c *classified, method browser.Method, req authorizeRequest) {
	refusal := answer.For(answer.ErrWrongPlace)
	switch method {
	case browser.ByScan:
		redirect(w, http.StatusFound, h.scanLink(c, req.to))
	case browser.GoBack:
		h.writePage(w, r, refusal, page.Page{Kind: page.GoBack})
	case browser.OpenElsewhere:
		h.writePage(w, r, refusal, page.Page{Kind: page.OpenElsewhere})
	default:
		p := page.Page{Kind: page.OpenInWeChat}
		if origin, err := h.origin(r); err == nil {
			p.Address = origin.String() + req.to
		}
		if website := h.browsers.methods.Elsewhere; website != "" {
			query := url.Values{"appid": {website}}
			if req.to != browser.Home {
				query.Set("to", req.to)
			}
			p.Other = h.link(c, "/authorize", query)
		}
		h.writePage(w, r, refusal, p)
	}
}

// callback takes a browser back from WeChat.
func (h *Handler) callback(w http.ResponseWriter, r *http.Request, c *classified) error {
	if !browser.PageLoad(r) {
		return answer.ErrNoPageLoad
	}
	origin, err := h.origin(r)
	if err != nil {
		return err
	}
	query, single := parameters(r.URL.RawQuery)
	req := authorizeRequest{to: h.target(c, query.Get("to")), restarts: restarts(query["n"])}
	state, found := h.stateOf(r, query.Get("state"))
	if !single || !found {
		return h.startAgain(w, r, c, req)
	}
	req.to = h.target(c, state.To)
	code := query.Get("code")
	switch {
	case code == "" && state.UsedUp():
		return h.startAgain(w, r, c, req)
	case code == "":
		http.SetCookie(w, browser.Set(state.Name, "", 0, origin.Secure()))
		refusal := answer.For(answer.ErrConsentRefused)
		h.writePage(w, r, refusal, page.Page{Kind: page.Refused, Continue: h.authorizeLink(r, c, req.to)})
		return nil
	}
	return h.finish(w, r, c, origin, state, code, req)
}

// restarts reads how often a login began again; anything but a number counts as too often.
func restarts(values []string) int {
	if len(values) == 0 {
		return 0
	}
	n, err := strconv.Atoi(values[0])
	if err != nil || n < 0 || len(values) > 1 {
		return maxRestarts
	}
	return n
}

// stateOf finds the browser's own state with this ID, if it still counts.
func (h *Handler) stateOf(r *http.Request, id string) (browser.StoredState, bool) {
	if !browser.IsState(id) {
		return browser.StoredState{}, false
	}
	now := time.Now()
	for _, stored := range h.storedStates(r) {
		if stored.Opens && sameText(stored.ID, id) {
			_, found := h.browsers.accounts[stored.AppID]
			return stored, found && stored.Current(now)
		}
	}
	return browser.StoredState{}, false
}

// finish exchanges the code and logs the browser in.
func (h *Handler) finish(w http.ResponseWriter, r *http.Request, c *classified, origin browser.Origin, state browser.StoredState, code string, req authorizeRequest) error {
	start := time.Now()
	grant, err := h.gateway.LoginBrowser(r.Context(), gateway.BrowserLogin{
		AppID: state.AppID, Scope: state.Scope, State: state.ID, Used: state.UsedUp(), Code: code, Client: request.ClientAddr(r), Lifetime: h.browsers.lifetime,
	})
	b, secure := &h.browsers, origin.Secure()
	switch {
	case err == nil:
	case errors.Is(err, provider.ErrSnapshotUser):
		h.record.LoginRefused(request.ClientIP(r), state.AppID, grant, answer.For(err), err, time.Since(start))
		http.SetCookie(w, browser.Set(state.Name, "", 0, secure))
		http.SetCookie(w, browser.Set(b.cookies.Snapshot(secure), "1", browser.UsedLifetime, secure))
		redirect(w, http.StatusSeeOther, req.to)
		return nil
	case startsAgain(err):
		if !errors.Is(err, gateway.ErrStateUsed) {
			h.record.LoginRefused(request.ClientIP(r), state.AppID, grant, answer.For(err), err, time.Since(start))
		}
		return h.startAgain(w, r, c, req)
	default:
		refusal := answer.For(err)
		h.record.LoginRefused(request.ClientIP(r), state.AppID, grant, refusal, err, time.Since(start))
		p := h.pageOf(c, refusal)
		p.Continue = h.authorizeLink(r, c, req.to)
		h.writePage(w, r, refusal, p)
		return nil
	}
	used, err := b.cookies.SealState(h.app.Keys().Current(), origin, state.UsedAt(time.Now()))
	if err != nil {
		return err
	}
	h.endOld(r, grant)
	if !grant.Repeated {
		h.record.LoggedIn(grant, time.Since(start))
	}
	h.record.Passed(wechatapp.Anonymous)
	if !state.UsedUp() { // what is left of its minute is not more after a repeat
		http.SetCookie(w, used)
	}
	h.setSession(w, r, origin, grant)
	redirect(w, http.StatusSeeOther, req.to)
	return nil
}

// startsAgain reports whether a new code helps: this one, or its state, is used up.
func startsAgain(err error) bool {
	for _, sentinel := range []error{gateway.ErrStateUsed, gateway.ErrCodeUsed, gateway.ErrInvalidRequest, provider.ErrCodeUsed, provider.ErrCodeRejected} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

// startAgain answers a callback whose state is not this browser's, or has ended.
// A user who is logged in goes on; others start the login again, but not for ever.
func (h *Handler) startAgain(w http.ResponseWriter, r *http.Request, c *classified, req authorizeRequest) error {
	if _, live := h.liveUser(r); live {
		redirect(w, http.StatusSeeOther, req.to)
		return nil
	}
	p := page.Page{Continue: h.authorizeLink(r, c, req.to)}
	switch {
	case h.outMark(r) != "":
		// Back after a logout: only the user's own click logs in again.
		p.Kind = page.LoggedOut
		h.writePage(w, r, answer.For(answer.ErrLoggedOut), p)
		return nil
	case req.restarts >= maxRestarts:
		p.Kind, p.Code = page.NotKept, answer.For(answer.ErrNotKept).Code
		h.writePage(w, r, answer.For(answer.ErrNotKept), p)
		return nil
	}
	req.restarts++
	return h.sendToWeChat(w, r, c, req)
}

// scans reports whether a kind of browser can show a code for a phone to scan.
func scans(client browser.Client) bool {
	return client == browser.Desktop || client == browser.Outside
}
