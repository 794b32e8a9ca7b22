package layout

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// Follower follows requests through the routes of a server, without sending any.
// Where it cannot know what a matcher says, about a header or an address, it goes
// both ways.
type Follower struct {
	// Gate is told of arrivals at every handler, and says whether it is one of those
	// that [Traveller.By] lists, and whether it answers the request itself.
	Gate func(*Handler, *Traveller) (isGate, answers bool)
	// Proxy is told of arrivals at a reverse_proxy.
	Proxy func(*Handler, *reverseproxy.Handler, *Traveller)

	server *Server
	budget int // of steps: configurations can be built to have no end of ways
}

const (
	followSteps = 20000
	followDepth = 1000
)

// Follow follows one request.
func (f Follower) Follow(s *Server, t Traveller) {
	f.server, f.budget = s, followSteps
	f.walk(s.routes, t, nil, func(Traveller) {})
	// Errors come up at any time, before wechat_auth, too: a refused TLS name, a
	// header that is too long.
	f.walk(s.errors, t, nil, func(Traveller) {})
}

// walk takes the routes from the first one that matches on; then is what comes
// after all of them.
func (f *Follower) walk(routes []*Route, t Traveller, groups []string, then func(Traveller)) {
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
		t.Undecided++
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

func (f *Follower) handle(handlers []*Handler, t Traveller, then func(Traveller)) {
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
	if isGate, answers := f.Gate(node, &t); isGate {
		if answers {
			return
		}
		t.By = append(slices.Clone(t.By), Passed{node, t.Undecided})
		next(t)
		return
	}
	switch h := node.Module.(type) {
	case *caddyhttp.Subroute:
		f.walk(node.routes, t, nil, next)
		f.walk(node.errors, t, nil, func(Traveller) {})
	case *caddyhttp.Invoke:
		if route := f.server.named[h.Name]; route != nil {
			f.walk([]*Route{route}, t, nil, next)
		}
	case *reverseproxy.Handler:
		f.Proxy(node, h, &t)
		for _, answer := range node.answers {
			f.walk(answer, t, nil, next)
		}
	case *caddyhttp.StaticResponse, *caddyhttp.StaticError:
	case *fileserver.FileServer:
		if h.PassThru {
			next(t)
		}
	default:
		if answersAll(node.Module) {
			return
		}
		if r := rewriteOf(node.Module); r != nil {
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
