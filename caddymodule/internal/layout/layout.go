package layout

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// reader reads a configuration with what its modules need for that.
type reader struct{ ctx caddy.Context }

// Server is one server of a configuration with all its routes.
type Server struct {
	Server *caddyhttp.Server
	place  string
	routes []*Route
	errors []*Route
	named  map[string]*Route

	// host is the one whose routes these are, see [Server.For]; nil for all.
	host *Traveller
	topics
}

// topics are what matchers and rewrites name: requests for these are worth following.
// Stripped are the prefixes that rewrites take away.
type topics struct{ Hosts, Paths, Stripped []string }

func (t *topics) add(other topics) {
	t.Hosts = append(t.Hosts, other.Hosts...)
	t.Paths = append(t.Paths, other.Paths...)
	t.Stripped = append(t.Stripped, other.Stripped...)
}

// Route is a route of a server, at whatever depth.
type Route struct {
	route    *caddyhttp.Route
	place    string
	sets     [][]any // of matchers; no sets match everything
	handlers []*Handler
	topics   // its own, without those of routes inside
}

// Handler is a handler and the routes inside it.
type Handler struct {
	Module any
	Place  string // server, host, matchers

	routes []*Route
	errors []*Route
	// answers are the routes for what a handler's own answer is replaced with:
	// handle_response of reverse_proxy and intercept.
	answers [][]*Route
}

// ServersOf reads the servers of a configuration, for questions about the routes that
// requests take; without an http app there are none. It can be called while the http
// app is being provisioned: parts not loaded yet are read from their JSON.
func ServersOf(ctx caddy.Context) []*Server {
	module, err := ctx.AppIfConfigured("http")
	if err != nil {
		return nil // if it cannot be loaded, Caddy says so
	}
	app, ok := module.(*caddyhttp.App)
	if !ok {
		return nil
	}
	var servers []*Server
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		if server := app.Servers[name]; server != nil {
			servers = append(servers, reader{ctx}.newServer(name, server))
		}
	}
	return servers
}

func (c reader) newServer(name string, server *caddyhttp.Server) *Server {
	s := &Server{Server: server, place: "server " + name, named: make(map[string]*Route)}
	if len(server.Listen) > 0 {
		s.place += " (" + strings.Join(server.Listen, ", ") + ")"
	}
	s.routes = c.newRoutes(server.Routes, s.place)
	if server.Errors != nil {
		s.errors = c.newRoutes(server.Errors.Routes, s.place+", handle_errors")
	}
	for name, route := range server.NamedRoutes {
		if route != nil {
			s.named[name] = c.newRoute(route, s.place+", named route "+name)
		}
	}
	s.collect()
	return s
}

func (c reader) newRoutes(routes caddyhttp.RouteList, place string) []*Route {
	var nodes []*Route
	for i := range routes {
		nodes = append(nodes, c.newRoute(&routes[i], place))
	}
	return nodes
}

func (c reader) newRoute(route *caddyhttp.Route, place string) *Route {
	node := &Route{route: route, sets: c.matchersOf(route), place: place}
	for _, set := range node.sets {
		for _, matcher := range set {
			node.learn(matcher)
			if words := describeMatcher(matcher); words != "" {
				node.place += ", " + words
			}
		}
	}
	for _, module := range handlersOf(route) {
		node.handlers = append(node.handlers, c.newHandler(node, module))
	}
	return node
}

func (c reader) newHandler(of *Route, module any) *Handler {
	place := of.place
	node := &Handler{Module: module, Place: place}
	switch h := module.(type) {
	case *caddyhttp.Subroute:
		node.routes = c.newRoutes(h.Routes, place)
		if h.Errors != nil {
			node.errors = c.newRoutes(h.Errors.Routes, place+", handle_errors")
		}
		return node
	case *caddyhttp.Invoke:
		return node
	}
	of.learnRewrite(module)
	// Handlers of other modules have routes inside them, too.
	value := reflect.Indirect(reflect.ValueOf(module))
	if value.Kind() != reflect.Struct {
		return node
	}
	for i := range value.NumField() {
		if !value.Type().Field(i).IsExported() {
			continue
		}
		switch field := value.Field(i).Interface().(type) {
		case []caddyhttp.ResponseHandler:
			for _, answer := range field {
				node.answers = append(node.answers, c.newRoutes(answer.Routes, place+", handle_response"))
			}
		case caddyhttp.RouteList:
			node.routes = append(node.routes, c.newRoutes(field, place)...)
		case *caddyhttp.Subroute:
			if field != nil {
				node.routes = append(node.routes, c.newRoutes(field.Routes, place)...)
			}
		}
	}
	return node
}

// Place says which server it is.
func (s *Server) Place() string { return s.place }

// Each calls do for every handler of the server.
func (s *Server) Each(do func(module any)) {
	s.each(func(route *Route) {
		for _, handler := range route.handlers {
			do(handler.Module)
		}
	})
}

// each calls do for every route, inside others, too.
func (s *Server) each(do func(*Route)) {
	var routes func([]*Route)
	routes = func(nodes []*Route) {
		for _, node := range nodes {
			if s.host != nil && node.excludesHost(s.host) {
				continue
			}
			do(node)
			for _, handler := range node.handlers {
				routes(handler.routes)
				routes(handler.errors)
				for _, answer := range handler.answers {
					routes(answer)
				}
			}
		}
	}
	routes(s.routes)
	routes(s.errors)
	for _, name := range slices.Sorted(maps.Keys(s.named)) {
		routes([]*Route{s.named[name]})
	}
}

func (s *Server) collect() {
	s.topics = topics{}
	s.each(func(route *Route) { s.add(route.topics) })
}

// For returns the server as requests to one host see it, without the routes that are
// surely for others and what these speak of: with as many hosts as a server can have,
// following requests for each host through all of it takes too long.
func (s *Server) For(host string) *Server {
	narrow := *s
	narrow.host = &Traveller{Method: http.MethodGet, Host: host, Sent: "/", Current: "/"}
	isOthers := func(route *Route) bool { return route.excludesHost(narrow.host) }
	narrow.routes = slices.DeleteFunc(slices.Clone(s.routes), isOthers)
	narrow.errors = slices.DeleteFunc(slices.Clone(s.errors), isOthers)
	narrow.collect()
	return &narrow
}

// excludesHost reports whether the route surely lets no request to a host in.
func (r *Route) excludesHost(t *Traveller) bool {
	for _, set := range r.sets {
		if !slices.ContainsFunc(set, func(matcher any) bool {
			_, isHost := matcher.(*caddyhttp.MatchHost)
			return isHost && matchOne(matcher, t) == no
		}) {
			return false
		}
	}
	return len(r.sets) > 0
}

// RouteOf finds the route whose handler this is; nil if none of the server's own and
// those inside them is.
func (s *Server) RouteOf(handler *Handler) (own *Route) {
	var find func([]*Route)
	find = func(nodes []*Route) {
		for _, node := range nodes {
			for _, other := range node.handlers {
				if other == handler {
					own = node
				}
				find(other.routes)
			}
		}
	}
	find(s.routes)
	return own
}

// HasMatchers reports whether the route is for some requests only.
func (r *Route) HasMatchers() bool { return len(r.sets) > 0 }

// Excludes reports whether the route's own matchers let a request surely not in.
func (r *Route) Excludes(t *Traveller) bool { return matchSets(r.sets, t) == no }
