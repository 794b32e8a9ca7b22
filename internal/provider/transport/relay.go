package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/caddy-wechat/gateway/internal/provider"
)

// Relayed is a request that another program has written.
type Relayed struct {
	Method string
	// Path is the escaped path, RawQuery the query as it is sent.
	Path, RawQuery string
	// Header is sent as it is.
	Header http.Header
	// Body of Length bytes, which must be known: WeChat answers what is sent in
	// chunks with 412. It is read once at most.
	Body   io.Reader
	Length int64
	// Hidden are texts that must not be in an error.
	Hidden []string
}

// Relay sends a request and returns WeChat's answer as it comes; the caller closes
// its body. The next base is tried only while nothing has left. The timeout
// bounds the connection and, from the end of the request on, the wait for the
// answer; a body may take longer, until ctx ends.
//
// Errors match [provider.ErrUnavailable], [provider.ErrTimeout], [provider.ErrBadAnswer] or the error of ctx.
func (c *Client) Relay(ctx context.Context, r Relayed) (*http.Response, error) {
	var err error
	for _, base := range c.bases {
		for range maxStale {
			var resp *http.Response
			done, traced := trackProgress(ctx)
			if resp, err = c.relay.RoundTrip(r.httpRequest(base).WithContext(traced)); err == nil {
				return resp, nil
			}
			err = transportError(ctx, err, done.sent.Load())
			if !done.stale() || ctx.Err() != nil {
				break
			}
		}
		err = scrub(fmt.Errorf("%w (%s at %s)", err, r.Path, base.Host), r.Hidden)
		if !errors.Is(err, provider.ErrNotSent) || ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

func (r Relayed) httpRequest(base *url.URL) *http.Request {
	target := *base
	// As it was sent: encoding it again could make it another path.
	target.RawPath = base.EscapedPath() + r.Path
	target.Path, _ = url.PathUnescape(target.RawPath) // else net/url encodes Path
	target.RawQuery = r.RawQuery
	req := &http.Request{Method: r.Method, URL: &target, Host: base.Host, Header: r.Header, ContentLength: r.Length}
	if r.Length > 0 {
		req.Body = once{r.Body}
	}
	return req
}
