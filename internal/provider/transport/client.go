// Package transport brings calls to a platform's server API: each is sent once,
// because a login code works once, to the first base URL that can be reached. It
// trusts nothing that comes back and shows nothing that is secret.
package transport

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-wechat/gateway/internal/loopback"
	"github.com/caddy-wechat/gateway/internal/netfault"
	"github.com/caddy-wechat/gateway/internal/provider"
)

// DefaultTimeout is how long a call may take.
const DefaultTimeout = 5 * time.Second

const (
	maxAnswerBytes = 64 << 10
	// idleConnections is far above net/http's default of 2 per host, which would
	// make a new TLS connection for nearly every login.
	idleConnections = 512
	// maxStale bounds how many dead kept connections a call goes through.
	maxStale = 3
	// idleTime is below what load balancers allow (60 s and more), so that a
	// connection is hardly ever closed from afar in the moment it is used.
	idleTime = 30 * time.Second
)

// Options configure a [Client].
type Options struct {
	// Bases are the base URLs, in the order in which they are tried.
	Bases []string
	// Timeout bounds a whole call, all bases together.
	Timeout time.Duration
	// Proxy is the URL of an http, https or socks5 proxy, or empty. The
	// environment is ignored.
	Proxy string
}

// Client sends calls. It is safe for concurrent use.
type Client struct {
	bases   []*url.URL
	timeout time.Duration
	// transport is without an http.Client, which follows redirects with a Referer that has
	// the whole query, secret included, and fails at one to no address.
	transport *http.Transport
	relay     *http.Transport // for what takes longer than the timeout
}

