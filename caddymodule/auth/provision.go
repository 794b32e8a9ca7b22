package auth

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/urlpath"
)

// Provision fills in defaults and builds what requests need.
func (h *Handler) Provision(ctx caddy.Context) (err error) {
	h.logger = ctx.Logger()
	h.configured = option.Digest(h)
	option.SetDefault(&h.Prefix, defaultPrefix)
	if err := checkPrefix(h.Prefix); err != nil {
		return err
	}
	if h.app, err = wechatapp.Of(ctx); err != nil {
		return err
	}
	h.gateway, h.record = h.app.Gateway(), h.app.Record()
	if h.apps, err = h.resolveApps(); err != nil {
		return err
	}
	for _, id := range h.apps {
		if _, redirects := h.app.Redirecter(h.account(id).Kind); !redirects { // its clients post their codes
			h.loginApps = append(h.loginApps, id)
		}
	}
	if err := h.provisionSettings(ctx); err != nil {
		return fmt.Errorf("%w%s", err, option.PositionOfHandler(h.Digest()))
	}
	return nil
}

// provisionSettings checks the settings of the site and makes of them what requests
// need.
func (h *Handler) provisionSettings(ctx caddy.Context) (err error) {
	if h.carrier, err = h.Token.carrier(); err != nil {
		return err
	}
	if err := h.provisionHeaders(); err != nil {
		return err
	}
	if err := h.Public.provision(ctx, "public"); err != nil {
		return err
	}
	if err := h.Optional.provision(ctx, "optional"); err != nil {
		return err
	}
	h.prefix = urlpath.Fold(h.Prefix)
	if err := h.provisionBrowser(); err != nil {
		return err
	}
	h.provisionOneTrip()
	// A web-view has a cookie also where no browser logs in.
	if h.varyCookie = slices.Clone(h.vary); !slices.Contains(h.vary, "Cookie") {
		h.varyCookie = append(h.varyCookie, "Cookie")
	}
	if h.varyNobody = h.vary; h.hasKind(provider.MiniProgram) {
		h.varyNobody = h.varyCookie
	}
	h.routes = h.newRoutes()
	h.warnOfLoggedTokens(ctx)
	keepWriters(ctx)
	return h.checkPublic()
}

// provisionHeaders prepares what the app gets.
func (h *Handler) provisionHeaders() (err error) {
	if h.preset, err = h.Headers.preset(); err != nil {
		return err
	}
	if err := h.checkBesideCloudHosting(); err != nil {
		return err
	}
	if err := h.Assertion.provision(); err != nil {
		return err
	}
	if h.Assertion != nil {
		if family, fixed := h.preset.(*identity.CloudHosting); fixed && family.Names(h.Assertion.Header) {
			return fmt.Errorf("assertion: header %q is one of `headers cloud_hosting`; choose another name", h.Assertion.Header)
		}
		if err := h.app.OpenAssertionKeys(); err != nil {
			return err
		}
	}
	names, err := headerNames(h.Header)
	if err != nil {
		return err
	}
	if h.guard, err = identity.NewGuard(names, h.Assertion.names()...); err != nil {
		return err
	}
	if h.Token != nil && h.guard.Removes(h.Token.Header) {
		return fmt.Errorf("token: header %q is an identity header, which is removed from every request; choose another name", h.Token.Header)
	}
	return nil
}

// checkPrefix accepts canonical paths with at least one segment: the prefix is
// compared with what clients send, and everything below it belongs to us.
func checkPrefix(prefix string) error {
	if !urlpath.Canonical(prefix) || prefix == "/" || strings.HasSuffix(prefix, "/") || strings.Contains(prefix, "*") {
		return fmt.Errorf("prefix: %q must be a path such as /wechat: canonical, not / and without a slash at its end", prefix)
	}
	return nil
}

// checkPublic refuses patterns that would leave the whole site, or the
// gateway's own routes, without protection.
func (h *Handler) checkPublic() error {
	if h.Public == nil {
		return nil
	}
	if err := h.Public.checkPublic(h.Prefix); err != nil {
		return err
	}
	return tryPublic(matchersCover, h.Public.matchers, h.Prefix)
}
