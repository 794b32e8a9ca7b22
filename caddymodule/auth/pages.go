package auth

import (
	"net/http"

	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/page"
)

// below reports whether the request is for a gateway route, or came with a signature:
// nobody is sent to WeChat for one of these.
func (h *Handler) below(c *classified) bool { return c.route || c.signed }

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
		if p.Continue = h.sentURI(c); !c.canonical() { // "//host/" leads there
			p.Continue = h.target(c, p.Continue)
		}
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

// redirect sends a browser on. The address that it leaves is not told to the next page.
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
