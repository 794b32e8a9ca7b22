package survey

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-wechat/gateway/caddymodule/auth"
	"github.com/caddy-wechat/gateway/caddymodule/internal/layout"
	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/urlpath"
	"github.com/caddy-wechat/gateway/internal/wording"
)

// findTwoInAChain finds a request that passes two wechat_auth: the second one
// would take the user away that the first one has put in.
func (s *Survey) findTwoInAChain(h *Site, t *layout.Traveller) {
	for _, passed := range t.By {
		first, ok := passed.Gate.Module.(*auth.Handler)
		// Turns between the two that cannot be judged may exclude each other.
		if !ok || passed.Undecided != t.Undecided {
			continue
		}
		places := []string{passed.Gate.Place + option.PositionOfHandler(first.Digest()), h.node.Place + option.PositionOfHandler(h.Handler.Digest())}
		if lines := option.PositionsOfHandler(h.Handler.Digest()); len(lines) == 2 && first.Digest() == h.Handler.Digest() {
			places = []string{passed.Gate.Place + ", at " + lines[0], h.node.Place + ", at " + lines[1]}
		}
		s.add(Notice{
			Kind: NoticeCoverage, Place: h.node.Place, fatal: true,
			Message: wording.Textf("requests pass two wechat_auth one after the other: (1) %s, and (2) %s", places[0], places[1]),
			Fix:     wording.Textf("keep one of them; `public` and `optional` of one wechat_auth say which paths need no login"),
		})
		return
	}
}

// add keeps each notice once.
func (s *Survey) add(n Notice) {
	if !slices.ContainsFunc(s.Notices, func(other Notice) bool {
		return n.Kind == other.Kind && n.Message.String() == other.Message.String() && (n.Place == other.Place || n.fatal)
	}) {
		s.Notices = append(s.Notices, n)
	}
}

const uncoveredMessage = "this route reaches an app without wechat_auth, so its clients can forge the identity headers"

// findUncovered finds the apps that are reached both through wechat_auth and
// around it, wherever in the configuration, and those that a site with
// wechat_auth reaches around it.
func (s *Survey) findUncovered() {
	covered := make(map[string]bool)
	for _, p := range s.Proxies {
		if len(p.Covered) > 0 && !p.AsksOnly() {
			for _, upstream := range p.Upstreams {
				covered[layout.SameApp(upstream)] = true
			}
		}
	}
	for _, p := range s.Proxies {
		if len(p.open) == 0 || p.AsksOnly() {
			continue
		}
		sharesApp := slices.ContainsFunc(p.Upstreams, func(u string) bool { return covered[layout.SameApp(u)] })
		sharesSite := slices.ContainsFunc(s.Sites, func(h *Site) bool {
			return h.Server == p.Server && slices.ContainsFunc(p.open, func(t layout.Traveller) bool { return h.hosts[t.Host] })
		})
		if sharesApp || sharesSite {
			example := p.open[0]
			s.add(Notice{
				Kind: NoticeCoverage, Place: p.node.Place, Message: wording.Textf(uncoveredMessage), upstreams: p.Upstreams,
				Fix: wording.Textf("put wechat_auth in front of the route, which a request to %s%s takes, with `public` for what needs no login", example.Host, example.Sent),
			})
		}
	}
}

// AsksOnly reports whether the proxy only asks a server whether a request may pass, as
// forward_auth does, and is no app.
func (p *Proxy) AsksOnly() bool {
	return p.proxy.Rewrite != nil && p.proxy.Rewrite.Method == http.MethodGet &&
		len(p.proxy.HandleResponse) > 0 && p.proxy.HandleResponse[0].Match != nil && slices.Contains(p.proxy.HandleResponse[0].Match.StatusCode, 2)
}

// findLogin finds a wechat_auth whose users cannot log in.
func (s *Survey) findLogin(h *Site) {
	if len(h.Logins) > 0 || len(h.arrived) == 0 {
		return
	}
	for _, other := range s.Sites { // on the same site, for the same apps
		if other.Server == h.Server && len(other.Logins) > 0 && sharesKey(other.hosts, h.hosts) && sharesApps(other.Handler, h.Handler) {
			return
		}
	}
	prefix := h.Handler.PrefixOrDefault()
	n := Notice{
		Kind: NoticeLogin, Place: h.node.Place + option.PositionOfHandler(h.Handler.Digest()),
		Message: wording.Textf("nobody can log in: no request to %s%s reaches this wechat_auth", prefix, LoginRoute),
		Fix:     wording.Textf("move wechat_auth out of the block or matcher, in front of it"),
	}
	for _, p := range s.Proxies {
		if p.Server == h.Server && slices.ContainsFunc(p.open, func(t layout.Traveller) bool { return t.Sent == prefix+LoginRoute && h.hosts[t.Host] }) {
			n.Message = wording.Textf("%s; login codes sent there go to the app (%s)", n.Message, strings.Join(p.Upstreams, " "))
			break
		}
	}
	if folder := h.folder(); folder != "" {
		n.Fix = wording.Textf("write `prefix %s%s` into it, or %s", folder, prefix, n.Fix)
	}
	n.fatal = h.excludesLogins()
	s.add(n)
}

// folder is the path above all requests that reach the handler, if its matchers
// name one.
func (h *Site) folder() string {
	place := h.node.Place
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

// excludesLogins reports whether it is the handler's own matcher that no login passes.
func (h *Site) excludesLogins() bool {
	own := h.Server.RouteOf(h.node)
	if own == nil || !own.HasMatchers() {
		return false
	}
	for host := range h.hosts {
		for _, path := range samplePaths(h.Server.For(host)) {
			if !strings.HasSuffix(path, h.Handler.PrefixOrDefault()+LoginRoute) {
				continue
			}
			t := layout.Traveller{Method: http.MethodPost, Host: host, Sent: path, Current: path}
			if !own.Excludes(&t) {
				return false
			}
		}
	}
	return true
}

// findUselessPatterns finds patterns of public and optional that select nothing.
func (h *Site) findUselessPatterns(s *Survey) {
	if len(h.arrived) == 0 {
		return
	}
	for _, text := range h.Handler.OpenPaths() {
		if h.useful[text] {
			continue
		}
		n := Notice{
			Kind: NoticeCoverage, Place: h.node.Place + option.PositionOfHandler(h.Handler.Digest()),
			Message: wording.Textf("the pattern %s of public or optional never matches a request here", text),
			Fix:     wording.Textf("remove it, or write the path as clients send it"),
		}
		pattern, err := urlpath.ParsePattern(text)
		for _, t := range h.arrived {
			if err != nil || t.Sent == t.Current || h.Handler.Owns(t.Sent, t.Current) {
				continue
			}
			missing := t.Sent
			if pattern.Match(t.Sent) {
				missing = t.Current
			} else if !pattern.Match(t.Current) {
				continue
			}
			missing = strings.ReplaceAll(missing, sampleName, "*")
			n.Message = wording.Textf("%s, because a rewrite changes paths and both forms must be listed", n.Message)
			n.Fix = wording.Textf("list %s beside it", missing)
			break
		}
		s.add(n)
	}
}

func sharesApps(a, b *auth.Handler) bool {
	return len(a.Apps) == 0 || len(b.Apps) == 0 || slices.ContainsFunc(a.Apps, func(id string) bool { return slices.Contains(b.Apps, id) })
}
