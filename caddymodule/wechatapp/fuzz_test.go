package wechatapp

import (
	"encoding/json"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// No text makes the parser panic, and what it accepts it accepts as JSON.
func FuzzCaddyfile(f *testing.F) {
	f.Add("app wx1234567890abcdef {env.X}\nsession {\n\ttoken_lifetime 2h\n}\nsigning_key {env.K}\nlogin_limit off")
	f.Add("app")
	f.Fuzz(func(t *testing.T, global string) {
		app := new(App)
		tokens, err := caddyfile.Tokenize([]byte("wechat {\n"+global+"\n}"), "Caddyfile")
		if err != nil || app.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)) != nil {
			return
		}
		app.setDefaults()
		if err := app.check(); err != nil {
			t.Fatalf("accepted as text, refused as JSON: %v", err)
		}
	})
}

// The same for JSON: what loads has been checked like a Caddyfile.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"app":[{"appid":"wx1234567890abcdef","secret":"x"}],"session":{"token_lifetime":"2h"}}`))
	f.Add([]byte(`{"app":[null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		app := new(App)
		if json.Unmarshal(data, app) != nil {
			return
		}
		app.setDefaults()
		if app.check() == nil && (app.Session.TokenLifetime <= 0 || app.Session.TokenLifetime > app.Session.MaxLifetime || len(app.Apps) == 0) {
			t.Fatalf("accepted %q", data)
		}
	})
}