// New returns a [Client], or an error that names the setting which is wrong.
func New(o Options) (*Client, error) {
	c := &Client{timeout: o.Timeout}
	for _, raw := range o.Bases {
		base, err := parseBase(raw)
		if err != nil {
			return nil, err
		}
		c.bases = append(c.bases, base)
	}
	if len(c.bases) == 0 {
		return nil, errors.New("api: needs at least one base URL")
	}
	if c.timeout <= 0 {
		return nil, errors.New("api_timeout: must be positive")
	}
	// Each base gets its share, and an equal one is left for the answer.
	connectTime := c.timeout / time.Duration(len(c.bases)+1)
	c.transport = &http.Transport{
		DialContext:            (&net.Dialer{Timeout: connectTime, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:    connectTime,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		MaxIdleConns:           0,
		MaxIdleConnsPerHost:    idleConnections,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: maxAnswerBytes,
		DisableCompression:     true, // the limit is on what is read, not on what it unpacks to
		// HTTP/1.1 only: an HTTP/2 connection that shuts down leaves requests
		// behind of which nobody can say whether they were seen.
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	if o.Proxy != "" {
		proxy, err := parseProxy(o.Proxy)
		if err != nil {
			return nil, fmt.Errorf("api_proxy: %w", err)
		}
		c.transport.Proxy = http.ProxyURL(proxy)
	}
	c.relay = c.transport.Clone()
	c.relay.ResponseHeaderTimeout = c.timeout // from the end of the request on
	return c, nil
}

// Close closes the connections that are idle.
func (c *Client) Close() {
	c.transport.CloseIdleConnections()
	c.relay.CloseIdleConnections()
}

// CheckBase returns an error unless raw can be a base URL of the API.
func CheckBase(raw string) error {
	_, err := parseBase(raw)
	return err
}

func parseBase(raw string) (*url.URL, error) {
	base, err := url.Parse(raw)
	switch {
	case strings.Contains(raw, "@") && (err != nil || base.User == nil):
		return nil, errors.New("api: not a URL such as https://api.weixin.qq.com") // may have a password in it
	case err != nil || base.Host == "" || base.Hostname() == "":
		return nil, fmt.Errorf("api: %q is not a URL such as https://api.weixin.qq.com", raw)
	case base.User != nil || base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
		return nil, errors.New("api: a base URL has no user, query or fragment")
	case base.Scheme == "https", base.Scheme == "http" && loopback.Host(base.Hostname()):
		base.Path = strings.TrimSuffix(base.Path, "/")
		base.RawPath = ""
		return base, nil
	case base.Scheme == "http":
		return nil, fmt.Errorf("api: %q: plain http would show the AppSecret to the network; it is accepted for loopback addresses and localhost only", raw)
	}
	return nil, fmt.Errorf("api: %q: only https is supported", raw)
}

// CheckProxy returns an error unless raw can be the URL of a proxy. The error does
// not have the URL, which may have a password in it.
func CheckProxy(raw string) error {
	_, err := parseProxy(raw)
	return err
}

func parseProxy(raw string) (*url.URL, error) {
	proxy, err := url.Parse(raw)
	if err != nil || proxy.Host == "" {
		return nil, errors.New("not a URL such as http://127.0.0.1:3128")
	}
	switch proxy.Scheme {
	case "http", "https", "socks5", "socks5h":
		return proxy, nil
	}
	return nil, errors.New("the scheme must be http, https or socks5")
}

// Call is one request to the API.
type Call struct {
	Method, Path string
	Query        url.Values
	// Body is JSON; nil for none.
	Body []byte
	// Hidden are texts that must not be in an error.
	Hidden []string
	// MaxAnswer is how many bytes the answer may have. Zero: 64 KiB.
	MaxAnswer int
}

// Ask asks the bases in turn until one could be connected to, and returns the
// body of the answer. Errors are outcomes of package provider that say nothing of
// the proof, and the error of ctx.
func (c *Client) Ask(ctx context.Context, request Call) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var err error
	for _, base := range c.bases {
		var body []byte
		for range maxStale {
			var stale bool
			if body, stale, err = c.askBase(ctx, base, request); !stale {
				break
			}
		}
		if err == nil {
			return body, nil
		}
		err = scrub(fmt.Errorf("%w (%s at %s)", err, request.Path, base.Host), request.Hidden)
		if !errors.Is(err, provider.ErrNotSent) || ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// once is a body that net/http cannot rewind. It silently sends a GET again when
// a kept connection dies under it, unless the request has such a body (net/http,
// isReplayable); of a GET it is without content.
type once struct{ io.Reader }

func (once) Close() error { return nil }

func (request Call) httpRequest(base *url.URL) *http.Request {
	target := *base
	target.Path += request.Path
	target.RawQuery = request.Query.Encode()
	req := &http.Request{
		Method: request.Method, URL: &target, Host: target.Host,
		Header: http.Header{"Accept": {"application/json"}, "User-Agent": {"caddy-wechat"}},
		Body:   once{bytes.NewReader(request.Body)},
	}
	if request.Body == nil {
		// Keeps net/http from probing the body, and from sending it chunked on a
		// machine too busy to answer the probe in time.
		req.TransferEncoding = []string{"identity"}
		return req
	}
	// With the length known it is not sent chunked, which WeChat answers with 412.
	req.ContentLength = int64(len(request.Body))
	req.Header["Content-Type"] = []string{"application/json"}
	return req
}

// askBase asks one base. It reports stale when a kept connection was dead before
// anything was written to it, so that another one may be tried.
func (c *Client) askBase(ctx context.Context, base *url.URL, request Call) (body []byte, stale bool, err error) {
	done, traced := trackProgress(ctx)
	resp, err := c.transport.RoundTrip(request.httpRequest(base).WithContext(traced))
	if err != nil {
		return nil, done.stale() && ctx.Err() == nil, transportError(ctx, err, done.sent.Load())
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, false, fmt.Errorf("%w: HTTP status %d", provider.ErrBadAnswer, resp.StatusCode)
	}
	limit := cmp.Or(request.MaxAnswer, maxAnswerBytes)
	body, err = io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, false, transportError(ctx, err, true)
	case err != nil:
		return nil, false, fmt.Errorf("%w: its body ends early", provider.ErrBadAnswer)
	case len(body) > limit:
		return nil, false, fmt.Errorf("%w: more than %d bytes", provider.ErrBadAnswer, limit)
	}
	return body, false, nil
}

// progress is how far a request got. Nothing has left before the first header field is
// written: not while there is no connection, and not on a kept one that turns out
// to be dead.
type progress struct{ sent, kept atomic.Bool }

func trackProgress(ctx context.Context) (*progress, context.Context) {
	w := new(progress)
	return w, httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:          func(info httptrace.GotConnInfo) { w.kept.Store(info.Reused) },
		WroteHeaderField: func(string, []string) { w.sent.Store(true) },
	})
}

// stale reports whether a kept connection was dead before anything was written.
func (w *progress) stale() bool { return w.kept.Load() && !w.sent.Load() }

// transportError says what a failed round trip means. Without a connection,
// nothing was sent.
func transportError(ctx context.Context, err error, sent bool) error {
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case !sent:
		return fmt.Errorf("%w: %w: %s", provider.ErrUnavailable, provider.ErrNotSent, err.Error())
	case ctx.Err() != nil, isNet && timeout.Timeout():
		return provider.ErrTimeout
	case isProtocolError(err):
		return fmt.Errorf("%w: %s", provider.ErrBadAnswer, netfault.Text(err))
	}
	return fmt.Errorf("%w: connection lost: %s", provider.ErrUnavailable, netfault.Text(err))
}

// isProtocolError reports whether something answered, but not in HTTP. net/http
// has no types for these.
func isProtocolError(err error) bool {
	text := err.Error()
	return netfault.Quotes(err) || strings.Contains(text, "malformed") || strings.Contains(text, "exceeded") || strings.Contains(text, "too many 1xx")
}

// scrubbed is an error with texts removed that are known to be secret.
type scrubbed struct {
	text string
	err  error
}

func (s *scrubbed) Error() string { return s.text }

// Is answers for the whole chain below, whose texts stay hidden.
func (s *scrubbed) Is(target error) bool { return errors.Is(s.err, target) }

func scrub(err error, hidden []string) error {
	text := err.Error()
	for _, h := range hidden {
		if h != "" {
			text = strings.ReplaceAll(text, h, "[redacted]")
			text = strings.ReplaceAll(text, url.QueryEscape(h), "[redacted]")
		}
	}
	return &scrubbed{text, err}
}
