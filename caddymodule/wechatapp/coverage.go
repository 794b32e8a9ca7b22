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

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/urlpath"
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

// findTwoInAChain finds a request that passes two wechat_auth: the second one
// would take the user away that the first one has put in.
func (s *survey) findTwoInAChain(h *handlerSurvey, t *traveller) {
	for _, first := range t.by {
		// Turns between the two that nobody can judge may exclude each other.
		if first.undecided != t.undecided {
			continue
		}
		places := []string{first.node.place + option.PositionOfHandler(first.handler.digest()), h.node.place + option.PositionOfHandler(h.handler.digest())}
		if lines := option.PositionsOfHandler(h.handler.digest()); len(lines) == 2 && first.handler.digest() == h.handler.digest() {
			places = []string{first.node.place + ", at " + lines[0], h.node.place + ", at " + lines[1]}
		}
		s.add(notice{
			kind: checkCoverage, place: h.node.place, fatal: true,
			message: fmt.Sprintf("requests pass two wechat_auth one after the other: (1) %s, and (2) %s", places[0], places[1]),
			fix:     "keep one of them; `public` and `optional` of one wechat_auth say which paths need no login",
		})
		return
	}
}

// add keeps each notice once.
func (s *survey) add(n notice) {
	if !slices.ContainsFunc(s.notices, func(other notice) bool {
		return n.kind == other.kind && n.message == other.message && (n.place == other.place || n.fatal)
	}) {
		s.notices = append(s.notices, n)
	}
}

const uncoveredMessage = "this route reaches an app without wechat_auth, so its clients can forge the identity headers"

// findUncovered finds the apps that are reached both through wechat_auth and
// around it, wherever in the configuration, and those that a site with
// wechat_auth reaches around it.
func (s *survey) findUncovered() {
	covered := make(map[string]bool)
	for _, p := range s.proxies {
		if len(p.covered) > 0 && !p.asksOnly() {
			for _, upstream := range p.upstreams {
				covered[sameApp(upstream)] = true
			}
		}
	}
	for _, p := range s.proxies {
		if len(p.open) == 0 || p.asksOnly() {
			continue
		}
		sharesApp := slices.ContainsFunc(p.upstreams, func(u string) bool { return covered[sameApp(u)] })
		sharesSite := slices.ContainsFunc(s.handlers, func(h *handlerSurvey) bool {
			return h.server == p.server && slices.ContainsFunc(p.open, func(t traveller) bool { return h.hosts[t.host] })
		})
		if sharesApp || sharesSite {
			example := p.open[0]
			s.add(notice{
				kind: checkCoverage, place: p.node.place, message: uncoveredMessage, upstreams: p.upstreams,
				fix: fmt.Sprintf("put wechat_auth in front of the route, which a request to %s%s takes, with `public` for what needs no login", example.host, example.sent),
			})
		}
	}
}

// asksOnly reports whether the proxy asks somebody whether a request may pass, as
// forward_auth does, and is no app.
func (p *proxySurvey) asksOnly() bool {
	return p.proxy.Rewrite != nil && p.proxy.Rewrite.Method == http.MethodGet &&
		len(p.proxy.HandleResponse) > 0 && p.proxy.HandleResponse[0].Match != nil && slices.Contains(p.proxy.HandleResponse[0].Match.StatusCode, 2)
}

