package operate

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/gateway/caddymodule/internal/layout"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 4 << 10

// loopSite is a server of the configuration, without its listeners, on a
// loopback port of ours.
type loopSite struct {
	front  *http.Server
	addr   string
	client *http.Client
}

func openSite(ctx context.Context, server *caddyhttp.Server) (*loopSite, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening on loopback: %w", err)
	}
	overTLS := len(server.TLSConnPolicies) > 0
	front := &http.Server{ReadHeaderTimeout: probeTime, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if overTLS { // as the site expects it, though nobody outside takes part
			name, _, err := net.SplitHostPort(r.Host)
			if err != nil {
				name = r.Host
			}
			r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: name}
		}
		server.ServeHTTP(w, r)
	})}
	go func() { _ = front.Serve(ln) }() // until close
	client := &http.Client{
		Timeout:       probeTime,
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &loopSite{front: front, addr: ln.Addr().String(), client: client}, nil
}

func (s *loopSite) close() { _ = s.front.Close() }

// request sends a forged request to the site.
func (v *visit) request(ctx context.Context, t layout.Traveller, authenticated, erase bool) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+v.site.addr+t.Sent, nil)
	if err != nil {
		return 0, "", err
	}
	req.Host = t.Host
	v.forgery.AddTo(req.Header)
	if erase {
		v.forgery.Erase(req.Header)
	}
	if authenticated {
		v.by.Token.Put(req, v.token)
	}
	resp, err := v.site.client.Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("asking the site: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, string(data), err
}
