// Package loginhook asks an application, once per login, whether a user may come in
// and which name the application has for the user.
package loginhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/caddy-wechat/gateway/internal/loopback"
	"github.com/caddy-wechat/gateway/internal/netfault"
	"github.com/caddy-wechat/gateway/internal/secret"
)

// Outcomes of [Hook.Ask] besides a verdict. Every error of it matches exactly one.
var (
	// ErrNotAllowed: the application said no. The error is a [*Refusal].
	ErrNotAllowed = errors.New("the login hook does not allow this user")
	// ErrBadAnswer: the application cannot be reached, or answered something else
	// than the protocol has.
	ErrBadAnswer = errors.New("the login hook gave no usable answer")
	// ErrPaused: the hook is not asked for a while after failures in a row, or too
	// many logins wait for it.
	ErrPaused = errors.New("the login hook is given a rest")
	// ErrTimeout: no answer in time.
	ErrTimeout = errors.New("the login hook did not answer in time")
)

// SignatureHeader is the request header with the time and the signature:
// "t=<unix seconds>,v1=<hex HMAC-SHA-256 of "t.body">". The key is the secret as text.
const SignatureHeader = "X-Wechat-Signature"

const (
	// MinSecret is the length of the shortest secret, in bytes.
	MinSecret = 32
	// DefaultTimeout of one call.
	DefaultTimeout = 2 * time.Second
	// MaxTimeout bounds the setting: clients wait for a login that long, and nodes
	// for each other.
	MaxTimeout = 30 * time.Second

	maxInFlight    = 256
	maxAnswerBytes = 16 << 10
	maxHeaderBytes = 16 << 10
	idleTime       = 90 * time.Second
	// failuresToOpen in a row stop the calls for pause; then one call probes.
	failuresToOpen = 10
	pause          = 5 * time.Second
)

// Options of a hook.
type Options struct {
	// URL that is posted to: https, or http on a loopback address.
	URL string
	// Secret signs the requests; at least MinSecret bytes of text.
	Secret secret.String
	// Timeout of one call, connecting and reading included. Zero: DefaultTimeout.
	Timeout time.Duration
}

// Hook calls one URL. It is safe for concurrent use.
type Hook struct {
	url     string
	secret  secret.String
	timeout time.Duration
	client  *http.Transport // which follows no redirect
	slots   chan struct{}
	breaker *gobreaker.CircuitBreaker[Verdict]
}

// Login is what the application is told.
type Login struct {
	// AppID of the account that the user came through, and its kind.
	AppID string `json:"appid"`
	Kind  string `json:"kind"`
	// OpenID of the user in that account.
	OpenID string `json:"openid"`
	// UnionID, if WeChat gave one.
	UnionID string `json:"unionid,omitempty"`
	// ClientIP is the address of the client as Caddy resolved it.
	ClientIP string `json:"client_ip"`
	// Scope that the user consented to, for logins in browsers.
	Scope string `json:"scope,omitempty"`
}

// Verdict is the answer of an application that lets the user in.
type Verdict struct {
	// UserID is the application's name for the user; empty if it gave none, which
	// changes nothing about the one that is known.
	UserID string
}

// New checks the options. Its errors name the option.
func New(o Options) (*Hook, error) {
	if err := CheckURL(o.URL); err != nil {
		return nil, err
	}
	if len(o.Secret.Reveal()) < MinSecret {
		return nil, fmt.Errorf("secret: must be at least %d characters; `openssl rand -hex 32` makes one", MinSecret)
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Timeout < 0 || o.Timeout > MaxTimeout {
		return nil, fmt.Errorf("timeout: must be more than 0 and at most %s", MaxTimeout)
	}
	return &Hook{
		url: o.URL, secret: o.Secret, timeout: o.Timeout,
		client: &http.Transport{
			// No proxy, neither the environment's nor api_proxy: the application is near.
			DialContext:            (&net.Dialer{Timeout: o.Timeout, KeepAlive: 15 * time.Second}).DialContext,
			TLSHandshakeTimeout:    o.Timeout,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			MaxIdleConnsPerHost:    maxInFlight,
			IdleConnTimeout:        idleTime,
			MaxResponseHeaderBytes: maxHeaderBytes,
			DisableCompression:     true, // the limit is on what is read, not on what it unpacks to
		},
		slots: make(chan struct{}, maxInFlight),
		breaker: gobreaker.NewCircuitBreaker[Verdict](gobreaker.Settings{
			Timeout:      pause,
			ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failuresToOpen },
			IsSuccessful: func(err error) bool { return err == nil || errors.Is(err, ErrNotAllowed) },
		}),
	}, nil
}

