package layout

import (
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// learn collects the hosts and paths that routes speak of: requests for these are
// worth following.
func (t *topics) learn(matcher any) {
	switch m := matcher.(type) {
	case *caddyhttp.MatchHost:
		t.Hosts = append(t.Hosts, *m...)
	case caddyhttp.MatchHost:
		t.Hosts = append(t.Hosts, m...)
	case *caddyhttp.MatchPath:
		t.Paths = append(t.Paths, *m...)
	case caddyhttp.MatchPath:
		t.Paths = append(t.Paths, m...)
	case *caddyhttp.MatchNot:
		for _, set := range m.MatcherSets {
			for _, inner := range set {
				t.learn(inner)
			}
		}
	}
}

func (t *topics) learnRewrite(module any) {
	if r := rewriteOf(module); r != nil && r.StripPathPrefix != "" {
		t.Stripped = append(t.Stripped, "/"+strings.Trim(r.StripPathPrefix, "/"))
	}
}

// describeMatcher names what a person looks for in a configuration.
func describeMatcher(matcher any) string {
	switch m := matcher.(type) {
	case *caddyhttp.MatchHost:
		return "host " + strings.Join(*m, " ")
	case *caddyhttp.MatchPath:
		return "path " + strings.Join(*m, " ")
	case *caddyhttp.MatchPathRE:
		return "path_regexp " + m.Pattern
	case *caddyhttp.MatchMethod:
		return "method " + strings.Join(*m, " ")
	case *caddyhttp.MatchNot:
		var inner []string
		for _, set := range m.MatcherSets {
			for _, matcher := range set {
				inner = append(inner, describeMatcher(matcher))
			}
		}
		return "not (" + strings.Join(inner, " or ") + ")"
	case caddy.Module:
		return m.CaddyModule().ID.Name() + " …"
	}
	return ""
}

func rewriteOf(module any) *rewrite.Rewrite {
	switch r := module.(type) {
	case *rewrite.Rewrite:
		return r
	case rewrite.Rewrite:
		return &r
	}
	return nil
}
