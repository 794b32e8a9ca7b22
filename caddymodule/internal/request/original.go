package request

import (
	"context"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Original is the request as the client sent it.
func Original(r *http.Request) (original http.Request, ok bool) {
	original, ok = r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	return original, ok && original.URL != nil
}

// RemoveFromQuery takes parameters out of the request, and out of the original that
// Caddy keeps for FastCGI, templates, error routes and placeholders.
func RemoveFromQuery(r *http.Request, is func(pair string) bool) {
	r.URL.RawQuery = Without(r.URL.RawQuery, is)
	r.RequestURI = r.URL.RequestURI()
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || original.URL == nil {
		return
	}
	original.URL.RawQuery = Without(original.URL.RawQuery, is)
	path, query, found := strings.Cut(original.RequestURI, "?")
	if !found {
		return
	}
	if query = Without(query, is); query != "" {
		path += "?" + query
	}
	// The original is a value, so another one takes its place, for everybody who
	// holds this request; a placeholder may read yet another copy.
	original.RequestURI = path
	*r = *r.WithContext(context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, original))
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("http.request.orig_uri", path)
	}
}

// Without returns a query without some of its parameters.
func Without(query string, is func(pair string) bool) string {
	if query == "" {
		return ""
	}
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		if !is(pair) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}
