package caddymodule_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// validateSites does what `caddy validate` does with these sites and returns what
// it warns of, or the error.
func validateSites(t *testing.T, sites string) (warnings []string, err error) {
	t.Helper()
	t.Setenv("WECHAT_TEST_SECRET", testSecret)
	config, _, err := adapt("{\n\tadmin off\n\twechat {\n" + oneApp + "\n\t}\n}\n" + sites)
	if err != nil {
		return nil, err
	}
	return validateJSON(t, config)
}

func validateJSON(t *testing.T, config []byte) (warnings []string, err error) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	var parsed caddy.Config
	if err := json.Unmarshal(config, &parsed); err != nil {
		t.Fatal(err)
	}
	parsed.Admin = &caddy.AdminConfig{Disabled: true}
	parsed.StorageRaw = json.RawMessage(`{"module":"file_system","root":` + string(mustJSON(t, t.TempDir())) + `}`)
	parsed.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{
		WriterRaw: json.RawMessage(`{"output":"file","filename":` + string(mustJSON(t, log)) + `}`),
	}}}}
	err = caddy.Validate(&parsed)
	data, readErr := os.ReadFile(log)
	if readErr != nil {
		t.Fatal(readErr)
	}
	for line := range strings.Lines(string(data)) {
		var entry struct {
			Level, Logger, Msg, Route, Action string
			Upstreams                         []string
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Level == "warn" && entry.Logger == "wechat" {
			warnings = append(warnings, strings.Join([]string{entry.Msg, entry.Route, entry.Action, strings.Join(entry.Upstreams, " ")}, " | "))
		}
	}
	slices.Sort(warnings)
	return warnings, err
}

const (
	uncovered = "without wechat_auth"
	noLogin   = "nobody can log in"
	never     = "never matches"
)

