package caddymodule_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/identity"
)

// speaksForGateway are the ways of an app to say what only the gateway may say.
var speaksForGateway = []string{"X-WeChat-Gateway", "x_wechat_gateway", "X.WeChat.Gateway", "X~Wechat!Gateway"}

// wantNoVerdict fails if any header or trailer of an answer is the gateway's own.
func wantNoVerdict(t *testing.T, what string, headers ...http.Header) {
	t.Helper()
	for _, header := range headers {
		for name, values := range header {
			if identity.Fold(name) == "x-wechat-gateway" || strings.Contains(identity.Fold(strings.Join(values, ",")), "x-wechat-gateway") {
				t.Errorf("%s: the client sees %s: %v", what, name, values)
			}
		}
	}
}

// K13, K16: an app says in the gateway's name that a login is over, and the client
// throws its token away. It says so in every place that an answer has.
func TestK13AppsCannotSpeakForTheGateway(t *testing.T) {
	for name, servers := range map[string]string{"by default": "", "without timeouts": noIdleTimeouts} {
		t.Run(name, func(t *testing.T) { testSpeaksForGateway(t, servers) })
	}
}

// noIdleTimeouts make Caddy's server hand out its writer as it is.
const noIdleTimeouts = "timeouts {\nread_body_idle -1s\nwrite_idle -1s\n}"

func testSpeaksForGateway(t *testing.T, servers string) {
	g := newGateway(t, func(g *gatewayTest) {
		g.servers = servers
		app := g.app.addr()
		g.site = "wechat_auth {\npublic /public\noptional /optional\n}\nhandle /fails {\nerror 503\n}\nhandle {\nreverse_proxy " + app + "\n}\nhandle_errors {\nreverse_proxy " + app + "\n}"
	})
	token := g.login(userA)
	g.app.answerWith(func(w http.ResponseWriter, r *http.Request) {
		announced := r.URL.Query().Has("announced")
		if r.URL.Query().Has("hints") {
			for _, name := range speaksForGateway {
				w.Header()[name] = []string{"session_ended"}
			}
			w.WriteHeader(http.StatusEarlyHints)
		}
		for _, name := range speaksForGateway {
			w.Header()[name] = []string{"session_ended"}
			if announced {
				w.Header().Add("Trailer", name)
			}
		}
		w.Header().Set("X-App", "yes")
		w.Header().Add("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "hello")
		_ = http.NewResponseController(w).Flush()
		w.Header().Set("X-Sum", "1")
		for _, name := range speaksForGateway {
			w.Header()[http.TrailerPrefix+name] = []string{"session_ended"}
		}
	})
	for _, path := range []string{"/", "/?announced", "/?hints", "/optional", "/public", "/fails", "/fails?announced", "/fails?hints"} {
		answer := g.rawGet("GET", path, bearerHeader(token))
		if folded := identity.Fold(answer); strings.Contains(folded, "x-wechat-gateway") {
			t.Errorf("%s: %s", path, answer)
		}
		if !strings.Contains(answer, "X-App: yes") || strings.Contains(path, "hints") != strings.Contains(answer, " 103 ") {
			t.Errorf("%s: the control: %s", path, answer)
		}
		if !strings.HasPrefix(path, "/fails") && !strings.Contains(answer, "X-Sum: 1") {
			t.Errorf("%s: the app's own trailer: %s", path, answer)
		}
	}
	g.app.answerWith(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-WeChat-Gateway: session_ended\r\nX-App: yes\r\n\r\n")
	})
	_, _, resp := g.webSocket(t, bearerHeader(token))
	wantNoVerdict(t, "an upgrade", resp.Header)
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("X-App") != "yes" {
		t.Errorf("an upgrade: the control: %d %v", resp.StatusCode, resp.Header)
	}
}

// The same over HTTP/2 and HTTP/3.
func TestK13AppsCannotSpeakOverNewerProtocols(t *testing.T) {
	g := newGateway(t, func(g *gatewayTest) {
		g.servers = noIdleTimeouts
		app := "reverse_proxy " + g.app.addr() + "\n"
		g.overTLS("", "handle /fails* {\nerror 503\n}\n"+app+"handle_errors {\n"+app+"}\n")
	})
	g.app.answerWith(func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range speaksForGateway {
			w.Header()[name] = []string{"session_ended"}
			w.Header()[http.TrailerPrefix+name] = []string{"session_ended"}
		}
		w.Header().Set("X-App", "yes")
		w.Header()[http.TrailerPrefix+"X-Sum"] = []string{"1"}
		_, _ = io.WriteString(w, "hello")
	})
	for name, transport := range tlsTransports(t) {
		token := g.tlsLogin(t, transport)
		for _, path := range []string{"/", "/public"} {
			resp := g.tlsDo(t, transport, "GET", path, nil, bearerHeader(token))
			if _, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || resp.Trailer.Get("X-Sum") != "1" {
				t.Errorf("%s %s: the control: %d %v %v", name, path, resp.StatusCode, resp.Trailer, err)
			}
			wantNoVerdict(t, name+" "+path, resp.Header, resp.Trailer)
		}
		resp := g.tlsDo(t, transport, "GET", "/fails", nil, bearerHeader(token))
		if _, err := io.ReadAll(resp.Body); err != nil || resp.Header.Get("X-App") != "yes" {
			t.Errorf("%s: an error route: the control: %d %v %v", name, resp.StatusCode, resp.Header, err)
		}
		wantNoVerdict(t, name+" an error route", resp.Header, resp.Trailer)
	}
}

