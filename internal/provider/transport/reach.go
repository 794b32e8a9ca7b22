package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Reached is the result of a request to a base URL.
type Reached struct {
	// Chain is the verified certificate chain, WeChat's own first; nil for
	// plain http.
	Chain []*x509.Certificate
	// Date is WeChat's clock by the Date header, in whole seconds and rounded
	// down; zero if there is none. Asked and Answered are our clock before and
	// after.
	Date            time.Time
	Asked, Answered time.Time
}

// Reach connects to a base as calls of the API do, through the same proxy and
// with the same checks, and asks for nothing. Unlike theirs, its error holds the
// cause with its type, and there is no secret that it could hold.
func (c *Client) Reach(ctx context.Context, raw string) (Reached, error) {
	base, err := parseBase(raw)
	if err != nil {
		return Reached{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	target := *base
	target.Path += "/"
	req := (&http.Request{
		Method: http.MethodGet, URL: &target, Host: target.Host,
		Header: http.Header{"User-Agent": {"caddy-wechat"}},
		// A kept connection would hide what a new one runs into.
		Close: true,
	}).WithContext(ctx)
	reached := Reached{Asked: time.Now()}
	resp, err := c.transport.RoundTrip(req)
	reached.Answered = time.Now()
	if err != nil {
		return Reached{}, fmt.Errorf("connecting to %s: %w", base.Host, err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswerBytes) // what it says is of no interest
	reached.Chain = verifiedChain(resp.TLS)
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		reached.Date = date
	}
	return reached, nil
}

func verifiedChain(state *tls.ConnectionState) []*x509.Certificate {
	if state == nil || len(state.VerifiedChains) == 0 {
		return nil
	}
	return state.VerifiedChains[0]
}
