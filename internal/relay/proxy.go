// Package relay lets apps call a server API without a credential: it adds the
// access_token of the account in whose name they call.
package relay

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"

	"github.com/caddy-wechat/gateway/internal/credential"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/provider/transport"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/urlpath"
)

// Errors of Serve, besides those of [wechat.Client].
var (
	// ErrPath: apps may not call the path.
	ErrPath = errors.New("path is not allowed")
	// ErrMethod: CONNECT, which asks for a tunnel, and TRACE, whose answer repeats the
	// access_token.
	ErrMethod = errors.New("method is not allowed")
	// ErrUnsupported: the path exists in Cloud Hosting only.
	ErrUnsupported = errors.New("path exists in Cloud Hosting only")
	// ErrUnknownApp: from_appid names an app that cannot be called for.
	ErrUnknownApp = errors.New("unknown app")
	// ErrBody: the body cannot be read.
	ErrBody = errors.New("body cannot be read")
	// ErrSlowBody: the body did not arrive in time.
	ErrSlowBody = errors.New("body did not arrive in time")
	// ErrTooLarge: a body without Content-Length is longer than [MaxBuffered].
	ErrTooLarge = errors.New("body too large")
	// ErrBusy: the bodies of other calls fill the buffers.
	ErrBusy = errors.New("no room for the body")
	// ErrTokenRefused: WeChat refuses the token that it has just handed out.
	ErrTokenRefused = errors.New("WeChat refuses the access_token twice")
)

const (
	// SeqHeader is the answer header that names the call, as Cloud Hosting's.
	SeqHeader = "X-Openapi-Seqid"
	// ErrorHeader is the answer header that tells an answer of the gateway from
	// one of WeChat.
	ErrorHeader = "X-Gateway-Error"

	seqBytes = 16
)

// Relayer sends requests to WeChat.
type Relayer interface {
	Relay(ctx context.Context, r transport.Relayed) (*http.Response, error)
}

// Proxy forwards calls of apps to WeChat's server API with an access_token. It is
// immutable.
type Proxy struct {
	Paths Paths
	// Owners by AppID; Default is the one to use unless the caller names another.
	Owners  map[string]*credential.Owner
	Default string
	WeChat  Relayer
	// Users sign calls that name a user in UserHeader.
	Users   Users
	Buffers *Buffers
	// BodyTime is how long a body that is kept may take to arrive, and how long
	// one that is passed on while it comes may pause.
	BodyTime time.Duration
}

// Call is what became of a request, for logs and metrics.
type Call struct {
	// AppID is the app in whose name it was; Path its label in metrics.
	AppID, Path string
	// Seq is the name of the call that the app got.
	Seq string
	// Errcode is WeChat's, 0 for none.
	Errcode int
	// Took is how long WeChat needed to begin its answer, 0 if it was not asked.
	Took time.Duration
}

// NewCall returns a call that nothing is known of yet, and names it in the answer.
func (p *Proxy) NewCall(w http.ResponseWriter) *Call {
	var seq [seqBytes]byte
	rand.Read(seq[:]) // never fails since Go 1.24
	call := &Call{Seq: hex.EncodeToString(seq[:]), AppID: p.Default, Path: OtherPath}
	w.Header().Set(SeqHeader, call.Seq)
	return call
}

