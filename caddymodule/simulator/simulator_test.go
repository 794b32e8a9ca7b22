package simulator

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// A simulator hands out logins to whoever asks, so nobody else may ask: not the
// network, and not a web page in the developer's browser.
func TestOnlyThisMachineIsAnswered(t *testing.T) {
	s := new(Simulator)
	if err := s.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	defer s.Cleanup()
	for name, tc := range map[string]struct {
		peer, host string
		header     http.Header
		want       bool
	}{
		"this machine":          {"127.0.0.1:5000", "127.0.0.1:9080", nil, true},
		"this machine, IPv6":    {"[::1]:5000", "[::1]:9080", nil, true},
		"localhost":             {"127.0.0.1:5000", "localhost", nil, true},
		"the page itself":       {"127.0.0.1:5000", "localhost:9080", http.Header{"Origin": {"http://localhost:9080"}, "Sec-Fetch-Site": {"same-origin"}}, true},
		"the network":           {"192.0.2.1:5000", "127.0.0.1:9080", nil, false},
		"claims to be local":    {"192.0.2.1:5000", "127.0.0.1:9080", http.Header{"X-Forwarded-For": {"127.0.0.1"}}, false},
		"DNS rebinding":         {"127.0.0.1:5000", "evil.example:9080", nil, false},
		"another page":          {"127.0.0.1:5000", "127.0.0.1:9080", http.Header{"Origin": {"https://evil.example"}}, false},
		"another site's image":  {"127.0.0.1:5000", "127.0.0.1:9080", http.Header{"Sec-Fetch-Site": {"cross-site"}}, false},
		"a link pressing a key": {"127.0.0.1:5000", "127.0.0.1:9080", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}}, false},
		"a sandboxed page":      {"127.0.0.1:5000", "127.0.0.1:9080", http.Header{"Origin": {"null"}}, false},
		"a unix socket's peer":  {"@", "127.0.0.1:9080", nil, false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/simulator/code?user=alice", nil)
		r.RemoteAddr, r.Host = tc.peer, tc.host
		if tc.header != nil {
			r.Header = tc.header
		}
		rec := httptest.NewRecorder()
		err := s.ServeHTTP(rec, r, nil)
		if got := err == nil && strings.Contains(rec.Body.String(), `"code"`); got != tc.want {
			t.Errorf("%s: answered %v (%v)", name, got, err)
		}
		if handlerErr, ok := errors.AsType[caddyhttp.HandlerError](err); err != nil && (!ok || handlerErr.StatusCode != http.StatusForbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A gateway sends browsers here from its own site. The pages do nothing before a
// button is pressed.
func TestLinksLeadToPagesOnly(t *testing.T) {
	s := new(Simulator)
	if err := s.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	defer s.Cleanup()
	for target, want := range map[string]bool{
		"GET /": true, "GET /connect/oauth2/authorize?appid=x": true, "GET /connect/qrconnect": true,
		"POST /connect/qrconnect": false, "POST /connect/confirm": false, "GET /connect/confirm": false, "GET /simulator/state": false, "POST /simulator/consent": false,
	} {
		method, path, _ := strings.Cut(target, " ")
		r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		r.RemoteAddr, r.Host = "127.0.0.1:5000", "127.0.0.1:9080"
		r.Header = http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}}
		if err := s.ServeHTTP(httptest.NewRecorder(), r, nil); (err == nil) != want {
			t.Errorf("%s: %v", target, err)
		}
		r.Header.Set("Sec-Fetch-Mode", "no-cors")
		if s.ServeHTTP(httptest.NewRecorder(), r, nil) == nil {
			t.Errorf("%s as a picture is answered", target)
		}
	}
}

func TestReloadKeepsCodes(t *testing.T) {
	first, second := new(Simulator), new(Simulator)
	if err := first.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	if err := second.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	if err := first.Cleanup(); err != nil {
		t.Fatal(err)
	}
	if first.site.Server != second.site.Server {
		t.Error("another simulator after a reload")
	}
	if err := second.Cleanup(); err != nil {
		t.Fatal(err)
	}
}

func TestCaddyfile(t *testing.T) {
	for text, want := range map[string]string{
		"wechat_simulator": "", "wechat_simulator {\ndeveloper_tools bob\n}": "",
		"wechat_simulator {\ndeveloper_tools bob\ndeveloper_tools bob\n}": "given twice",
		"wechat_simulator {\ndeveloper_tools\n}":                          "one argument", "wechat_simulator {\ndeveloper_tools \" b\"\n}": "name",
		"wechat_simulator {\napp wx1234567890abcdef secret\napp wxfedcba0987654321 secret\n}": "",
		"wechat_simulator x":                  "wrong argument count",
		"wechat_simulator {\nap wx secret\n}": `unrecognized option "ap"`,
		"wechat_simulator {\nuser carol\nuser dave no_unionid\ngateway http://127.0.0.1:8080\nprefix /w\n}": "",
		"wechat_simulator {\napp wx\n}":                                                                               "needs an AppID and a secret",
		"wechat_simulator {\napp wx secret\n}":                                                                        "not an AppID",
		"wechat_simulator {\napp wx1234567890abcdef \"\"\n}":                                                          "secret is empty",
		"wechat_simulator {\napp wx1234567890abcdef a\napp wx1234567890abcdef b\n}":                                   "given twice",
		"wechat_simulator {\nuser \" a\"\n}":                                                                          "no such user",
		"wechat_simulator {\ndomain wx1234567890abcdef example.com a.example\ndomain wx1234567890abcdef b.example\n}": "",
		"wechat_simulator {\ndomain wx1234567890abcdef\n}":                                                            "at least one host",
		"wechat_simulator {\ndomain wx example.com\n}":                                                                "not an AppID",
		"wechat_simulator {\ndomain wx1234567890abcdef https://example.com\n}":                                        "without scheme",
		"wechat_simulator {\ndomain wx1234567890abcdef example.com:443\n}":                                            "without scheme",
		"wechat_simulator {\nuser carol union\n}":                                                                     "unionid or no_unionid",
		"wechat_simulator {\nuser carol\nuser carol\n}":                                                               "given twice",
		"wechat_simulator {\ngateway http://127.0.0.1\ngateway http://127.0.0.1\n}":                                   "Testfile:3",
		"wechat_simulator {\ngateway http://192.0.2.1\n}":                                                             "on this machine",
		"wechat_simulator {\ngateway\n}":                                                                              "needs one argument",
		"wechat_simulator {\nprefix wechat\n}":                                                                        "begin with /",
		"wechat_simulator {\nprefix /a\nprefix /b\n}":                                                                 "given twice",
	} {
		err := new(Simulator).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestBadJSONDoesNotLoad(t *testing.T) {
	for want, s := range map[string]*Simulator{
		"not an AppID":    {Apps: map[string]string{"wx": "secret"}},
		"secret is empty": {Apps: map[string]string{"wx1234567890abcdef": ""}},
		"no such user":    {Users: map[string]bool{"a\tb": true}},
		"on this machine": {Gateway: "http://192.0.2.1"},
		"without scheme":  {Domains: map[string][]string{"wx1234567890abcdef": {"EXAMPLE.com"}}},
		"begin with /":    {Prefix: "wechat"},
	} {
		err := s.Provision(caddy.Context{})
		if err == nil {
			err = s.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err := s.Cleanup(); err != nil {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func TestUsersOfTheConfigurationCanLogIn(t *testing.T) {
	s := &Simulator{Users: map[string]bool{"dave": false}}
	if err := s.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	defer s.Cleanup()
	if _, err := s.site.Server.Login("", "dave"); err != nil {
		t.Error(err)
	}
}
