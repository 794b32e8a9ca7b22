package layout

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// UpstreamsOf names the apps of a reverse_proxy so that two names of one address
// are the same.
func UpstreamsOf(p *reverseproxy.Handler) []string {
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

// SameApp is an address in a form in which two names of it are equal.
func SameApp(dial string) string {
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
