package wechatapp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/gateway/internal/urlpath"
)

// Selection names requests by path, by matchers, or both; either is enough.
type Selection struct {
	// Paths, matched exactly and case-sensitively, or with `/*` at the end
	// everything below. A request whose path has a second reading (dot segments,
	// `//`, `;`, needless escapes) is in no selection.
	Paths []string `json:"paths,omitempty"`

	// Matchers, as in routes: a request is selected if all matchers of one set
	// match. Its path has to be canonical here, too.
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

// checkPublic returns an error for a selection that covers the home page, and
// with it everything to whoever reads a pattern generously, or a gateway route.
func (s *Selection) checkPublic(prefix string) error {
	if s.All {
		return errors.New("public: cannot be the whole site; use `optional` without arguments for a site that anonymous users may see")
	}
	for _, text := range s.Paths {
		if err := checkPublicPattern(text, prefix); err != nil {
			return err
		}
	}
	for _, set := range s.MatcherSetsRaw {
		if err := checkPublicSet(set, prefix); err != nil {
			return err
		}
	}
	return nil
}

// checkPublicSet looks for the same in the matchers that only look at the path.
// A block with any other matcher is narrower, and its author's decision.
func checkPublicSet(set caddy.ModuleMap, prefix string) error {
	if len(set) == 0 {
		return errors.New("public: an empty block of matchers would match every request")
	}
	if raw, ok := set["path_regexp"]; ok {
		var regexp caddyhttp.MatchPathRE
		if err := json.Unmarshal(raw, &regexp); err != nil {
			return errors.New("public: path_regexp cannot be read")
		}
		if !strings.HasPrefix(regexp.Pattern, "^") || !strings.HasSuffix(regexp.Pattern, "$") {
			return fmt.Errorf("public: path_regexp %q has to be anchored, with ^ at its start and $ at its end", regexp.Pattern)
		}
	}
	raw, ok := set["path"]
	if !ok || len(set) > 1 {
		return nil
	}
	var paths caddyhttp.MatchPath
	if err := json.Unmarshal(raw, &paths); err != nil {
		return errors.New("public: path cannot be read")
	}
	for _, text := range paths {
		switch {
		case text == "*" || text == "/" || text == "/*":
			return fmt.Errorf("public: %q covers /, which would make the site public", text)
		case strings.HasPrefix(strings.ToLower(text), strings.ToLower(prefix)):
			return fmt.Errorf("public: %q covers the gateway's prefix %s", text, prefix)
		}
	}
	return nil
}

func checkPublicPattern(text, prefix string) error {
	pattern, err := urlpath.ParsePattern(text)
	if err != nil {
		return fmt.Errorf("public: %w", err)
	}
	if pattern.Covers("/") {
		return fmt.Errorf("public: %q covers /, which would make the site public", text)
	}
	for _, name := range routeNames {
		if pattern.Covers(prefix + "/" + name) {
			return fmt.Errorf("public: %q covers the gateway route %s/%s", text, prefix, name)
		}
	}
	if pattern.Covers(prefix) || urlpath.Below(strings.TrimSuffix(text, "*"), urlpath.Fold(prefix)) {
		return fmt.Errorf("public: %q covers the gateway's prefix %s", text, prefix)
	}
	return nil
}

// selects reports whether the request, by its canonical path, is in the
// selection both as the client sent it and as it is now.
func (s *Selection) selects(c *classified) bool {
	if s == nil || !c.canonical() {
		return false
	}
	if s.All {
		return true
	}
	for _, pattern := range s.patterns {
		if pattern.Match(c.sent) && pattern.Match(c.current) {
			return true
		}
	}
	return len(s.matchers) > 0 && c.matches(s.matchers)
}

// classified is a request with both of its paths: rewrites may have changed
// what is served after the client asked for something else.
type classified struct {
	request       *http.Request
	sent, current string // raw
	known, clean  bool
}

func classify(r *http.Request) classified {
	c := classified{request: r, current: r.URL.EscapedPath()}
	c.sent = c.current
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
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
	if !c.known {
		c.known = true
		c.clean = urlpath.Canonical(c.sent) && (c.current == c.sent || urlpath.Canonical(c.current))
	}
	return c.clean
}

// matches evaluates matchers on the request as it is and, if it was rewritten,
// also as the client sent it.
func (c *classified) matches(sets caddyhttp.MatcherSets) bool {
	if !matchAny(sets, c.request) {
		return false
	}
	if c.sent == c.current {
		return true
	}
	original, ok := c.request.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok {
		return false
	}
	asSent := *c.request
	asSent.Method, asSent.URL, asSent.RequestURI = original.Method, original.URL, original.RequestURI
	return matchAny(sets, &asSent)
}

// matchAny takes a matcher that fails for one that says no.
func matchAny(sets caddyhttp.MatcherSets, r *http.Request) bool {
	matched, err := sets.AnyMatchWithError(r)
	return err == nil && matched
}
