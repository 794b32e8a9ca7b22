package request

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/gateway/internal/browser"
)

// InEarlyData reports whether an attacker may have replayed the request from an
// unfinished TLS handshake (RFC 8470).
func InEarlyData(r *http.Request) bool {
	return r.TLS != nil && !r.TLS.HandshakeComplete ||
		FromTrustedProxy(r) && strings.TrimSpace(r.Header.Get("Early-Data")) == "1"
}

// ClientAddr is the address that Caddy resolved, by trusted_proxies.
func ClientAddr(r *http.Request) netip.Addr {
	text := ClientIP(r)
	if addrPort, err := netip.ParseAddrPort(text); err == nil {
		return addrPort.Addr()
	}
	addr, _ := netip.ParseAddr(text) // unix sockets have none: one shared limit
	return addr
}

// ClientIP is that address as Caddy's access log has it.
func ClientIP(r *http.Request) string {
	text, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return text
}

// FromTrustedProxy reports whether the peer is in Caddy's trusted_proxies.
func FromTrustedProxy(r *http.Request) bool {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}

// Scheme is the scheme that the client used, as far as a trusted proxy in
// front may say.
func Scheme(r *http.Request) string {
	return browser.Scheme(r, FromTrustedProxy(r))
}
