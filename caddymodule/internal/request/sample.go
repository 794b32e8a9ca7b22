package request

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Sample is a request of an unknown client, made for matchers. It is sent
// nowhere. Host may be an IPv6 address as host matchers have it, without brackets.
func Sample(method, host, path string) (*http.Request, error) {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		host = "[" + host + "]"
	}
	r, err := http.NewRequestWithContext(context.Background(), method, "http://"+host+path, nil)
	if err != nil {
		return nil, err
	}
	r.RequestURI, r.RemoteAddr = path, "192.0.2.1:1"
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, new(caddyhttp.Server)), nil
}
