package auth

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/caddymodule/internal/request"
)

// siteCheck tells requests of a site's own pages from those that another site makes a
// browser send, with the cookie that browsers add to both. It is asked only if the
// cookie would say who the request is from, or if the answer would set one. A request with neither
// Origin nor Sec-Fetch-Site passes: no browser of the last years sends such a one.
type siteCheck struct {
	protection *http.CrossOriginProtection
	trusted    []string
}

// newSiteCheck returns the check of a site that also trusts pages of other origins,
// each scheme://host[:port] as browsers write it.
func newSiteCheck(trusted ...string) (*siteCheck, error) {
	c := &siteCheck{http.NewCrossOriginProtection(), trusted}
	for _, origin := range trusted {
		if err := checkOrigin(origin); err != nil {
			return nil, err
		}
		if err := c.protection.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// checkOrigin refuses an origin that no browser ever sends.
func checkOrigin(origin string) error {
	u, err := url.Parse(origin)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil:
		return fmt.Errorf("origin %q: must be http:// or https:// and a host, such as https://example.com", origin)
	case strings.ContainsAny(u.Host, "* ") || u.Scheme+"://"+u.Host != origin:
		return fmt.Errorf("origin %q: must be scheme, host and port alone, without path or wildcard", origin)
	case foldOrigin(origin) != origin:
		return fmt.Errorf("origin %q: can never match; browsers send %s", origin, foldOrigin(origin))
	}
	return nil
}

// check returns errCrossSite for an unsafe request, or a WebSocket, that does not come
// from the site or an origin that it trusts.
func (c *siteCheck) check(r *http.Request, websocket bool) error {
	origins := r.Header["Origin"]
	if len(origins) > 1 || len(r.Header["Sec-Fetch-Site"]) > 1 {
		return answer.ErrCrossSite
	}
	if !websocket && isSafe(r.Method) {
		return nil // by far the most requests
	}
	scheme, host := siteOf(r)
	judged := &http.Request{Method: r.Method, Host: host, Header: http.Header{"Sec-Fetch-Site": r.Header["Sec-Fetch-Site"]}}
	if websocket {
		judged.Method = http.MethodPost // the library takes every GET for harmless
	}
	origin := ""
	if len(origins) == 1 {
		origin = foldOrigin(origins[0])
		judged.Header["Origin"] = []string{origin}
	}
	if c.protection.Check(judged) != nil {
		return answer.ErrCrossSite
	}
	switch {
	case origin == "" || slices.Contains(c.trusted, origin):
		return nil
	case websocket && origin != scheme+"://"+host:
		return answer.ErrCrossSite
	case origin == "null":
		// A page with `Referrer-Policy: no-referrer` posts its own forms like this. The
		// library has believed Sec-Fetch-Site.
		return nil
	case !strings.HasPrefix(origin, scheme+"://"):
		return answer.ErrCrossSite // the library compares hosts only
	}
	return nil
}

// isSafe reports whether requests of a method change nothing (RFC 9110, as far as
// browsers send them across sites without asking).
func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// siteOf is the scheme and the host that the browser has in its address bar: the
// request's, or what a trusted proxy in front says last. The host is lower case and
// without a default port, and never empty.
func siteOf(r *http.Request) (scheme, host string) {
	scheme, host = request.Scheme(r), r.Host
	if forwarded := forwardedLast(r, "X-Forwarded-Host"); forwarded != "" {
		host = forwarded
	}
	if host = foldHost(scheme, host); host == "" {
		host = " " // equal to no origin's, while an empty one is that of `null`
	}
	return scheme, host
}

// forwardedLast is the last value of a header that a trusted proxy sets, which is its
// own; empty from anybody else.
func forwardedLast(r *http.Request, name string) string {
	values := r.Header[name]
	if len(values) == 0 || !request.FromTrustedProxy(r) {
		return ""
	}
	last := values[len(values)-1]
	return strings.Trim(last[strings.LastIndexByte(last, ',')+1:], " \t")
}

// foldHost makes hosts that mean the same equal.
func foldHost(scheme, host string) string {
	host = strings.ToLower(host)
	if scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

// foldOrigin does the same for an origin.
func foldOrigin(origin string) string {
	scheme, host, found := strings.Cut(origin, "://")
	if !found {
		return origin
	}
	scheme = strings.ToLower(scheme)
	return scheme + "://" + foldHost(scheme, host)
}