// Each layout, and what is said about it when it loads or is validated: nothing,
// or one warning with these words in it for each list.
func TestLayoutsAreJudged(t *testing.T) {
	for name, tc := range map[string]struct {
		sites string
		want  [][]string
	}{
		"plain":             {"http://a.example {\nwechat_auth\nreverse_proxy localhost:3000\n}", nil},
		"another listener":  {"http://:8080 {\nwechat_auth\nreverse_proxy localhost:3000\n}\nhttp://:8081 {\nreverse_proxy localhost:3000\n}", [][]string{{uncovered, ":8081", "localhost:3000"}}},
		"by another name":   {"http://:8080 {\nwechat_auth\nreverse_proxy localhost:3000\n}\nhttp://:8081 {\nreverse_proxy 127.0.0.1:3000\n}", [][]string{{uncovered, ":8081"}}},
		"another host":      {"http://a.example {\nwechat_auth\nreverse_proxy localhost:3000\n}\nhttp://b.example {\nreverse_proxy localhost:3000\n}", [][]string{{uncovered, "host b.example"}}},
		"another app":       {"http://a.example {\nwechat_auth\nreverse_proxy localhost:3000\n}\nhttp://b.example {\nreverse_proxy localhost:4000\n}", nil},
		"two apps":          {"http://a.example {\nwechat_auth\nhandle /api/* {\nreverse_proxy localhost:3000\n}\nhandle {\nreverse_proxy localhost:4000\n}\n}", nil},
		"in a subroute":     {"http://a.example {\nhandle /admin/* {\nreverse_proxy localhost:3000\n}\nhandle {\nwechat_auth\nreverse_proxy localhost:3000\n}\n}", [][]string{{uncovered, "path /admin/*"}}},
		"route in front":    {"http://a.example {\nroute {\nreverse_proxy /open localhost:3000\nwechat_auth\nreverse_proxy localhost:3000\n}\n}", [][]string{{uncovered, "path /open"}}},
		"error route":       {"http://a.example {\nwechat_auth\nreverse_proxy localhost:3000\nhandle_errors {\nreverse_proxy localhost:3000\n}\n}", [][]string{{uncovered, "handle_errors"}}},
		"covered error":     {"http://a.example {\nwechat_auth\nreverse_proxy localhost:3000\nhandle_errors {\nrespond sorry\n}\n}", nil},
		"named route":       {"&(app) {\nreverse_proxy localhost:3000\n}\nhttp://a.example {\nwechat_auth\ninvoke app\n}\nhttp://b.example {\ninvoke app\n}", [][]string{{uncovered, "named route app"}}},
		"named and covered": {"&(app) {\nreverse_proxy localhost:3000\n}\nhttp://a.example {\nwechat_auth\ninvoke app\n}", nil},
		"named with auth":   {"&(app) {\nwechat_auth\nreverse_proxy localhost:3000\n}\nhttp://a.example {\ninvoke app\n}\nhttp://b.example {\ninvoke app\n}", nil},
		"intercept": {
			"http://a.example {\nwechat_auth\nreverse_proxy localhost:3000\n}\nhttp://b.example {\nintercept {\n@bad status 5xx\nhandle_response @bad {\nreverse_proxy localhost:3000\n}\n}\nrespond hello\n}",
			[][]string{{uncovered, "handle_response"}},
		},
		"handle_response": {
			"http://a.example {\nwechat_auth\nreverse_proxy localhost:3000\n}\nhttp://b.example {\nreverse_proxy localhost:4000 {\n@bad status 404\nhandle_response @bad {\nreverse_proxy localhost:3000\n}\n}\n}",
			[][]string{{uncovered, "handle_response"}},
		},
		"forward_auth": {
			"http://a.example {\nwechat_auth\nforward_auth localhost:9000 {\nuri /check\ncopy_headers X-Role\n}\nreverse_proxy localhost:3000\n}\nhttp://b.example {\nforward_auth localhost:9000 {\nuri /check\n}\nreverse_proxy localhost:4000\n}",
			nil,
		},
		"a matcher":        {"http://a.example {\nwechat_auth /api/* {\nprefix /api/wechat\n}\nreverse_proxy localhost:3000\n}", [][]string{{uncovered, "localhost:3000"}}},
		"the same matcher": {"http://a.example {\nwechat_auth /api/* {\nprefix /api/wechat\n}\nreverse_proxy /api/* localhost:3000\nrespond hello\n}", nil},
		"in handle": {
			"http://a.example {\nhandle /api/* {\nwechat_auth\nreverse_proxy localhost:3000\n}\nrespond hello\n}",
			[][]string{{noLogin, "/wechat/login", "prefix /api/wechat", "path /api/*", "Caddyfile:9"}},
		},
		"in handle, to app": {
			"http://a.example {\nhandle /api/* {\nwechat_auth\nreverse_proxy localhost:3000\n}\nhandle {\nreverse_proxy localhost:4000\n}\n}",
			[][]string{{noLogin, "codes", "localhost:4000"}, {uncovered, "localhost:4000"}},
		},
		"prefix in handle":  {"http://a.example {\nhandle /api/* {\nwechat_auth {\nprefix /api/wechat\n}\nreverse_proxy localhost:3000\n}\nrespond hello\n}", nil},
		"in handle_path":    {"http://a.example {\nhandle_path /api/* {\nwechat_auth\nreverse_proxy localhost:3000\n}\nrespond hello\n}", nil},
		"login elsewhere":   {"http://a.example {\nhandle /wechat/* {\nwechat_auth\nrespond 404\n}\nhandle /api/* {\nwechat_auth {\nforward_token\n}\nreverse_proxy localhost:3000\n}\n}", nil},
		"by method":         {"http://a.example {\n@get method GET\nhandle @get {\nwechat_auth\nreverse_proxy localhost:3000\n}\nrespond hello\n}", [][]string{{noLogin}}},
		"try_files":         {"http://a.example {\nroot * /srv\ntry_files {path} /index.html\nwechat_auth\nreverse_proxy localhost:3000\n}", nil},
		"php":               {"http://a.example {\nroot * /srv\nwechat_auth\nphp_fastcgi localhost:9000\nfile_server\n}", nil},
		"rewrite all":       {"http://a.example {\nrewrite * /app{uri}\nwechat_auth {\npublic /health /app/health\n}\nreverse_proxy localhost:3000\n}", nil},
		"one form public":   {"http://a.example {\nhandle_path /api/* {\nwechat_auth {\npublic /health\n}\nreverse_proxy localhost:3000\n}\n}", [][]string{{never, "/health", "list /api/health"}}},
		"both forms public": {"http://a.example {\nhandle_path /api/* {\nwechat_auth {\npublic /health /api/health /s/* /api/s/*\n}\nreverse_proxy localhost:3000\n}\n}", nil},
		"out of reach":      {"http://a.example {\nhandle /api/* {\nwechat_auth {\nprefix /api/wechat\noptional /health\n}\nreverse_proxy localhost:3000\n}\n}", [][]string{{never, "/health"}}},
		"many hosts": {
			"http://*.a.example, http://b.example {\nwechat_auth\n@shop host shop.a.example\nhandle @shop {\nreverse_proxy localhost:3000\n}\nhandle {\nreverse_proxy localhost:4000\n}\n}",
			nil,
		},
		"not a path": {"http://a.example {\n@rest not path /static/*\nroute @rest {\nwechat_auth\nreverse_proxy localhost:3000\n}\nfile_server\n}", nil},
		"one chain, two who": {
			"http://a.example {\nhandle /a/* {\nwechat_auth {\nprefix /a/wechat\n}\nreverse_proxy localhost:3000\n}\nhandle /b/* {\nwechat_auth {\nprefix /b/wechat\n}\nreverse_proxy localhost:4000\n}\n}",
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 3 { // Caddy loads its apps in any order
				warnings, err := validateSites(t, tc.sites)
				if err != nil {
					t.Fatal(err)
				}
				if len(warnings) != len(tc.want) {
					t.Fatalf("%d warnings, want %d: %q", len(warnings), len(tc.want), warnings)
				}
				for _, texts := range tc.want {
					if !slices.ContainsFunc(warnings, func(warning string) bool {
						return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(warning, text) })
					}) {
						t.Errorf("no warning with %q: %q", texts, warnings)
					}
				}
			}
		})
	}
}

