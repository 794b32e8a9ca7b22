package survey

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-wechat/gateway/caddymodule/auth"
	"github.com/caddy-wechat/gateway/caddymodule/internal/layout"
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
	Servers []*layout.Server
	Sites   []*Site
	Proxies []*Proxy
	Notices []Notice
}

// Site is about one wechat_auth.
type Site struct {
	node    *layout.Handler
	Handler *auth.Handler
	Server  *layout.Server
	hosts   map[string]bool // by which requests reached it
	Logins  []string        // paths under which its login is
	arrived []layout.Traveller
	useful  map[string]bool // patterns of public and optional that select something
}

// Proxy is about one reverse_proxy.
type Proxy struct {
	node      *layout.Handler
	proxy     *reverseproxy.Handler
	Server    *layout.Server
	hosts     map[string]bool
	Upstreams []string
	Covered   []layout.Traveller
	open      []layout.Traveller
}

// Place says where the handler is: server, host, matchers.
func (h *Site) Place() string { return h.node.Place }

// LoginsByHost returns one request for the login by each host that reaches it.
func (h *Site) LoginsByHost() []layout.Traveller {
	var found []layout.Traveller
	for _, t := range h.arrived {
		if slices.Contains(h.Logins, t.Sent) && !slices.ContainsFunc(found, func(other layout.Traveller) bool { return other.Host == t.Host }) {
			found = append(found, t)
		}
	}
	return found
}

// LoginHost is a host by which a login reached the handler.
func (h *Site) LoginHost() string {
	for _, t := range h.arrived {
		if slices.Contains(h.Logins, t.Sent) {
			return t.Host
		}
	}
	return ""
}

// LastPassed is the wechat_auth that a covered request went through last.
func LastPassed(t layout.Traveller) *auth.Handler {
	last, _ := t.By[len(t.By)-1].Gate.Module.(*auth.Handler) // all gates are
	return last
}

// Place says where the proxy is: server, host, matchers.
func (p *Proxy) Place() string { return p.node.Place }

// Of follows requests to all hosts and paths that the routes of a configuration
// speak of.
func Of(ctx caddy.Context) *Survey {
	s := &Survey{Servers: layout.ServersOf(ctx)}
	for _, server := range s.Servers {
		s.follow(server)
	}
	s.findUncovered()
	for _, h := range s.Sites {
		s.findLogin(h)
		h.findUselessPatterns(s)
	}
	return s
}

func (s *Survey) follow(server *layout.Server) {
	handlers := make(map[*layout.Handler]*Site)
	proxies := make(map[*layout.Handler]*Proxy)
	f := layout.Follower{
		Gate: func(node *layout.Handler, t *layout.Traveller) (isGate, answers bool) {
			h, ok := node.Module.(*auth.Handler)
			if !ok {
				return false, false
			}
			found := handlers[node]
			if found == nil {
				found = &Site{node: node, Handler: h, Server: server, hosts: make(map[string]bool), useful: make(map[string]bool)}
				handlers[node] = found
				s.Sites = append(s.Sites, found)
			}
			found.arrive(*t)
			s.findTwoInAChain(found, t)
			return true, h.Owns(t.Sent, t.Current)
		},
		Proxy: func(node *layout.Handler, p *reverseproxy.Handler, t *layout.Traveller) {
			found := proxies[node]
			if found == nil {
				found = &Proxy{node: node, proxy: p, Server: server, hosts: make(map[string]bool), Upstreams: layout.UpstreamsOf(p)}
				proxies[node] = found
				s.Proxies = append(s.Proxies, found)
			}
			found.hosts[t.Host] = true
			if len(t.By) > 0 {
				found.Covered = append(found.Covered, *t)
			} else {
				found.open = append(found.open, *t)
			}
		},
	}
	hosts, left := sampleHosts(server), maxSamples
	for i, host := range hosts {
		seen := server.For(host)
		for _, path := range samplePaths(seen) {
			if left--; left < 0 {
				s.add(Notice{
					Kind: NoticeCoverage, Place: server.Place(),
					Message: wording.Textf("the server has too many hosts and paths to look at all: %d of %d hosts are not checked", len(hosts)-i, len(hosts)),
					Fix:     wording.Textf("divide it into several servers, or check yourself that every reverse_proxy on these hosts is behind exactly one wechat_auth"),
				})
				return
			}
			method := http.MethodGet
			if strings.HasSuffix(path, LoginRoute) {
				method = http.MethodPost
			}
			f.Follow(seen, layout.Traveller{Method: method, Host: host, Sent: path, Current: path})
		}
	}
}

// LoginRoute is what stands behind the prefix in the path of the login.
const LoginRoute = "/login"

// arrive notes what a request shows that reached the handler.
func (h *Site) arrive(t layout.Traveller) {
	h.hosts[t.Host] = true
	h.arrived = append(h.arrived, t)
	route := h.Handler.PrefixOrDefault() + LoginRoute
	if t.Sent == route || t.Current == route && !urlpath.Below(t.Sent, urlpath.Fold(h.Handler.PrefixOrDefault())) {
		if t.Method == http.MethodPost && !slices.Contains(h.Logins, t.Sent) {
			h.Logins = append(h.Logins, t.Sent)
		}
	}
	for _, s := range []*auth.Selection{h.Handler.Public, h.Handler.Optional} {
		h.addUseful(s, t)
	}
}

// addUseful finds the patterns by which a request is selected.
func (h *Site) addUseful(s *auth.Selection, t layout.Traveller) {
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
		if pattern.Match(t.Current) {
			current = append(current, text)
		}
	}
	// With a block of matchers, too, anything may be selected.
	if s.HasMatchers() || len(sent) > 0 && len(current) > 0 {
		for _, text := range append(sent, current...) {
			h.useful[text] = true
		}
	}
}
