package auth

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/gateway/caddymodule/internal/request"
	"github.com/caddy-wechat/gateway/internal/urlpath"
)

// checkPublic returns an error for a path of `public` that covers the home page,
// and with it everything to whoever reads a pattern generously, or a gateway
// route, and for what its matchers say about paths.
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

// checkPublicSet judges the matchers of a block that can be judged by
// themselves, so that a Caddyfile's mistake has its line.
func checkPublicSet(set caddy.ModuleMap, prefix string) error {
	if len(set) == 0 {
		return errors.New("public: an empty block of matchers would match every request")
	}
	var matchers caddyhttp.MatcherSet
	if raw, ok := set["path_regexp"]; ok {
		regexp := new(caddyhttp.MatchPathRE)
		if json.Unmarshal(raw, regexp) != nil || regexp.Provision(caddy.Context{}) != nil {
			return errors.New("public: path_regexp cannot be read")
		}
		if !anchored(regexp.Pattern) {
			return fmt.Errorf("public: path_regexp %q must be anchored as a whole: each of its alternatives between ^ and $, as in ^(/static|/health)$", regexp.Pattern)
		}
		matchers = append(matchers, regexp)
	}
	if raw, ok := set["path"]; ok {
		var paths caddyhttp.MatchPath
		if json.Unmarshal(raw, &paths) != nil || paths.Provision(caddy.Context{}) != nil {
			return errors.New("public: path cannot be read")
		}
		matchers = append(matchers, paths)
	}
	if len(matchers) < len(set) { // the others may make it narrower; Provision tries all of them
		return nil
	}
	if paths, only := matchers[0].(caddyhttp.MatchPath); only {
		for _, text := range paths {
			if err := tryPublic(fmt.Sprintf("%q covers", text), caddyhttp.MatcherSets{{caddyhttp.MatchPath{text}}}, prefix); err != nil {
				return err
			}
		}
		return nil
	}
	return tryPublic(matchersCover, caddyhttp.MatcherSets{matchers}, prefix)
}

// anchored reports whether every match of the pattern is a match of the whole
// text. `^/a|/b$` is not: its alternatives have one anchor each.
func anchored(pattern string) bool {
	re, err := syntax.Parse(pattern, syntax.Perl)
	return err == nil && anchoredAt(re, syntax.OpBeginText, 0) && anchoredAt(re, syntax.OpEndText, -1)
}

// anchoredAt looks for the anchor at the first (0) or last (-1) place.
func anchoredAt(re *syntax.Regexp, anchor syntax.Op, index int) bool {
	switch re.Op {
	case anchor:
		return true
	case syntax.OpConcat:
		return len(re.Sub) > 0 && anchoredAt(re.Sub[(len(re.Sub)+index)%len(re.Sub)], anchor, index)
	case syntax.OpCapture:
		return anchoredAt(re.Sub[0], anchor, index)
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			if !anchoredAt(sub, anchor, index) {
				return false
			}
		}
		return true
	}
	return false
}

const matchersCover = "its matchers cover"

// tryPublic judges matchers by what they do: on the home page, on pages that
// no author expects, and on the gateway's routes. A block that asks for more
// than a path, such as a header or an address, is its author's decision as long as
// plain requests are not in it.
func tryPublic(subject string, sets caddyhttp.MatcherSets, prefix string) error {
	if len(sets) == 0 {
		return nil
	}
	covers := func(path string) bool {
		return slices.ContainsFunc([]string{http.MethodGet, http.MethodPost}, func(method string) bool {
			r, err := request.Sample(method, "sample.invalid", path)
			return err == nil && matchAny(sets, r)
		})
	}
	if covers("/") {
		return fmt.Errorf("public: %s /, which would make the site public", subject)
	}
	for _, name := range append([]string{rand.Text()}, routeNames...) {
		if covers(prefix+"/"+name) || covers(prefix+"/"+name+"/"+rand.Text()) {
			return fmt.Errorf("public: %s the gateway's prefix %s", subject, prefix)
		}
	}
	for depth := range 3 {
		covered := 0
		for _, initial := range []string{"e", "q", "7"} { // /e* has its one page by its name
			var path strings.Builder
			for range depth + 1 {
				path.WriteString("/" + initial + strings.ToLower(rand.Text()))
			}
			if covers(path.String()) {
				covered++
			}
		}
		if covered > 1 {
			return fmt.Errorf("public: %s pages that may come later; name the paths that need no login", subject)
		}
	}
	return nil
}
