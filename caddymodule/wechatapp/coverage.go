package wechatapp

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/internal/urlpath"
)

// Kinds of notices.
const (
	NoticeLogin    = "login"
	NoticeCoverage = "coverage"
)

// notice is something wrong with how the routes of a configuration lie to each
// other.
type notice struct {
	kind      string // the doctor's check
	place     string // server, host and matchers, and the Caddyfile's line if it is known
	message   string
	fix       string
	upstreams []string
	fatal     bool // the configuration does not load
}

// survey is what following requests through a configuration has shown.
type survey struct {
	layout   *layout
	handlers []*handlerSurvey
	proxies  []*proxySurvey
	notices  []notice
}

// handlerSurvey is about one wechat_auth.
type handlerSurvey struct {
	node    *handlerNode
	handler *Handler
	server  *serverNode
	hosts   map[string]bool // by which requests reached it
	login   []string        // paths under which its login is
	arrived []traveller
	useful  map[string]bool // patterns of public and optional that select something
}

// proxySurvey is about one reverse_proxy.
type proxySurvey struct {
	node      *handlerNode
	proxy     *reverseproxy.Handler
	server    *serverNode
	hosts     map[string]bool
	upstreams []string
	covered   []traveller
	open      []traveller
}

// maxSamples bounds the requests that are followed through one server.
const maxSamples = 2000

// SurveyOf follows requests through the routes of a configuration.
func SurveyOf(ctx caddy.Context) *survey { return newSurvey(layoutOf(ctx)) }

// servers are the servers of the configuration.
func (s *survey) servers() []*serverNode { return s.layout.servers }

// place says where the handler is: server, host, matchers.
func (h *handlerSurvey) place() string { return h.node.place }

// loginHost is a host by which a login reached the handler.
func (h *handlerSurvey) loginHost() string {
	for _, t := range h.arrived {
		if slices.Contains(h.login, t.sent) {
			return t.host
		}
	}
	return ""
}

// place says where the proxy is: server, host, matchers.
func (p *proxySurvey) place() string { return p.node.place }

// newSurvey follows requests to all hosts and paths that the routes speak of.
func newSurvey(l *layout) *survey {
	s := &survey{layout: l}
	for _, server := range l.servers {
		s.follow(server)
	}
	s.findUncovered()
	for _, h := range s.handlers {
		s.findLogin(h)
		h.findUselessPatterns(s)
	}
	return s
}

func (s *survey) follow(server *serverNode) {
	handlers := make(map[*handlerNode]*handlerSurvey)
	proxies := make(map[*handlerNode]*proxySurvey)
	f := follower{
		handler: func(node *handlerNode, h *Handler, t *traveller) {
			found := handlers[node]
			if found == nil {
				found = &handlerSurvey{node: node, handler: h, server: server, hosts: make(map[string]bool), useful: make(map[string]bool)}
				handlers[node] = found
				s.handlers = append(s.handlers, found)
			}
			found.arrive(*t)
			s.findTwoInAChain(found, t)
		},
		proxy: func(node *handlerNode, p *reverseproxy.Handler, t *traveller) {
			found := proxies[node]
			if found == nil {
				found = &proxySurvey{node: node, proxy: p, server: server, hosts: make(map[string]bool), upstreams: upstreamsOf(p)}
				proxies[node] = found
				s.proxies = append(s.proxies, found)
			}
			found.hosts[t.host] = true
			if len(t.by) > 0 {
				found.covered = append(found.covered, *t)
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
			if strings.HasSuffix(path, loginRoute) {
				method = http.MethodPost
			}
			follow(server, traveller{method: method, host: host, sent: path, current: path}, f)
		}
	}
}

const (
	sampleName = "sample"
	anyHost    = "sample.invalid" // reaches what answers for every host
	loginRoute = "/login"
)

func (s *serverNode) sampleHosts() []string {
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
func (s *serverNode) samplePaths() []string {
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
		add(h.prefixOrDefault() + loginRoute)
		for _, path := range h.patterns() {
			add(path)
		}
	})
	return paths
}

// eachHandler calls do for every wechat_auth of the server.
func (s *serverNode) eachHandler(do func(*Handler)) {
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
func (h *handlerSurvey) arrive(t traveller) {
	h.hosts[t.host] = true
	h.arrived = append(h.arrived, t)
	route := h.handler.prefixOrDefault() + loginRoute
	if t.sent == route || t.current == route && !urlpath.Below(t.sent, urlpath.Fold(h.handler.prefixOrDefault())) {
		if t.method == http.MethodPost && !slices.Contains(h.login, t.sent) {
			h.login = append(h.login, t.sent)
		}
	}
	for _, s := range []*Selection{h.handler.Public, h.handler.Optional} {
		h.noteUseful(s, t)
	}
}

// noteUseful finds the patterns by which a request is selected.
func (h *handlerSurvey) noteUseful(s *Selection, t traveller) {
	if s == nil {
		return
	}
	var sent, current []string
	for _, text := range s.Paths {
		pattern, err := urlpath.ParsePattern(text)
		if err != nil {
			continue
		}
		if pattern.Match(t.sent) {
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
	for _, n := range s.notices {
		if n.fatal {
			fatal = append(fatal, fmt.Errorf("wechat_auth: %s: %s; %s", n.place, n.message, n.fix))
			continue
		}
		fields := []zap.Field{zap.String("route", n.place), zap.String("action", n.fix)}
		if len(n.upstreams) > 0 {
			fields = append(fields, zap.Strings("upstreams", n.upstreams))
		}
		logger.Warn(n.message, fields...)
	}
	return errors.Join(fatal...)
}