// A client can tell whose refusal it is.
func TestRefusalsAreSigned(t *testing.T) {
	g := newGateway(t)
	for path, want := range map[string]string{"/": "login_required", "/wechat/nothing": "not_found", "/wechat/login": "method_not_allowed"} {
		resp, body := g.do(http.MethodGet, path, "")
		if got := resp.Header.Values("X-WeChat-Gateway"); len(got) != 1 || got[0] != want || errorCode(body) != want {
			t.Errorf("%s: %q, %s", path, got, body)
		}
	}
	resp, _ := g.post("/wechat/login", "{}")
	if got := resp.Header.Get("X-WeChat-Gateway"); got != "invalid_request" {
		t.Errorf("login: %q", got)
	}
	token := g.login(userA)
	for _, path := range []string{"/", "/wechat/session"} {
		if resp, _ := g.do(http.MethodGet, path, "", bearerHeader(token)); resp.StatusCode != http.StatusOK || resp.Header.Get("X-WeChat-Gateway") != "" {
			t.Errorf("%s: %d %v", path, resp.StatusCode, resp.Header)
		}
	}
}

// K5, K15, K16: headers that the gateway gives a meaning to, sent by a client in
// the hope that the app reads them or passes them on.
func TestK16WeChatHeadersOfClientsNeverArrive(t *testing.T) {
	g := newGateway(t, func(g *gatewayTest) {
		g.servers = "trusted_proxies static 127.0.0.1/32"
		g.site = "wechat_auth {\npublic /public\n}"
	})
	token := g.login(userA)
	for _, name := range []string{"User-ID", "OpenID", "Signature", "Event", "Expires-In", "Gateway"} {
		for _, spelling := range []string{"X-WeChat-" + name, "x_wechat_" + strings.ReplaceAll(name, "-", "_"), "X~WeChat~" + name, "X+wechat!" + name} {
			for _, path := range []string{"/", "/public"} {
				g.rawGet("GET", path, bearerHeader(token), spelling+": forged", "Connection: "+spelling)
				for arrived := range g.only(t).Header {
					if strings.HasPrefix(identity.Fold(arrived), "x-wechat-") {
						t.Errorf("%s arrives at %s", arrived, path)
					}
				}
			}
		}
	}
}

// G8: a cache in front keeps what another handler than the app made of a user's
// request, or what is written in place of the app when it fails.
func TestG8WhoeverAnswersIsPrivate(t *testing.T) {
	site := "wechat_auth {\noptional /optional/*\npublic /public/*\n}\n" +
		"@fails path */fails\nhandle @fails {\nerror 418\n}\n@words path */words\nhandle @words {\nrespond \"hello {http.auth.user.id}\"\n}\n@nothing path */nothing\nhandle @nothing {\nvars a b\n}\n" +
		"@said path */said\nhandle @said {\nheader Cache-Control \"public, max-age=60\"\nrespond hello\n}\n" +
		"@blank path */blank\nhandle @blank {\nheader Cache-Control \"\"\nrespond hello\n}\n"
	pages := "handle_errors {\nrespond \"oh {http.auth.user.openid}\"\n}\n"
	for name, layout := range map[string]struct{ site, servers string }{
		"error routes":        {site + pages, ""},
		"no error routes":     {site, ""},
		"without timeouts":    {site + pages, noIdleTimeouts},
		"only an access log":  {"log {\noutput discard\n}\n" + site + pages, noIdleTimeouts},
		"a proxied error":     {site + "handle_errors {\nreverse_proxy APP\n}\n", ""},
		"an unreachable app":  {strings.ReplaceAll(site, "respond \"hello {http.auth.user.id}\"", "reverse_proxy 127.0.0.1:1") + pages, ""},
		"an encoded answer":   {"encode\n" + site + pages, ""},
		"an inner error page": {site + "handle_errors 418 {\nfile_server\n}\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(g *gatewayTest) {
				g.site = strings.ReplaceAll(layout.site, "APP", g.app.addr()) + "# reverse_proxy"
				g.servers = layout.servers
			})
			token := g.login(userA)
			for _, what := range []string{"fails", "words", "nothing", "said", "blank"} {
				for path, lines := range map[string][]string{"/": {bearerHeader(token)}, "/optional/": nil, "/public/": {bearerHeader(token)}} {
					path += what
					resp, _ := g.do(http.MethodGet, path, "", lines...)
					private, vary := "private", "Authorization"
					switch {
					case what == "said":
						private = "public, max-age=60"
					case !strings.HasPrefix(path, "/"+what):
						private = ""
					}
					if strings.HasPrefix(path, "/public") {
						vary = ""
					}
					if got := resp.Header.Get("Cache-Control"); got != private {
						t.Errorf("%s: %d, Cache-Control %q, want %q", path, resp.StatusCode, got, private)
					}
					if got := strings.Join(resp.Header.Values("Vary"), ", "); strings.Contains(got, "Authorization") != (vary != "") {
						t.Errorf("%s: Vary %q, want %q", path, got, vary)
					}
				}
			}
		})
	}
}
