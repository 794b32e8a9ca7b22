package operate

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
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
