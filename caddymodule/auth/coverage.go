package auth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/urlpath"
	"github.com/caddy-wechat/gateway/internal/wording"
)

// Kinds of notices.
const (
	NoticeLogin    = "login"
	NoticeCoverage = "coverage"
)

// Notice is something wrong with how the routes of a configuration lie to each
// other.
type Notice struct {
	Kind      string // the doctor's check
	Place     string // server, host and matchers, and the Caddyfile's line if it is known
	Message   wording.Text
	Fix       wording.Text
	upstreams []string
	fatal     bool // the configuration does not load
}

// Survey is what following requests through a configuration has shown.
type Survey struct {
	layout   *layout
	Handlers []*HandlerSurvey
	Proxies  []*ProxySurvey
	Notices  []Notice
}

// HandlerSurvey is about one wechat_auth.
type HandlerSurvey struct {
	node    *handlerNode
	Handler *Handler
	Server  *Server
	hosts   map[string]bool // by which requests reached it
	Logins  []string        // paths under which its login is
	arrived []Traveller
	useful  map[string]bool // patterns of public and optional that select something
}

// ProxySurvey is about one reverse_proxy.
type ProxySurvey struct {
	node      *handlerNode
	proxy     *reverseproxy.Handler
	Server    *Server
	hosts     map[string]bool
	Upstreams []string
	Covered   []Traveller
	open      []Traveller
}

// maxSamples bounds the requests that are followed through one server.
const maxSamples = 2000

// SurveyOf follows requests through the routes of a configuration.
func SurveyOf(ctx caddy.Context) *Survey { return newSurvey(layoutOf(ctx)) }

// Servers are the servers of the configuration.
func (s *Survey) Servers() []*Server { return s.layout.servers }

// Place says where the handler is: server, host, matchers.
func (h *HandlerSurvey) Place() string { return h.node.place }

// LoginsByHost returns one request for the login by each host that reaches it.
func (h *HandlerSurvey) LoginsByHost() []Traveller {
	var found []Traveller
	for _, t := range h.arrived {
		if slices.Contains(h.Logins, t.Sent) && !slices.ContainsFunc(found, func(other Traveller) bool { return other.Host == t.Host }) {
			found = append(found, t)
		}
	}
	return found
}

// LoginHost is a host by which a login reached the handler.
func (h *HandlerSurvey) LoginHost() string {
	for _, t := range h.arrived {
		if slices.Contains(h.Logins, t.Sent) {
			return t.Host
		}
	}
	return ""
}

// Place says where the proxy is: server, host, matchers.
func (p *ProxySurvey) Place() string { return p.node.place }

// newSurvey follows requests to all hosts and paths that the routes speak of.
func newSurvey(l *layout) *Survey {
	s := &Survey{layout: l}
	for _, server := range l.servers {
		s.follow(server)
	}
	s.findUncovered()
	for _, h := range s.Handlers {
		s.findLogin(h)
		h.findUselessPatterns(s)
	}
	return s
}

func (s *Survey) follow(server *Server) {
	handlers := make(map[*handlerNode]*HandlerSurvey)
	proxies := make(map[*handlerNode]*ProxySurvey)
	f := follower{
		handler: func(node *handlerNode, h *Handler, t *Traveller) {
			found := handlers[node]
			if found == nil {
				found = &HandlerSurvey{node: node, Handler: h, Server: server, hosts: make(map[string]bool), useful: make(map[string]bool)}
				handlers[node] = found
				s.Handlers = append(s.Handlers, found)
			}
			found.arrive(*t)
			s.findTwoInAChain(found, t)
		},
		proxy: func(node *handlerNode, p *reverseproxy.Handler, t *Traveller) {
			found := proxies[node]
			if found == nil {
				found = &ProxySurvey{node: node, proxy: p, Server: server, hosts: make(map[string]bool), Upstreams: upstreamsOf(p)}
				proxies[node] = found
				s.Proxies = append(s.Proxies, found)
			}
			found.hosts[t.Host] = true
			if len(t.by) > 0 {
				found.Covered = append(found.Covered, *t)
			} else {
				found.open = append(found.open, *t)
			}
		},
	}
	hosts, paths := server.sampleHosts(), server.samplePaths()
	for len(hosts)*len(paths) > maxSamples && len(hosts) > 1 {
		hosts = hosts[:len(hosts)/2]
	}
	for _, host := range hosts {
		for _, path := range paths[:min(len(paths), maxSamples)] {
			method := http.MethodGet
			if strings.HasSuffix(path, LoginRoute) {
				method = http.MethodPost
			}
			follow(server, Traveller{method: method, Host: host, Sent: path, current: path}, f)
		}
	}
}

