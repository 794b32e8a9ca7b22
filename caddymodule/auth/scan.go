package auth

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/caddymodule/internal/request"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/browser"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/page"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
)

// This file is the desktop's side of a scan; the approver's is scan_approve.go.

// showScan shows the code, and goes on by itself when a user of the Mini Program has
// confirmed. Nothing is kept of it, and WeChat is not asked, until the page loads the
// picture.
func (h *Handler) showScan(w http.ResponseWriter, r *http.Request, c *classified) error {
	if !browser.PageLoad(r) {
		return answer.ErrNoPageLoad
	}
	query, single := parameters(r.URL.RawQuery)
	if !single {
		return fmt.Errorf("%w: a parameter comes twice", gateway.ErrInvalidRequest)
	}
	to := h.target(c, query.Get("to"))
	if client := browser.ClientOf(r.UserAgent()); !scans(client) {
		method, _ := browser.Methods{}.For(client)
		h.answerElsewhere(w, r, c, method, authorizeRequest{to: to})
		return nil
	}
	if _, live := h.liveUser(r); live {
		redirect(w, http.StatusFound, to)
		return nil
	}
	origin, err := h.origin(r)
	if err != nil {
		return err
	}
	scan, found := h.scanOf(r, origin)
	if !found || h.gateway.ScanOver(r.Context(), scan) {
		scan = gateway.NewScan(h.browsers.methods.Scan, browser.Describe(r.UserAgent()), to, request.ClientAddr(r))
	}
	scan.To = to
	if err := h.setScanCookie(w, origin, scan); err != nil {
		return err
	}
	h.record.Passed(wechatapp.Anonymous)
	p := page.Scan{
		Number: scan.Right, Code: h.link(c, "/scan/code", nil), State: h.link(c, "/scan/state", nil), Again: h.scanLink(c, to),
	}
	return page.WriteScan(w, r, p)
}

// setScanCookie sets the cookie of a scan.
func (h *Handler) setScanCookie(w http.ResponseWriter, origin browser.Origin, scan gateway.Scan) error {
	name := h.browsers.cookies.Scan(origin.Secure())
	sealed, err := h.gateway.SealScan(scan, origin.Host, name)
	if err != nil {
		return err
	}
	http.SetCookie(w, browser.Set(name, sealed, gateway.ScanLifetime, origin.Secure()))
	return nil
}

// scanOf opens the browser's own scan. With two cookies it is unknown which is its own.
func (h *Handler) scanOf(r *http.Request, origin browser.Origin) (gateway.Scan, bool) {
	name := h.browsers.cookies.Scan(origin.Secure())
	value, count := "", 0
	for _, pair := range h.browsers.cookies.All(r.Header) {
		if pair.Name == name {
			value = pair.Value
			count++
		}
	}
	if count != 1 {
		return gateway.Scan{}, false
	}
	scan, ok := h.gateway.OpenScan(value, origin.Host, name)
	return scan, ok && scan.AppID == h.browsers.methods.Scan
}

// requireScan is scanOf for a route that needs one.
func (h *Handler) requireScan(r *http.Request) (gateway.Scan, browser.Origin, error) {
	origin, err := h.origin(r)
	if err != nil {
		return gateway.Scan{}, origin, err
	}
	scan, found := h.scanOf(r, origin)
	if !found {
		return scan, origin, gateway.ErrScanEnded
	}
	return scan, origin, nil
}

// scanCode answers with the picture for the page.
func (h *Handler) scanCode(w http.ResponseWriter, r *http.Request, _ *classified) error {
	scan, _, err := h.requireScan(r)
	if err != nil {
		return err
	}
	settings := &h.browsers.scan
	picture, err := h.gateway.ScanCode(r.Context(), scan, request.ClientAddr(r), settings.Page, settings.Version)
	if err != nil {
		return err
	}
	h.record.Passed(wechatapp.Anonymous)
	header := w.Header()
	header.Set("Content-Type", wechat.PictureType(picture))
	header.Set("Content-Length", strconv.Itoa(len(picture)))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(picture) //nolint:gosec // WeChat's picture, and declared as one; a client that left is no error of ours
	return nil
}

// scanState tells the page how far the scan is, and logs its browser in.
func (h *Handler) scanState(w http.ResponseWriter, r *http.Request, c *classified) error {
	if err := h.site.check(r, false); err != nil { // the answer may set the cookie
		return err
	}
	scan, origin, err := h.requireScan(r)
	if err != nil {
		return err
	}
	start := time.Now()
	state, grant, err := h.gateway.PollScan(r.Context(), scan, request.ClientAddr(r), h.browsers.lifetime)
	if err != nil {
		if !errors.Is(err, gateway.ErrTooSoon) {
			h.record.LoginRefused(request.ClientIP(r), scan.AppID, grant, answer.For(err), err, time.Since(start))
		}
		return err
	}
	body := struct {
		State gateway.ScanState `json:"state"`
		To    string            `json:"to,omitempty"`
	}{State: state}
	if state == gateway.ScanDone {
		h.endOld(r, grant)
		h.record.LoggedIn(grant, time.Since(start))
		h.setSession(w, r, origin, grant)
		body.To = h.target(c, scan.To)
	}
	h.record.Passed(wechatapp.Anonymous)
	answer.WriteJSON(w, http.StatusOK, body)
	return nil
}
