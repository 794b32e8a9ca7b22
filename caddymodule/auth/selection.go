package auth

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/gateway/caddymodule/internal/request"
	"github.com/caddy-wechat/gateway/internal/urlpath"
)

// Selection names requests by path, by matchers, or both; either is enough.
type Selection struct {
	// Paths, matched exactly and case-sensitively, or with `/*` at the end
	// everything below. A request whose path has a second reading (dot segments,
	// `//`, `;`, needless escapes) is in no selection.
	Paths []string `json:"paths,omitempty"`

	// Matchers, as in routes: a request is selected if all matchers of one set
	// match. Its path must be canonical here, too.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`

	// Every request with a canonical path. Only for `optional`.
	All bool `json:"all,omitempty"`

	patterns []urlpath.Pattern
	matchers caddyhttp.MatcherSets
}

func (s *Selection) provision(ctx caddy.Context, setting string) error {
	if s == nil {
		return nil
	}
	if len(s.Paths) == 0 && len(s.MatcherSetsRaw) == 0 && !s.All {
		return fmt.Errorf("%s: needs paths or a block of matchers", setting)
	}
	for _, text := range s.Paths {
		pattern, err := urlpath.ParsePattern(text)
		if err != nil {
			return fmt.Errorf("%s: %w", setting, err)
		}
		s.patterns = append(s.patterns, pattern)
	}
	if s.MatcherSetsRaw != nil {
		sets, err := ctx.LoadModule(s, "MatcherSetsRaw")
		if err != nil {
			return fmt.Errorf("%s: loading matchers: %w", setting, err)
		}
		if err := s.matchers.FromInterface(sets); err != nil {
			return fmt.Errorf("%s: %w", setting, err)
		}
	}
	return nil
}

// selects reports whether the request, by its canonical path, is in the
// selection both as the client sent it and as it is now. Each of the two may be
// in it by another pattern: behind handle_path they differ.
func (s *Selection) selects(c *classified) bool {
	if s == nil || !c.canonical() {
		return false
	}
	if s.All {
		return true
	}
	if !s.covers(c.current, c.request) {
		return false
	}
	return c.sent == c.current || s.covers(c.sent, c.asSent())
}

// HasMatchers reports whether more than a path can decide.
func (s *Selection) HasMatchers() bool { return len(s.MatcherSetsRaw)+len(s.matchers) > 0 }

// covers reports whether one form of a request is in the selection.
func (s *Selection) covers(path string, r *http.Request) bool {
	for _, pattern := range s.patterns {
		if pattern.Match(path) {
			return true
		}
	}
	return r != nil && len(s.matchers) > 0 && matchAny(s.matchers, r)
}

// classified is a request with both of its paths: rewrites may have changed
// what is served after the client asked for something else.
type classified struct {
	request        *http.Request
	sent, current  string // raw
	checked, clean bool
	route          bool // it is a gateway route
	signed         bool // it came with a signature, which nothing else made needless
}

func classify(r *http.Request) classified {
	c := classified{request: r, current: r.URL.EscapedPath()}
	c.sent = c.current
	if original, ok := request.Original(r); ok {
		c.sent = sentPath(original.RequestURI, original.URL.EscapedPath())
	}
	return c
}

// sentPath returns the path as the client spelled it. Go's URL replaces bytes
// that are not ASCII by escapes, so it cannot be asked about them.
func sentPath(requestURI, escaped string) string {
	if !strings.HasPrefix(requestURI, "/") {
		return escaped // absolute form, or * or an authority
	}
	path, _, _ := strings.Cut(requestURI, "?")
	return path
}

func (c *classified) canonical() bool {
	if !c.checked {
		c.checked = true
		c.clean = urlpath.Canonical(c.sent) && (c.current == c.sent || urlpath.Canonical(c.current))
	}
	return c.clean
}

// asSent returns the request as the client sent it, nil if that is not known.
func (c *classified) asSent() *http.Request {
	original, ok := request.Original(c.request)
	if !ok {
		return nil
	}
	asSent := *c.request
	asSent.Method, asSent.URL, asSent.RequestURI = original.Method, original.URL, original.RequestURI
	return &asSent
}

// matchAny treats a matcher that fails as one that does not match.
func matchAny(sets caddyhttp.MatcherSets, r *http.Request) bool {
	matched, err := sets.AnyMatchWithError(r)
	return err == nil && matched
}
