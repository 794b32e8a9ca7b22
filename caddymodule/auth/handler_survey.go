package auth

import (
	"slices"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/urlpath"
)

// What a survey of all sites asks a handler for, which may not be provisioned yet,
// and tells it.

// Digest stands for the handler as it was configured.
func (h *Handler) Digest() string {
	if h.configured != "" {
		return h.configured
	}
	return option.Digest(h)
}

// PrefixOrDefault is the configured prefix or the default.
func (h *Handler) PrefixOrDefault() string {
	if h.Prefix == "" {
		return defaultPrefix
	}
	return h.Prefix
}

// OpenPaths are the paths of public and optional.
func (h *Handler) OpenPaths() []string {
	var paths []string
	for _, s := range []*Selection{h.Public, h.Optional} {
		if s != nil {
			paths = append(paths, s.Paths...)
		}
	}
	return paths
}

// Owns reports whether the handler answers a request itself, as one of its routes or a
// look-alike.
func (h *Handler) Owns(sent, current string) bool {
	prefix := urlpath.Fold(h.PrefixOrDefault())
	return urlpath.Below(sent, prefix) || urlpath.Below(current, prefix)
}

// Place tells the site what stands before the paths that the handler sees, if that is
// known.
func (h *Handler) Place(base string, known bool) {
	h.browsers.base, h.browsers.placed = base, known
}

// KeepCookiesFrom makes the cookies of another site on the same host unknown to this
// one's app.
func (h *Handler) KeepCookiesFrom(other *Handler) {
	b := &h.browsers
	if cookies := other.browsers.cookies; cookies != b.cookies && !slices.Contains(b.besides, cookies) {
		b.besides = append(b.besides, cookies)
	}
	if token, ok := other.carrier.(cookieCarrier); ok && h.carrier != token && !slices.Contains(b.tokens, token) {
		b.tokens = append(b.tokens, token)
	}
}
