package auth

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/caddy-wechat/gateway/internal/urlpath"
)

// follower follows requests through the routes of a server, without sending any.
// Where it cannot know what a matcher says, about a header or an address, it goes
// both ways.
type follower struct {
	server *Server
	budget int // of steps: configurations can be built to have no end of ways

	// handler and proxy are told of arrivals.
	handler func(*handlerNode, *Handler, *Traveller)
	proxy   func(*handlerNode, *reverseproxy.Handler, *Traveller)
}

// Traveller is a request on its way.
type Traveller struct {
	method, Host  string
	Sent, current string // escaped paths
	by            []passed
	// undecided counts the turns that it took without knowing.
	undecided int
	depth     int
}

// passed is a wechat_auth that a request went through.
type passed struct {
	node      *handlerNode
	handler   *Handler
	undecided int
}

// LastPassed is the wechat_auth that a covered request went through last.
func (t Traveller) LastPassed() *Handler { return t.by[len(t.by)-1].handler }

const (
	followSteps = 20000
	followDepth = 1000
)

func follow(s *Server, t Traveller, f follower) {
	f.server, f.budget = s, followSteps
	f.walk(s.routes, t, nil, func(Traveller) {})
	// Errors come up at any time, before wechat_auth, too: a refused TLS name, a
	// header that is too long.
	f.walk(s.errors, t, nil, func(Traveller) {})
}

// walk takes the routes from the first one that matches on; then is what comes
// after all of them.
func (f *follower) walk(routes []*routeNode, t Traveller, groups []string, then func(Traveller)) {
	f.budget--
	if f.budget < 0 || t.depth > followDepth {
		return
	}
	if len(routes) == 0 {
		then(t)
		return
	}
	node, rest := routes[0], routes[1:]
	if node.route.Group != "" && slices.Contains(groups, node.route.Group) {
		f.walk(rest, t, groups, then)
		return
	}
	verdict := matchSets(node.sets, &t)
	if verdict == unknown {
		t.undecided++
	}
	if verdict != no {
		inside := groups
		if node.route.Group != "" {
			inside = append(slices.Clone(groups), node.route.Group)
		}
		after := func(t Traveller) { f.walk(rest, t, inside, then) }
		if node.route.Terminal {
			after = func(Traveller) {}
		}
		f.handle(node.handlers, t, after)
	}
	if verdict != yes {
		f.walk(rest, t, groups, then)
	}
}

func (f *follower) handle(handlers []*handlerNode, t Traveller, then func(Traveller)) {
	f.budget--
	if f.budget < 0 {
		return
	}
	if len(handlers) == 0 {
		then(t)
		return
	}
	node := handlers[0]
	next := func(t Traveller) { f.handle(handlers[1:], t, then) }
	t.depth++
	switch h := node.module.(type) {
	case *Handler:
		f.handler(node, h, &t)
		if h.owns(t.Sent, t.current) {
			return
		}
		t.by = append(slices.Clone(t.by), passed{node, h, t.undecided})
		next(t)
	case *caddyhttp.Subroute:
		f.walk(node.routes, t, nil, next)
		f.walk(node.errors, t, nil, func(Traveller) {})
	case *caddyhttp.Invoke:
		if route := f.server.named[h.Name]; route != nil {
			f.walk([]*routeNode{route}, t, nil, next)
		}
	case *reverseproxy.Handler:
		f.proxy(node, h, &t)
		for _, answer := range node.answers {
			f.walk(answer, t, nil, next)
		}
	case *caddyhttp.StaticResponse, *caddyhttp.StaticError:
	case *fileserver.FileServer:
		if h.PassThru {
			next(t)
		}
	default:
		if answersAll(node.module) {
			return
		}
		if r := rewriteOf(node.module); r != nil {
			t = t.rewritten(r)
		}
		next(t)
		f.walk(node.routes, t, nil, func(Traveller) {})
		for _, answer := range node.answers {
			f.walk(answer, t, nil, func(Traveller) {})
		}
	}
}

// answersAll reports whether a handler is the end of a chain, as wechat_api is.
func answersAll(module any) bool {
	m, ok := module.(caddy.Module)
	return ok && m.CaddyModule().ID == "http.handlers.wechat_api"
}

// rewritten is the request after a rewrite.
func (t Traveller) rewritten(r *rewrite.Rewrite) Traveller {
	request, err := t.request(t.current)
	if err != nil {
		return t
	}
	repl, ok := request.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return t
	}
	r.Rewrite(request, repl)
	t.current, t.method = request.URL.EscapedPath(), request.Method
	if !strings.HasPrefix(t.current, "/") {
		t.current = "/" + t.current
	}
	return t
}

func (t *Traveller) request(path string) (*http.Request, error) {
	return sample(t.method, t.Host, path)
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

// owns reports whether wechat_auth answers a request itself, as one of its routes
// or a look-alike.
func (h *Handler) owns(sent, current string) bool {
	prefix := urlpath.Fold(h.prefixOrDefault())
	return urlpath.Below(sent, prefix) || urlpath.Below(current, prefix)
}

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
		if hasPlaceholder(*m...) {
			return unknown
		}
		return t.ask(m)
	case *caddyhttp.MatchPath:
		if hasPlaceholder(*m...) {
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

func (t *Traveller) ask(m caddyhttp.RequestMatcherWithError) verdict {
	r, err := t.request(t.current)
	if err != nil {
		return unknown
	}
	switch matched, err := m.MatchWithError(r); {
	case err != nil:
		return unknown
	case matched:
		return yes
	}
	return no
}

func hasPlaceholder(texts ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, "{") })
}
