package survey

import (
	"slices"
	"strings"

	"github.com/caddy-wechat/gateway/caddymodule/auth"
	"github.com/caddy-wechat/gateway/caddymodule/internal/layout"
	"github.com/caddy-wechat/gateway/internal/urlpath"
)

// maxSamples bounds the requests that are followed through one server.
const maxSamples = 10_000

const (
	sampleName = "sample"
	anyHost    = "sample.invalid" // reaches what answers for every host
)

func sampleHosts(s *layout.Server) []string {
	hosts, known := []string{anyHost}, map[string]bool{anyHost: true}
	for _, host := range s.Hosts {
		host = strings.ReplaceAll(host, "*", sampleName)
		if !layout.HasPlaceholder(host) && !known[host] {
			known[host] = true
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// samplePaths are the home page, a page that no setting names, one for each
// pattern, and the login and the patterns of each wechat_auth; all of them also
// below what rewrites strip.
func samplePaths(s *layout.Server) []string {
	var paths []string
	add := func(path string) {
		path = "/" + strings.TrimLeft(strings.ReplaceAll(path, "*", sampleName), "/")
		for _, above := range append([]string{""}, s.Stripped...) {
			if full := above + path; !slices.Contains(paths, full) && urlpath.Canonical(full) {
				paths = append(paths, full)
			}
		}
	}
	add("/")
	add("/" + sampleName)
	for _, path := range s.Paths {
		add(path)
	}
	s.Each(func(module any) {
		h, ok := module.(*auth.Handler)
		if !ok {
			return
		}
		add(h.PrefixOrDefault() + LoginRoute)
		for _, path := range h.OpenPaths() {
			add(path)
		}
	})
	return paths
}
