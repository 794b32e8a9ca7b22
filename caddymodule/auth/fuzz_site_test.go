package auth

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// No text makes the parser panic, and what it accepts it can format again.
func FuzzSite(f *testing.F) {
	f.Add("public /a /b/*\noptional {\n\tmethod GET\n}\ntoken cookie sid\nheader openid off")
	f.Add("public {")
	f.Fuzz(func(t *testing.T, site string) {
		handler := new(Handler)
		tokens, err := caddyfile.Tokenize([]byte("wechat_auth {\n"+site+"\n}"), "Caddyfile")
		if err == nil && handler.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)) == nil {
			for _, text := range append([]string{"/x"}, publicPaths(handler)...) {
				if text == "/" || text == "/*" || strings.HasPrefix(strings.ToLower(text), "/wechat/") && handler.Prefix == "" {
					t.Fatalf("public %q", text)
				}
			}
		}
	})
}

func publicPaths(h *Handler) []string {
	if h.Public == nil {
		return nil
	}
	return h.Public.Paths
}