// findLogin finds a wechat_auth whose users cannot log in.
func (s *survey) findLogin(h *handlerSurvey) {
	if len(h.login) > 0 || len(h.arrived) == 0 {
		return
	}
	for _, other := range s.handlers { // on the same site, for the same apps
		if other.server == h.server && len(other.login) > 0 && sharesKey(other.hosts, h.hosts) && sharesApps(other.handler, h.handler) {
			return
		}
	}
	prefix := h.handler.prefixOrDefault()
	n := notice{
		kind: checkLogin, place: h.node.place + option.PositionOfHandler(h.handler.digest()),
		message: fmt.Sprintf("nobody can log in: no request to %s%s reaches this wechat_auth", prefix, loginRoute),
		fix:     "move wechat_auth out of the block or matcher, in front of it",
	}
	for _, p := range s.proxies {
		if p.server == h.server && slices.ContainsFunc(p.open, func(t traveller) bool { return t.sent == prefix+loginRoute && h.hosts[t.host] }) {
			n.message += fmt.Sprintf("; login codes sent there go to the app (%s)", strings.Join(p.upstreams, " "))
			break
		}
	}
	if folder := h.folder(); folder != "" {
		n.fix = fmt.Sprintf("write `prefix %s%s` into it, or %s", folder, prefix, n.fix)
	}
	n.fatal = h.shutOut()
	s.add(n)
}

// folder is the path above all requests that reach the handler, if its matchers
// name one.
func (h *handlerSurvey) folder() string {
	place := h.node.place
	i := strings.LastIndex(place, ", path ")
	if i < 0 {
		return ""
	}
	for pattern := range strings.FieldsSeq(place[i+len(", path "):]) {
		pattern = strings.TrimSuffix(pattern, ",")
		if folder, found := strings.CutSuffix(pattern, "/*"); found && urlpath.Canonical(folder) {
			return folder
		}
	}
	return ""
}

// shutOut reports whether it is the handler's own matcher that no login passes.
func (h *handlerSurvey) shutOut() bool {
	var own *routeNode
	var find func([]*routeNode)
	find = func(nodes []*routeNode) {
		for _, node := range nodes {
			for _, handler := range node.handlers {
				if handler == h.node {
					own = node
				}
				find(handler.routes)
			}
		}
	}
	find(h.server.routes)
	if own == nil || len(own.sets) == 0 {
		return false
	}
	for _, path := range h.server.samplePaths() {
		if !strings.HasSuffix(path, h.handler.prefixOrDefault()+loginRoute) {
			continue
		}
		for host := range h.hosts {
			t := traveller{method: http.MethodPost, host: host, sent: path, current: path}
			if matchSets(own.sets, &t) != no {
				return false
			}
		}
	}
	return true
}

// findUselessPatterns finds patterns of public and optional that select nothing.
func (h *handlerSurvey) findUselessPatterns(s *survey) {
	if len(h.arrived) == 0 {
		return
	}
	for _, text := range h.handler.patterns() {
		if h.useful[text] {
			continue
		}
		n := notice{
			kind: checkCoverage, place: h.node.place + option.PositionOfHandler(h.handler.digest()),
			message: fmt.Sprintf("the pattern %s of public or optional never matches a request here", text),
			fix:     "remove it, or write the path as clients send it",
		}
		pattern, err := urlpath.ParsePattern(text)
		for _, t := range h.arrived {
			if err != nil || t.sent == t.current || h.handler.owns(t.sent, t.current) {
				continue
			}
			missing := t.sent
			if pattern.Match(t.sent) {
				missing = t.current
			} else if !pattern.Match(t.current) {
				continue
			}
			missing = strings.ReplaceAll(missing, sampleName, "*")
			n.message += ", because a rewrite changes paths and both forms must be listed"
			n.fix = "list " + missing + " beside it"
			break
		}
		s.add(n)
	}
}

func sharesKey(a, b map[string]bool) bool {
	for key := range a {
		if b[key] {
			return true
		}
	}
	return false
}

func sharesApps(a, b *Handler) bool {
	return len(a.Apps) == 0 || len(b.Apps) == 0 || slices.ContainsFunc(a.Apps, func(id string) bool { return slices.Contains(b.Apps, id) })
}

// surveyRoutes warns of what is wrong with the routes of the configuration, and
// returns an error for what cannot work. It is part of Provision, so that `caddy
// validate` tells it, too.
func surveyRoutes(ctx caddy.Context) error {
	logger := ctx.Logger()
	s := newSurvey(layoutOf(ctx))
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
