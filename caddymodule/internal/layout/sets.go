package layout

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// verdict is what is known about a matcher's answer.
type verdict int

const (
	no verdict = iota
	unknown
	yes
)

// matchSets: any set is enough; no sets match everything.
func matchSets(sets [][]any, t *Traveller) verdict {
	if len(sets) == 0 {
		return yes
	}
	best := no
	for _, set := range sets {
		best = max(best, matchSet(set, t))
	}
	return best
}

func matchSet(set []any, t *Traveller) verdict {
	worst := yes
	for _, matcher := range set {
		worst = min(worst, matchOne(matcher, t))
	}
	return worst
}

func matchOne(matcher any, t *Traveller) verdict {
	switch m := matcher.(type) {
	case *caddyhttp.MatchHost:
		if HasPlaceholder(*m...) {
			return unknown
		}
		return t.ask(m)
	case *caddyhttp.MatchPath:
		if HasPlaceholder(*m...) {
			return unknown
		}
		return t.ask(m)
	case *caddyhttp.MatchPathRE:
		if t.ask(m) == yes {
			return yes
		}
		return unknown // the paths that are followed are not made for it
	case *caddyhttp.MatchMethod:
		return t.ask(m)
	case *caddyhttp.MatchNot:
		var sets [][]any
		for _, set := range m.MatcherSets {
			sets = append(sets, set)
		}
		if len(sets) == 0 {
			return yes
		}
		return yes - matchSets(sets, t)
	}
	return unknown
}

// HasPlaceholder reports whether what a text means is known only when a request comes.
func HasPlaceholder(texts ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, "{") })
}
