// Package crosssite tells requests of programs from those that a web page makes
// a browser send. It protects handlers that act for whoever reaches them: a page
// in a browser on the same machine reaches them, too.
package crosssite

import (
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/caddy-wechat/gateway/internal/loopback"
)

// Errors of [Guard.Check].
var (
	// ErrHost: the Host header is a name that is not the handler's. A page whose
	// own name resolves to this machine sends it (DNS rebinding).
	ErrHost = errors.New("the Host header names another site")
	// ErrPage: a web page made the request.
	ErrPage = errors.New("the request comes from a web page")
)

// Guard refuses requests of web pages.
type Guard struct {
	// KnowsHost reports whether the handler answers for a host, which is lower
	// case and without a port. Loopback addresses and localhost always pass. Nil
	// adds no other host.
	KnowsHost func(host string) bool
	// OwnPages accepts the pages of the handler's own origin. Without it no page
	// passes, and so no request with Origin or Sec-Fetch-Site, which programs do
	// not send. (Node's fetch sends Sec-Fetch-Mode.)
	OwnPages bool
}

// Check returns [ErrHost], [ErrPage] or nil. The address of the connection is not
// checked: a browser's is as good as any program's.
func (g Guard) Check(r *http.Request) error {
	host := Host(r.Host)
	if !loopback.Host(host) && (g.KnowsHost == nil || !g.KnowsHost(host)) {
		return ErrHost
	}
	origins, sites := r.Header["Origin"], r.Header["Sec-Fetch-Site"]
	if !g.OwnPages {
		if len(origins) > 0 || len(sites) > 0 {
			return ErrPage
		}
		return nil
	}
	for _, site := range sites {
		if site != "same-origin" && site != "none" {
			return ErrPage
		}
	}
	for _, origin := range origins {
		if origin != "http://"+r.Host && origin != "https://"+r.Host {
			return ErrPage
		}
	}
	return nil
}

// Host returns the host of a Host header: lower case, without port, brackets and
// the dot at the end of a name.
func Host(authority string) string {
	host, _, err := net.SplitHostPort(authority)
	if err != nil {
		host = authority
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
