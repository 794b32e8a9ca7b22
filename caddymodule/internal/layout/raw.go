package layout

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// handlersOf returns the handlers of a route, unprovisioned ones if the route is
// still to be loaded.
func handlersOf(route *caddyhttp.Route) []any {
	var handlers []any
	if len(route.Handlers) > 0 {
		for _, handler := range route.Handlers {
			handlers = append(handlers, handler)
		}
		return handlers
	}
	for _, raw := range route.HandlersRaw {
		var kind struct {
			Handler string `json:"handler"`
		}
		if json.Unmarshal(raw, &kind) != nil {
			continue
		}
		if module := unprovisioned("http.handlers."+kind.Handler, raw); module != nil {
			handlers = append(handlers, module)
		}
	}
	return handlers
}

// unprovisioned reads a module's settings and does no more; nil for one that does
// not load, about which Caddy has its own words.
func unprovisioned(id string, raw json.RawMessage) any {
	info, err := caddy.GetModule(id)
	if err != nil || info.New == nil {
		return nil
	}
	module := info.New()
	if json.Unmarshal(raw, module) != nil {
		return nil
	}
	return module
}

func (c reader) matchersOf(route *caddyhttp.Route) [][]any {
	var sets [][]any
	for _, set := range route.MatcherSets {
		sets = append(sets, set)
	}
	if sets != nil {
		return sets
	}
	for _, raw := range route.MatcherSetsRaw {
		sets = append(sets, c.rawMatchers(raw))
	}
	return sets
}

func (c reader) rawMatchers(raw caddy.ModuleMap) []any {
	var set []any
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		set = append(set, c.rawMatcher(name, raw[name]))
	}
	return set
}

// rawMatcher provisions the matchers that need nothing but themselves.
func (c reader) rawMatcher(name string, raw json.RawMessage) any {
	module := unprovisioned("http.matchers."+name, raw)
	switch m := module.(type) {
	case *caddyhttp.MatchHost, *caddyhttp.MatchPath, *caddyhttp.MatchPathRE, *caddyhttp.MatchMethod:
		if p, ok := m.(caddy.Provisioner); ok && p.Provision(c.ctx) != nil {
			return nil
		}
	case *caddyhttp.MatchNot:
		for _, inner := range m.MatcherSetsRaw {
			m.MatcherSets = append(m.MatcherSets, c.rawMatchers(inner))
		}
	}
	return module
}
