package openapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/wechat"
)

// Errors of Serve, besides those of wechat.Client.
var (
	// ErrPath: the path is not one that apps may call.
	ErrPath = errors.New("path is not allowed")
	// ErrUnsupported: the path exists in Cloud Hosting only.
	ErrUnsupported = errors.New("path exists in Cloud Hosting only")
	// ErrUnknownApp: from_appid names an app that cannot be called for.
	ErrUnknownApp = errors.New("unknown app")
	// ErrBody: the body cannot be read, or it is too large to find out its length.
	ErrBody = errors.New("body cannot be read")
	// ErrTooLarge: a body without Content-Length is longer than MaxBuffered.
	ErrTooLarge = errors.New("body too large")
	// ErrTokenRefused: WeChat refuses the token that it has just handed out.
	ErrTokenRefused = errors.New("WeChat refuses the access_token twice")
)

const (
	// MaxBuffered is the largest body without Content-Length.
	MaxBuffered = 16 << 20
	// maxRepeatable is the largest body that is kept for a second try.
	maxRepeatable = 64 << 10
	// maxPeeked is the longest answer that is looked into for an errcode.
	maxPeeked = 4 << 10

	// SeqHeader is the answer header that names the call, as Cloud Hosting's.
	SeqHeader = "X-Openapi-Seqid"
	seqBytes  = 16
)

// Relayer sends requests to WeChat.
type Relayer interface {
	Relay(ctx context.Context, r wechat.Relayed) (*http.Response, error)
}

