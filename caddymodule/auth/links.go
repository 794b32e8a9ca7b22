package auth

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-wechat/gateway/caddymodule/internal/request"
	"github.com/caddy-wechat/gateway/internal/browser"
	"github.com/caddy-wechat/gateway/internal/urlpath"
)

// link is the path of a gateway route as the browser sees it.
func (h *Handler) link(c *classified, route string, query url.Values) string {
	link := h.base(c) + h.Prefix + route
	if len(query) > 0 {
		link += "?" + query.Encode()
	}
	return link
}

// base is the site's base for a request. Where no survey has found it, it is what the
// client sent without what is seen here.
func (h *Handler) base(c *classified) string {
	if h.browsers.placed {
		return h.browsers.base
	}
	base, found := strings.CutSuffix(c.sent, c.current)
	if !found {
		return ""
	}
	return base
}

// home is the site's start page as the browser sees it.
func (h *Handler) home(c *classified) string { return h.base(c) + browser.Home }

// target is where a browser may go, see [browser.To].
func (h *Handler) target(c *classified, to string) string {
	if base := h.base(c); base != "" {
		return browser.To(to, urlpath.Fold(base)+h.prefix)
	}
	return browser.To(to, h.prefix)
}

// authorizeLink begins a login that leads to a place. In a browser that has logged
// out it says that the user asks.
func (h *Handler) authorizeLink(r *http.Request, c *classified, to string) string {
	query := url.Values{}
	if to = h.target(c, to); to != browser.Home {
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

// sentURI is the path and the query as the client sent them, without a token: it goes
// to WeChat and back, and one that was refused is refused again.
func (h *Handler) sentURI(c *classified) string {
	sent := c.sentURI()
	path, query, found := strings.Cut(sent, "?")
	carrier, inURL := h.carrier.(queryCarrier)
	if !found || !inURL {
		return sent
	}
	if query = request.Without(query, func(pair string) bool { _, ok := carrier.is(pair); return ok }); query == "" {
		return path
	}
	return path + "?" + query
}

// sentURI is the path and the query as the client sent them.
func (c *classified) sentURI() string {
	query := c.request.URL.RawQuery
	if original, ok := request.Original(c.request); ok {
		query = original.URL.RawQuery
	}
	if query == "" {
		return c.sent
	}
	return c.sent + "?" + query
}

// parameters reads a query, and reports whether nothing in it comes twice or cannot
// be read.
func parameters(query string) (values url.Values, single bool) {
	values, err := url.ParseQuery(query)
	single = err == nil
	for _, all := range values {
		single = single && len(all) == 1
	}
	return values, single
}

// scanLink is the page with the code.
func (h *Handler) scanLink(c *classified, to string) string {
	query := url.Values{}
	if to != browser.Home {
		query.Set("to", to)
	}
	return h.link(c, "/scan", query)
}
