package simulator

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/internal/loopback"
)

// announcement tells whoever has started Caddy where the playground is, once everything
// listens.
type announcement struct {
	logger *zap.Logger
	server *caddyhttp.Server
}

// announce makes sure that it is told.
func announce(ctx caddy.Context) error {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return nil
	}
	module, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("loading events app: %w", err)
	}
	return module.(*caddyevents.App).On("started", announcement{ctx.Logger(), server})
}

// Handle implements [caddyevents.Handler].
func (a announcement) Handle(context.Context, caddy.Event) error {
	if page := pageOf(a.server); page != "" {
		a.logger.Info("open the playground in a browser", zap.String("url", page))
	}
	return nil
}

// pageOf is the address of a server's home page on this machine, empty if it has none.
func pageOf(server *caddyhttp.Server) string {
	scheme := "http"
	if len(server.TLSConnPolicies) > 0 {
		scheme = "https"
	}
	for _, listen := range server.Listen {
		addr, err := caddy.ParseNetworkAddress(listen)
		if err != nil || addr.IsUnixNetwork() || addr.StartPort == 0 {
			continue
		}
		host := addr.Host
		if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		if loopback.Host(host) {
			return scheme + "://" + net.JoinHostPort(host, strconv.FormatUint(uint64(addr.StartPort), 10)) + "/"
		}
	}
	return ""
}
