package wechatapp

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/urlpath"
)

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
			kind: NoticeCoverage, place: h.node.place, fatal: true,
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
				kind: NoticeCoverage, place: p.node.place, message: uncoveredMessage, upstreams: p.upstreams,
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
		kind: NoticeLogin, place: h.node.place + option.PositionOfHandler(h.handler.digest()),
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
			kind: NoticeCoverage, place: h.node.place + option.PositionOfHandler(h.handler.digest()),
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