// LoginRoute is what stands behind the prefix in the path of the login.
const LoginRoute = "/login"

const (
	sampleName = "sample"
	anyHost    = "sample.invalid" // reaches what answers for every host
)

func (s *Server) sampleHosts() []string {
	hosts := []string{anyHost}
	for _, host := range s.hosts {
		host = strings.ReplaceAll(host, "*", sampleName)
		if !hasPlaceholder(host) && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// samplePaths are the home page, a page that nobody speaks of, one for each
// pattern, and the login and the patterns of each wechat_auth; all of them also
// below what rewrites strip.
func (s *Server) samplePaths() []string {
	var paths []string
	add := func(path string) {
		path = "/" + strings.TrimLeft(strings.ReplaceAll(path, "*", sampleName), "/")
		for _, above := range append([]string{""}, s.stripped...) {
			if full := above + path; !slices.Contains(paths, full) && urlpath.Canonical(full) {
				paths = append(paths, full)
			}
		}
	}
	add("/")
	add("/" + sampleName)
	for _, path := range s.paths {
		add(path)
	}
	s.eachHandler(func(h *Handler) {
		add(h.prefixOrDefault() + LoginRoute)
		for _, path := range h.patterns() {
			add(path)
		}
	})
	return paths
}

// eachHandler calls do for every wechat_auth of the server.
func (s *Server) eachHandler(do func(*Handler)) {
	var routes func([]*routeNode)
	routes = func(nodes []*routeNode) {
		for _, node := range nodes {
			for _, handler := range node.handlers {
				if h, ok := handler.module.(*Handler); ok {
					do(h)
				}
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
	for _, route := range s.named {
		routes([]*routeNode{route})
	}
}

func (h *Handler) prefixOrDefault() string {
	if h.Prefix == "" {
		return defaultPrefix
	}
	return h.Prefix
}

// patterns are the paths of public and optional.
func (h *Handler) patterns() []string {
	var patterns []string
	for _, s := range []*Selection{h.Public, h.Optional} {
		if s != nil {
			patterns = append(patterns, s.Paths...)
		}
	}
	return patterns
}

// arrive notes what a request shows that reached the handler.
func (h *HandlerSurvey) arrive(t Traveller) {
	h.hosts[t.Host] = true
	h.arrived = append(h.arrived, t)
	route := h.Handler.prefixOrDefault() + LoginRoute
	if t.Sent == route || t.current == route && !urlpath.Below(t.Sent, urlpath.Fold(h.Handler.prefixOrDefault())) {
		if t.method == http.MethodPost && !slices.Contains(h.Logins, t.Sent) {
			h.Logins = append(h.Logins, t.Sent)
		}
	}
	for _, s := range []*Selection{h.Handler.Public, h.Handler.Optional} {
		h.noteUseful(s, t)
	}
}

// noteUseful finds the patterns by which a request is selected.
func (h *HandlerSurvey) noteUseful(s *Selection, t Traveller) {
	if s == nil {
		return
	}
	var sent, current []string
	for _, text := range s.Paths {
		pattern, err := urlpath.ParsePattern(text)
		if err != nil {
			continue
		}
		if pattern.Match(t.Sent) {
			sent = append(sent, text)
		}
		if pattern.Match(t.current) {
			current = append(current, text)
		}
	}
	// With a block of matchers, too, anything may be selected.
	if len(s.MatcherSetsRaw)+len(s.matchers) > 0 || len(sent) > 0 && len(current) > 0 {
		for _, text := range append(sent, current...) {
			h.useful[text] = true
		}
	}
}

// surveyRoutes warns of what is wrong with the routes of the configuration, and
// returns an error for what cannot work. It is part of Provision, so that `caddy
// validate` tells it, too.
func surveyRoutes(ctx caddy.Context) error {
	logger := ctx.Logger()
	s := SurveyOf(ctx)
	var fatal []error
	for _, n := range s.Notices {
		if n.fatal {
			fatal = append(fatal, fmt.Errorf("wechat_auth: %s: %s; %s", n.Place, n.Message, n.Fix))
			continue
		}
		fields := []zap.Field{zap.String("route", n.Place), zap.Stringer("action", n.Fix)}
		if len(n.upstreams) > 0 {
			fields = append(fields, zap.Strings("upstreams", n.upstreams))
		}
		logger.Warn(n.Message.String(), fields...)
	}
	app, err := wechatapp.Of(ctx)
	if err != nil {
		return err
	}
	return errors.Join(append(fatal, s.checkSharedCookies(app))...)
}
