package auth

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// layout is the servers of a configuration with all their routes, for questions
// about the ways that requests take. It can be read while the http app is being
// provisioned: what is not loaded yet is read from its JSON.
type layout struct {
	ctx     caddy.Context
	servers []*Server
}

// Server is one server of a configuration.
type Server struct {
	Server *caddyhttp.Server
	place  string
	routes []*routeNode
	errors []*routeNode
	named  map[string]*routeNode

	// What matchers and rewrites of this server speak of.
	hosts, paths, stripped []string
}

type routeNode struct {
	route    *caddyhttp.Route
	place    string
	sets     [][]any // of matchers; no sets match everything
	handlers []*handlerNode
}

// handlerNode is a handler and the routes inside it.
type handlerNode struct {
	module any
	place  string
	routes []*routeNode
	errors []*routeNode
	// answers are the routes for what a handler's own answer is replaced with:
	// handle_response of reverse_proxy and intercept.
	answers [][]*routeNode
}

// layoutOf reads the servers of a configuration; without an http app there are
// none.
func layoutOf(ctx caddy.Context) *layout {
	l := &layout{ctx: ctx}
	module, err := ctx.AppIfConfigured("http")
	if err != nil {
		return l // if it cannot be loaded, Caddy says so
	}
	app, ok := module.(*caddyhttp.App)
	if !ok {
		return l
	}
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		if server := app.Servers[name]; server != nil {
			l.servers = append(l.servers, l.newServer(name, server))
		}
	}
	return l
}

func (l *layout) newServer(name string, server *caddyhttp.Server) *Server {
	s := &Server{Server: server, place: "server " + name, named: make(map[string]*routeNode)}
	if len(server.Listen) > 0 {
		s.place += " (" + strings.Join(server.Listen, ", ") + ")"
	}
	s.routes = l.newRoutes(s, server.Routes, s.place)
	if server.Errors != nil {
		s.errors = l.newRoutes(s, server.Errors.Routes, s.place+", handle_errors")
	}
	for name, route := range server.NamedRoutes {
		if route != nil {
			s.named[name] = l.newRoute(s, route, s.place+", named route "+name)
		}
	}
	return s
}

func (l *layout) newRoutes(s *Server, routes caddyhttp.RouteList, place string) []*routeNode {
	var nodes []*routeNode
	for i := range routes {
		nodes = append(nodes, l.newRoute(s, &routes[i], place))
	}
	return nodes
}

func (l *layout) newRoute(s *Server, route *caddyhttp.Route, place string) *routeNode {
	node := &routeNode{route: route, sets: l.matchersOf(route), place: place}
	for _, set := range node.sets {
		for _, matcher := range set {
			s.learn(matcher)
			if words := describeMatcher(matcher); words != "" {
				node.place += ", " + words
			}
		}
	}
	for _, module := range handlersOf(route) {
		node.handlers = append(node.handlers, l.newHandler(s, module, node.place))
	}
	return node
}

func (l *layout) newHandler(s *Server, module any, place string) *handlerNode {
	node := &handlerNode{module: module, place: place}
	switch h := module.(type) {
	case *caddyhttp.Subroute:
		node.routes = l.newRoutes(s, h.Routes, place)
		if h.Errors != nil {
			node.errors = l.newRoutes(s, h.Errors.Routes, place+", handle_errors")
		}
		return node
	case *caddyhttp.Invoke:
		return node
	}
	s.learnRewrite(module)
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
				node.answers = append(node.answers, l.newRoutes(s, answer.Routes, place+", handle_response"))
			}
		case caddyhttp.RouteList:
			node.routes = append(node.routes, l.newRoutes(s, field, place)...)
		case *caddyhttp.Subroute:
			if field != nil {
				node.routes = append(node.routes, l.newRoutes(s, field.Routes, place)...)
			}
		}
	}
	return node
}

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

func (l *layout) matchersOf(route *caddyhttp.Route) [][]any {
	var sets [][]any
	for _, set := range route.MatcherSets {
		sets = append(sets, set)
	}
	if sets != nil {
		return sets
	}
	for _, raw := range route.MatcherSetsRaw {
		sets = append(sets, l.rawMatchers(raw))
	}
	return sets
}

func (l *layout) rawMatchers(raw caddy.ModuleMap) []any {
	var set []any
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		set = append(set, l.rawMatcher(name, raw[name]))
	}
	return set
}

// rawMatcher provisions the matchers that need nothing but themselves.
func (l *layout) rawMatcher(name string, raw json.RawMessage) any {
	module := unprovisioned("http.matchers."+name, raw)
	switch m := module.(type) {
	case *caddyhttp.MatchHost, *caddyhttp.MatchPath, *caddyhttp.MatchPathRE, *caddyhttp.MatchMethod:
		if p, ok := m.(caddy.Provisioner); ok && p.Provision(l.ctx) != nil {
			return nil
		}
	case *caddyhttp.MatchNot:
		for _, inner := range m.MatcherSetsRaw {
			m.MatcherSets = append(m.MatcherSets, l.rawMatchers(inner))
		}
	}
	return module
}

// learn collects the hosts and paths that routes speak of: requests for these are
// worth following.
func (s *Server) learn(matcher any) {
	switch m := matcher.(type) {
	case *caddyhttp.MatchHost:
		s.hosts = append(s.hosts, *m...)
	case caddyhttp.MatchHost:
		s.hosts = append(s.hosts, m...)
	case *caddyhttp.MatchPath:
		s.paths = append(s.paths, *m...)
	case caddyhttp.MatchPath:
		s.paths = append(s.paths, m...)
	case *caddyhttp.MatchNot:
		for _, set := range m.MatcherSets {
			for _, inner := range set {
				s.learn(inner)
			}
		}
	}
}

func (s *Server) learnRewrite(module any) {
	if r := rewriteOf(module); r != nil && r.StripPathPrefix != "" {
		s.stripped = append(s.stripped, "/"+strings.Trim(r.StripPathPrefix, "/"))
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

// upstreamsOf names the apps of a reverse_proxy so that two names of one address
// are the same.
func upstreamsOf(p *reverseproxy.Handler) []string {
	var names []string
	for _, upstream := range p.Upstreams {
		if upstream != nil {
			names = append(names, upstream.Dial)
		}
	}
	source := p.DynamicUpstreamsRaw
	if p.DynamicUpstreams != nil {
		source, _ = json.Marshal(p.DynamicUpstreams) // it was JSON
	}
	var dynamic map[string]any
	if json.Unmarshal(source, &dynamic) == nil && len(dynamic) > 0 {
		name := []string{"dynamic"}
		for _, key := range []string{"service", "proto", "name", "port"} {
			if value, ok := dynamic[key]; ok && value != "" {
				name = append(name, fmt.Sprint(value))
			}
		}
		names = append(names, strings.Join(name, " "))
	}
	return names
}

// sameApp is an address in a form in which two names of it are equal.
func sameApp(dial string) string {
	dial = strings.ToLower(dial)
	for _, loopback := range []string{"localhost:", "[::1]:", "0.0.0.0:", "[::]:"} {
		if port, found := strings.CutPrefix(dial, loopback); found {
			return "127.0.0.1:" + port
		}
	}
	if strings.HasPrefix(dial, ":") {
		return "127.0.0.1" + dial
	}
	return dial
}