// CheckURL returns an error unless text can be the URL of a hook.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return errors.New("must be a URL such as https://app.example.com/wechat-login")
	case u.User != nil:
		return errors.New("must not have a user or password in it: calls are signed with secret")
	case u.Fragment != "":
		return errors.New("must not have a fragment")
	case u.Scheme == "http" && !loopback.Host(u.Hostname()):
		return errors.New("must be https; plain http is accepted for loopback addresses only")
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must be https, or http on a loopback address")
	}
	return nil
}

// Timeout of one call.
func (h *Hook) Timeout() time.Duration { return h.timeout }

// Close closes the connections that are idle.
func (h *Hook) Close() { h.client.CloseIdleConnections() }

// Open reports whether the hook is not asked at the moment, after failures in a row.
func (h *Hook) Open() bool { return h.breaker.State() == gobreaker.StateOpen }

// Ask posts the login and returns what the application says. The call ends after the
// hook's timeout; a caller whose result others wait for passes a context that does not
// end with its own client.
func (h *Hook) Ask(ctx context.Context, login Login) (Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return Verdict{}, fmt.Errorf("%w: %d logins wait for it", ErrPaused, maxInFlight)
	}
	verdict, err := h.breaker.Execute(func() (Verdict, error) { return h.call(ctx, login) })
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return Verdict{}, fmt.Errorf("%w after %d failures in a row", ErrPaused, failuresToOpen)
	}
	return verdict, err
}

func (h *Hook) call(ctx context.Context, login Login) (Verdict, error) {
	body, err := json.Marshal(login)
	if err != nil {
		return Verdict{}, fmt.Errorf("%w: encoding the request: %w", ErrBadAnswer, err)
	}
	req, err := h.newRequest(ctx, body, Sign(h.secret, time.Now(), body))
	if err != nil {
		return Verdict{}, err
	}
	resp, err := h.client.RoundTrip(req)
	if err != nil {
		return Verdict{}, transportError(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return Verdict{}, transportError(ctx, err)
	case len(data) > maxAnswerBytes:
		return Verdict{}, fmt.Errorf("%w: status %d with more than %d bytes", ErrBadAnswer, resp.StatusCode, maxAnswerBytes)
	}
	return judge(resp.StatusCode, data)
}

// Sign returns the value of [SignatureHeader] for a body sent at a time.
func Sign(key secret.String, at time.Time, body []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// transportError says what became of a call, without anything of an answer: it can have
// an openid or a secret of the application's in it.
func transportError(ctx context.Context, err error) error {
	if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() || ctx.Err() != nil {
		return ErrTimeout
	}
	return fmt.Errorf("%w: %s", ErrBadAnswer, netfault.Text(err))
}

// newRequest makes the request of a call, which a transport sends as it is.
func (h *Hook) newRequest(ctx context.Context, body []byte, signature string) (*http.Request, error) {
	// bytes.Reader gives the request a length, and the transport a way to send it
	// again on another connection when a kept one is dead before anything was sent.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: its URL cannot be used", ErrBadAnswer) // New has checked it
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "caddy-wechat")
	req.Header[SignatureHeader] = []string{signature}
	return req, nil
}