// Proxy forwards calls of apps to WeChat's server API with an access_token. It is
// immutable.
type Proxy struct {
	Paths Paths
	// Owners by AppID; Default is the one to use unless the caller names another.
	Owners  map[string]*Owner
	Default string
	WeChat  Relayer
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

// Serve forwards a request and writes the answer, or returns an error before
// anything but headers of the answer is written.
func (p *Proxy) Serve(w http.ResponseWriter, r *http.Request) (Call, error) {
	call := Call{Seq: newSeq(), AppID: p.Default, Path: OtherPath}
	w.Header().Set(SeqHeader, call.Seq)
	var v verdict
	switch v, call.Path = p.Paths.judge(r.URL); v {
	case denied:
		return call, ErrPath
	case unsupported:
		return call, ErrUnsupported
	}
	owner, err := p.owner(r)
	if err != nil {
		return call, err
	}
	call.AppID = owner.AppID()
	body, err := readBody(r)
	if err != nil {
		return call, err
	}
	start := time.Now()
	resp, err := p.send(r, owner, body, &call)
	call.Took = time.Since(start)
	if err != nil {
		return call, err
	}
	defer func() { _ = resp.Body.Close() }()
	copyAnswer(w, resp)
	return call, nil
}

func newSeq() string {
	var seq [seqBytes]byte
	rand.Read(seq[:]) // never fails since Go 1.24
	return hex.EncodeToString(seq[:])
}

// owner returns whose token to use: that of the app that the caller names, as
// those do whose resources are shared.
func (p *Proxy) owner(r *http.Request) (*Owner, error) {
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

// content is the body of a request.
type content struct {
	stream io.Reader
	kept   []byte // of a body that can be sent again
	length int64
}

func (c content) repeatable() bool { return c.stream == nil }

func (c content) reader() io.Reader {
	if c.stream != nil {
		return c.stream
	}
	return bytes.NewReader(c.kept)
}

// readBody keeps a short body, and one whose length is not known. A long one is
// passed on while it comes.
func readBody(r *http.Request) (content, error) {
	if r.ContentLength > maxRepeatable {
		return content{stream: r.Body, length: r.ContentLength}, nil
	}
	if r.Body == nil || r.ContentLength == 0 {
		return content{}, nil
	}
	kept, err := io.ReadAll(io.LimitReader(r.Body, MaxBuffered+1))
	switch {
	case err != nil:
		return content{}, ErrBody
	case len(kept) > MaxBuffered:
		return content{}, ErrTooLarge
	}
	return content{kept: kept, length: int64(len(kept))}, nil
}

// send asks WeChat, and once more with another token if it refuses the first one
// and the body can be sent again.
func (p *Proxy) send(r *http.Request, owner *Owner, body content, call *Call) (*http.Response, error) {
	header := outgoing(r.Header)
	for try := 0; ; try++ {
		token, err := owner.Token(r.Context())
		if err != nil {
			return nil, err
		}
		resp, err := p.relay(r, token, header, body)
		if err != nil {
			return nil, err
		}
		call.Errcode = peekErrcode(resp)
		if !refusesToken(call.Errcode) {
			return resp, nil
		}
		fresh := owner.Drop(r.Context(), token)
		if !body.repeatable() {
			return resp, nil // with WeChat's own words; the next call has another token
		}
		_ = resp.Body.Close()
		if !fresh || try > 0 {
			return nil, ErrTokenRefused
		}
	}
}

func (p *Proxy) relay(r *http.Request, token secret.String, header http.Header, body content) (*http.Response, error) {
	return p.WeChat.Relay(r.Context(), wechat.Relayed{
		Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: withToken(r.URL.RawQuery, token.Reveal()),
		Header: header, Body: body.reader(), Length: body.length, Hidden: []string{token.Reveal()},
	})
}

// refusesToken reports whether an errcode is about the access_token
// ("接口调用凭据", access_token 使用说明).
func refusesToken(errcode int) bool {
	return errcode == 40001 || errcode == 40014 || errcode == 42001
}

// peekErrcode looks for an errcode in an answer that is short enough to be one,
// and leaves the answer whole.
func peekErrcode(resp *http.Response) int {
	kind := resp.Header.Get("Content-Type")
	if resp.ContentLength > maxPeeked || !strings.Contains(kind, "json") && !strings.HasPrefix(kind, "text/plain") {
		return 0
	}
	start, err := io.ReadAll(io.LimitReader(resp.Body, maxPeeked+1))
	rest := io.Reader(resp.Body)
	if err != nil {
		rest = failing{err}
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(start), rest), resp.Body}
	if err != nil || len(start) > maxPeeked || !mayHaveErrcode(start) {
		return 0
	}
	return wechat.Errcode(start)
}

// mayHaveErrcode reports whether it is worth to parse the answer, which costs as
// much as a twentieth of the whole call: usually the errcode is absent or 0.
func mayHaveErrcode(answer []byte) bool {
	_, after, found := bytes.Cut(answer, []byte(`"errcode"`))
	if !found {
		return false
	}
	after = bytes.TrimLeft(after, " \t\r\n:")
	return len(after) == 0 || after[0] != '0' || bytes.Contains(after, []byte(`"errcode"`))
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// perHop are headers that say something about one connection (RFC 9110 section
// 7.6.1), and Host.
var perHop = []string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings", "Expect", "Content-Length", "Host",
}

// outgoing returns the headers for WeChat.
func outgoing(h http.Header) http.Header {
	out := maps.Clone(h)
	removePerHop(out)
	if _, set := out["User-Agent"]; !set {
		out["User-Agent"] = []string{"caddy-wechat"} // or net/http would set its own
	}
	return out
}

func removePerHop(h http.Header) {
	for _, value := range h["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			delete(h, textproto.CanonicalMIMEHeaderKey(strings.Trim(name, " \t")))
		}
	}
	for _, name := range perHop {
		delete(h, name)
	}
}

// copyAnswer writes WeChat's answer as it comes.
func copyAnswer(w http.ResponseWriter, resp *http.Response) {
	length := resp.Header["Content-Length"]
	removePerHop(resp.Header)
	maps.Copy(w.Header(), resp.Header)
	if length != nil {
		w.Header()["Content-Length"] = length
	}
	w.WriteHeader(resp.StatusCode)
	if resp.ContentLength >= 0 {
		_, _ = io.Copy(w, resp.Body) // either side may leave; the other one notices
		return
	}
	flushing(w, resp.Body)
}

// flushing copies an answer of unknown length piece by piece.
func flushing(w http.ResponseWriter, body io.Reader) {
	control := http.NewResponseController(w)
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return
			}
			if control.Flush() != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