// Serve forwards a request and writes the answer, or returns an error before
// anything but headers of the answer is written. When either side is cut off in
// the middle of an answer, it panics with [http.ErrAbortHandler].
func (p *Proxy) Serve(w http.ResponseWriter, r *http.Request, call *Call) error {
	if r.Method == http.MethodConnect || r.Method == http.MethodTrace {
		w.Header().Set("Allow", "DELETE, GET, HEAD, PATCH, POST, PUT")
		return ErrMethod
	}
	var v verdict
	switch v, call.Path = p.Paths.judge(r.URL); v {
	case denied:
		return ErrPath
	case unsupported:
		return ErrUnsupported
	}
	owner, err := p.owner(r)
	if err != nil {
		return err
	}
	call.AppID = owner.AppID()
	openID, err := userOf(r.Header)
	switch {
	case err != nil:
		return err
	case openID == "" && urlpath.Fold(r.URL.EscapedPath()) == resetPath: // the new key would reach the caller
		return ErrUserHeader
	}
	used := &loan{from: p.Buffers}
	defer used.giveBack()
	body, err := p.readBody(w, r, used, openID != "")
	if err != nil {
		return err
	}
	if openID != "" && !used.takeLarge(maxSignedAnswer) {
		return ErrBusy // afterwards WeChat may have replaced the user's session_key
	}
	var failed error
	proxy := httputil.ReverseProxy{
		Rewrite:       rewrite,
		Transport:     &trip{proxy: p, in: r, owner: owner, openID: openID, body: body, used: used, call: call},
		FlushInterval: -1,
		BufferPool:    copyBuffers{},
		ModifyResponse: func(resp *http.Response) error {
			for name := range resp.Header { // or it would be added to what Caddy has set
				delete(w.Header(), name)
			}
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { failed = err },
	}
	proxy.ServeHTTP(w, r)
	return failed
}

// owner returns whose token to use: that of the app that the caller names, as
// those do whose resources are shared.
func (p *Proxy) owner(r *http.Request) (*credential.Owner, error) {
	appID, ok := fromAppID(r.URL.RawQuery)
	if !ok {
		return nil, ErrUnknownApp
	}
	if appID == "" {
		appID = p.Default
	}
	owner := p.Owners[appID]
	if owner == nil {
		return nil, ErrUnknownApp
	}
	return owner, nil
}

// rewrite removes what is between the app and the gateway only.
func rewrite(r *httputil.ProxyRequest) {
	h := r.Out.Header
	dropUser(h)
	for _, name := range []string{"Connection", "Upgrade", "Http2-Settings", "Te", "Expect", "Content-Length", "Host"} {
		delete(h, name)
	}
	// The gateway must read the answer.
	h["Accept-Encoding"] = []string{"identity"}
	if _, set := h["User-Agent"]; !set {
		h["User-Agent"] = []string{"caddy-wechat"} // or net/http would set its own
	}
}

// trip sends one call to WeChat, and once more with another token if the first
// one is refused and the body can be sent again.
type trip struct {
	proxy *Proxy
	in    *http.Request
	owner *credential.Owner
	// openID of the user in whose name it is signed, empty for none.
	openID string
	body   content
	used   *loan
	call   *Call
}

// RoundTrip implements [http.RoundTripper].
func (t *trip) RoundTrip(out *http.Request) (*http.Response, error) {
	start := time.Now()
	defer func() { t.call.Took = time.Since(start) }()
	// Not the context of out: it passes interim answers on, as they come.
	ctx := t.in.Context()
	if t.openID != "" {
		// WeChat may replace the user's session_key, which must be kept also when the
		// app has left. The whole answer is read before it is returned.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), signedTime)
		defer cancel()
	}
	for try := 0; ; try++ {
		token, err := t.owner.Token(ctx)
		if err != nil {
			return nil, err
		}
		answered, err := t.ask(ctx, out.Header, token)
		if err != nil {
			return nil, err
		}
		t.call.Errcode = answered.found.errcode()
		if !wechat.RefusesToken(t.call.Errcode) {
			if answered.StatusCode == http.StatusOK {
				t.owner.Accepted(token)
			}
			return answered.Response, nil
		}
		fresh := t.owner.Drop(ctx, token)
		if !t.body.repeatable() {
			return answered.Response, nil // with WeChat's own words; the next call has another token
		}
		_ = answered.Body.Close()
		if !fresh || try > 0 {
			return nil, ErrTokenRefused
		}
	}
}

func (t *trip) ask(ctx context.Context, header http.Header, token secret.String) (answer, error) {
	query := t.in.URL.RawQuery
	if t.openID != "" {
		var err error
		if query, err = t.signed(ctx); err != nil {
			return answer{}, err
		}
	}
	resp, err := t.proxy.WeChat.Relay(ctx, transport.Relayed{
		Method: t.in.Method, Path: t.in.URL.EscapedPath(), RawQuery: withToken(query, token.Reveal()),
		Header: header, Body: t.body.reader(), Length: t.body.length, Hidden: []string{token.Reveal()},
	})
	if err != nil {
		return answer{}, err
	}
	answered, err := openAnswer(resp, token, t.used, func() { t.owner.Drop(context.WithoutCancel(ctx), token) })
	if err != nil {
		_ = resp.Body.Close()
		return answer{}, err
	}
	if t.openID != "" {
		if answered, err = t.takeSessionKey(ctx, answered); err != nil {
			return answer{}, err
		}
	}
	// Names of ours mean what we say.
	delete(answered.Header, ErrorHeader)
	delete(answered.Header, identity.VerdictHeader)
	answered.Header[SeqHeader] = []string{t.call.Seq}
	return answered, nil
}

// copyBuffers are used again: BenchmarkCallOfWeChat takes 24 KB a call with them, 56
// KB without.
type copyBuffers struct{}

var copyPool = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// Get implements [httputil.BufferPool].
func (copyBuffers) Get() []byte { return copyPool.Get().(*[32 << 10]byte)[:] }

// Put implements [httputil.BufferPool].
func (copyBuffers) Put(b []byte) { copyPool.Put((*[32 << 10]byte)(b)) }