// What cannot work does not load, whether it is started or validated, and the
// message names the places.
func TestLayoutsThatCannotWorkDoNotLoad(t *testing.T) {
	for name, tc := range map[string]struct {
		sites string
		want  []string
	}{
		"a matcher without the prefix": {"http://a.example {\nwechat_auth /api/*\nreverse_proxy localhost:3000\n}", []string{"/wechat/login", "prefix /api/wechat", "Caddyfile:8"}},
		"a named matcher": {
			"http://a.example {\n@api path /api/* /v2/*\nwechat_auth @api\nreverse_proxy @api localhost:3000\n}",
			[]string{"/wechat/login", "prefix /api/wechat", "Caddyfile:9"},
		},
		"a matcher of the method": {"http://a.example {\n@get method GET\nwechat_auth @get\nreverse_proxy @get localhost:3000\n}", []string{"/wechat/login", "Caddyfile:9"}},
		"a snippet imported twice": {
			"(auth) {\nwechat_auth\n}\nhttp://a.example {\nimport auth\nhandle {\nimport auth\nreverse_proxy localhost:3000\n}\n}",
			[]string{"two wechat_auth", "Caddyfile:8", "Caddyfile:11", "Caddyfile:13", "host a.example"},
		},
		"side by side": {"http://a.example {\nwechat_auth\nwechat_auth\nreverse_proxy localhost:3000\n}", []string{"two wechat_auth", "Caddyfile:8", "Caddyfile:9"}},
		"optional outside": {
			"http://a.example {\nwechat_auth {\noptional\n}\nhandle /me/* {\nwechat_auth\nreverse_proxy localhost:3000\n}\nreverse_proxy localhost:3000\n}",
			[]string{"two wechat_auth", "Caddyfile:8", "Caddyfile:12", "path /me/*"},
		},
		"in a named route": {
			"&(app) {\nwechat_auth {\noptional\n}\nreverse_proxy localhost:3000\n}\nhttp://a.example {\nwechat_auth\ninvoke app\n}",
			[]string{"two wechat_auth", "Caddyfile:8", "Caddyfile:14", "named route app"},
		},
		"one matcher twice": {
			"http://a.example {\nwechat_auth /api/* {\nprefix /api/wechat\n}\nroute /api/v1/* {\nwechat_auth {\nprefix /api/wechat\noptional\n}\nreverse_proxy localhost:3000\n}\n}",
			[]string{"two wechat_auth", "Caddyfile:8", "Caddyfile:12"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 3 {
				_, err := validateSites(t, tc.sites)
				if err == nil {
					t.Fatal("it loads")
				}
				explainedInChinese(t, err)
				for _, want := range tc.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%q is not in the message: %v", want, err)
					}
				}
			}
		})
	}
}

// Two that no request passes both are no mistake.
func TestSeveralHandlersInOneSiteLoad(t *testing.T) {
	for _, site := range []string{
		"wechat_auth /a/* {\nprefix /a/wechat\n}\nwechat_auth /b/* {\nprefix /b/wechat\n}\nrespond hello",
		"@one header X-Version 1\n@two header X-Version 2\nhandle @one {\nwechat_auth\nreverse_proxy localhost:3000\n}\nhandle @two {\nwechat_auth {\noptional\n}\nreverse_proxy localhost:3000\n}",
		"@one header X-Version 1\n@two header X-Version 2\nroute {\nwechat_auth @one\nwechat_auth @two {\noptional\n}\nrespond hello\n}",
	} {
		if _, err := validateSites(t, "http://a.example {\n"+site+"\n}"); err != nil {
			t.Errorf("%s: %v", site, err)
		}
	}
}

// A configuration in JSON has no lines, and those of a Caddyfile that was read
// before are not its own.
func TestJSONIsNotBlamedOnACaddyfile(t *testing.T) {
	t.Setenv("WECHAT_TEST_SECRET", testSecret)
	if _, _, err := adapt("{\n\twechat {\n" + oneApp + "\n\t}\n}\nhttp://a.example {\nwechat_auth {\napp " + otherApp + "\n}\n}"); err != nil {
		t.Fatal(err)
	}
	app := `{"appid":"` + testApp + `","secret":"{env.WECHAT_TEST_SECRET}"}`
	for _, config := range []string{
		`{"apps":{"wechat":{"app":[` + app + `],"api_timeout":1000000000},"http":{"servers":{"s":{"listen":[":8080"],"routes":[{"handle":[{"handler":"wechat_auth","app":["` + otherApp + `"]}]}]}}}}}`,
		`{"apps":{"wechat":{"app":[` + app + `],"api_timeout":1000000000},"http":{"servers":{"s":{"listen":[":8080"],"routes":[{"handle":[{"handler":"wechat_auth"},{"handler":"wechat_auth"}]}]}}}}}`,
		`{"apps":{"wechat":{"app":[{"appid":"` + testApp + `","secret":"{env.WECHAT_TEST_UNSET}"}]}}}`,
	} {
		_, err := validateJSON(t, []byte(config))
		if err == nil || strings.Contains(err.Error(), "Caddyfile") || strings.Contains(err.Error(), ":0") {
			t.Errorf("%s: %v", config, err)
		}
	}
}
