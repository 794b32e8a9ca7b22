package caddymodule_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

// latency is what Redis in another building takes.
const latency = 50 * time.Millisecond

// farRedis is a gateway whose Redis is behind a network that takes its time.
func farRedis(t *testing.T, store string, options ...func(*gatewayTest)) (g *gatewayTest, server *redistest.Server, network *redistest.Proxy) {
	t.Helper()
	server = redistest.Start(t)
	network = redistest.NewProxy(t, server.Addr)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	near := *server
	near.Addr = network.Addr
	g = newGateway(t, append(options, withAdmin, withGlobal(redisGlobal(&near, store)))...)
	return g, server, network
}

// leave sends a request and closes the connection without waiting for an answer,
// when the gateway had time to read it.
func leave(t *testing.T, addr, request string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(conn, request); err != nil {
		t.Fatal(err)
	}
	time.Sleep(latency / 5) // another party's connection: nothing to wait on but the clock
	conn.Close()
}

func (g *gatewayTest) leave(method, path, token string) {
	g.t.Helper()
	leave(g.t, g.addr, method+" "+path+" HTTP/1.1\r\nHost: "+g.addr+"\r\n"+bearerHeader(token)+"\r\nContent-Length: 0\r\n\r\n")
}

// F2: a check that others wait for ran under the context of the client that came
// first. When that one left, the others got 503, and with grace they passed,
// though Redis had ended the session and was well.
func TestF2ClientThatLeavesAnswersForNobody(t *testing.T) {
	for _, store := range []string{"", "on_failure grace 15m"} {
		t.Run("store "+store, func(t *testing.T) {
			logs := filepath.Join(t.TempDir(), "log")
			g, _, network := farRedis(t, store, func(g *gatewayTest) { g.extra = "log {\noutput file " + logs + "\n}" })
			network.Delay(latency)
			storeErrors := `caddy_wechat_auth_store_errors_total{app="` + testApp + `"}`
			for range 4 {
				token := g.login(userA)
				g.leave(http.MethodGet, "/", token)
				for range 3 {
					resp, body := g.do(http.MethodGet, "/", "", bearerHeader(token))
					if resp.StatusCode != http.StatusOK {
						t.Fatalf("beside a client that left: %d %s", resp.StatusCode, body)
					}
				}
				g.must(http.MethodPost, "/wechat/sessions/end", targetA, &struct{}{})
				g.leave(http.MethodGet, "/", token)
				g.wantToken(token, "session_ended", http.StatusUnauthorized)
			}
			// The client itself may leave while the gateway waits for Redis.
			g.leave(http.MethodPost, "/wechat/renew", g.login(userA))
			time.Sleep(3 * latency) // for its answer, which nobody gets
			if got := g.metric(storeErrors); got != "0" && got != "" {
				t.Errorf("%s store errors, and the store was well", got)
			}
			text, err := os.ReadFile(logs)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				if strings.Contains(line, `"level":"error"`) {
					t.Errorf("an error is logged: %s", line)
				}
			}
		})
	}
}

// F4: whoever logs out and closes the app has logged out, and so has whom an
// operator's script ends that does not wait.
func TestF4ChangesFinishWhenTheirClientLeaves(t *testing.T) {
	g, _, network := farRedis(t, "")
	network.Delay(latency)
	operator := func(path, body string) {
		leave(t, g.admin, "POST "+path+" HTTP/1.1\r\nHost: "+g.admin+"\r\nContent-Type: application/json\r\nContent-Length: "+
			fmt.Sprint(len(body))+"\r\n\r\n"+body)
	}
	ended := func(what, token string) {
		t.Helper()
		eventually(t, what, func() bool {
			resp, _ := g.do(http.MethodGet, "/", "", bearerHeader(token))
			return resp.StatusCode == http.StatusUnauthorized
		})
	}
	for range 3 {
		token := g.login(userA)
		g.wantToken(token, "", http.StatusOK)
		g.leave(http.MethodPost, "/wechat/logout", token)
		ended("the logout counts", token)
	}
	token := g.login(userA)
	operator("/wechat/sessions/end", targetA)
	ended("the end of a user counts", token)
	token = g.login(userA)
	operator("/wechat/sessions/end", wholeA)
	ended("the end of an app counts", token)
	token = g.login(userA)
	operator("/wechat/users/deny", strings.TrimSuffix(targetA, "}")+`,"until":"`+time.Now().Add(time.Hour).Format(time.RFC3339)+`"}`)
	ended("the denial counts", token)
	operator("/wechat/users/allow", targetA)
	eventually(t, "the permission counts", func() bool {
		code := freshCode()
		g.wechat.AddCode(code, userA)
		resp, _ := g.post("/wechat/login", `{"code":"`+code+`"}`)
		return resp.StatusCode == http.StatusOK
	})
}

// F3: a chain of renewed tokens passed as long as the outage lasted, and an
// assertion made in it was believed for a minute more.
func TestF3GraceMakesNoCredentials(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	g := newGateway(t, withGlobal(redisGlobal(server, "on_failure grace 15m")),
		withSite("handle_path /plain/* {\nwechat_auth\nreverse_proxy {$APP}\n}\nhandle {\nwechat_auth {\nassertion X-Assertion\n}\nreverse_proxy {$APP}\n}"),
		func(g *gatewayTest) { g.site = strings.ReplaceAll(g.site, "{$APP}", g.app.addr()) })
	token := g.login(userA)
	if resp, body := g.do(http.MethodGet, "/", "", bearerHeader(token)); resp.StatusCode != http.StatusOK {
		t.Fatalf("before the outage: %d %s", resp.StatusCode, body)
	}
	server.Kill()
	g.app.requests()
	if resp, body := g.do(http.MethodGet, "/plain/", "", bearerHeader(token)); resp.StatusCode != http.StatusOK {
		t.Errorf("the control passes by grace: %d %s", resp.StatusCode, body)
	}
	g.app.requests()
	resp, body := g.do(http.MethodGet, "/", "", bearerHeader(token))
	wantRefusal(t, "an assertion in an outage", resp, body, 503, "store_unavailable")
	resp, body = g.post("/wechat/renew", "", bearerHeader(token))
	wantRefusal(t, "renew in an outage", resp, body, 503, "store_unavailable")
	if seen := g.app.requests(); len(seen) > 0 {
		t.Errorf("the app saw %v", seen)
	}
	server.Run() // empty: the session is lost, which must show at once
	g.wantToken(token, "session_ended", http.StatusUnauthorized)
}

// F3: what this node saw end stays ended through an outage, and through a reload
// in the middle of it.
func TestF3EndedStaysEndedInAnOutage(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	g := newGateway(t, withAdmin, withGlobal(redisGlobal(server, "on_failure grace 15m")))
	loggedOut, kicked, live := g.login(userA), g.login(userA), g.login(wechattest.User{OpenID: openIDB})
	if resp, _ := g.post("/wechat/logout", "", bearerHeader(loggedOut)); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("logout: %d", resp.StatusCode)
	}
	g.must(http.MethodPost, "/wechat/sessions/end", targetA, &struct{}{})
	server.Kill()
	for range 2 {
		g.wantToken(loggedOut, "session_ended", http.StatusUnauthorized)
		g.wantToken(kicked, "session_ended", http.StatusUnauthorized)
		g.wantToken(live, "", http.StatusOK)
		if err := load(g.caddyfile() + "# again"); err != nil {
			t.Fatal(err)
		}
	}
}

// F3: Redis that answers, if only nonsense, is not away.
func TestF3GraceNeedsAnOutage(t *testing.T) {
	g, server, network := farRedis(t, "on_failure grace 15m")
	token := g.login(userA)
	network.Cut() // one connection that ends is no outage
	g.wantToken(token, "", http.StatusOK)
	for name := range strings.SplitSeq(server.Do("KEYS", "caddy-wechat:u:*"), "\n") {
		server.Do("SET", name, "nonsense")
	}
	eventually(t, "a record that cannot be read is a 503", func() bool {
		resp, body := g.do(http.MethodGet, "/", "", bearerHeader(token))
		return resp.StatusCode == http.StatusServiceUnavailable && errorCode(body) == "store_unavailable"
	})
}

// O1: Caddy does not wait for requests on their way when it replaces a
// configuration; the old one's store was closed under them, and they got 503.
func TestO1ReloadFailsNothingThatRedisKnows(t *testing.T) {
	g, _, network := farRedis(t, "", withGlobal("login_limit off"))
	network.Delay(5 * time.Millisecond)
	stop := make(chan struct{})
	var group sync.WaitGroup
	for n := range 4 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				code := freshCode()
				g.wechat.AddCode(code, wechattest.User{OpenID: fmt.Sprintf("o%027d", n)})
				resp, err := testClient.Post(g.url("/wechat/login"), "application/json", strings.NewReader(`{"code":"`+code+`"}`))
				if err != nil {
					continue // Caddy's own: the old listener is closed
				}
				if resp.StatusCode != http.StatusOK {
					t.Errorf("login in a reload: %d", resp.StatusCode)
				}
				resp.Body.Close()
			}
		})
	}
	for n := range 10 {
		// The first half changes the store, too.
		if err := load(strings.Replace(g.caddyfile(), "password", fmt.Sprintf("timeout %ds\npassword", max(2, 8-n)), 1)); err != nil {
			t.Error(err)
		}
		time.Sleep(4 * latency) // for logins in between
	}
	close(stop)
	group.Wait()
}

// F4: Redis fails when the key is gone from storage already. Whoever tries again is
// told that it is done, not that there is no such key, and the other nodes hear of it.
func TestF4DropOfAKeyCanBeTriedAgain(t *testing.T) {
	for name, global := range map[string]string{
		"in storage": "", "configured": "signing_key " + testKey + " AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
			g := newGateway(
				t, withAdmin, withGlobal(strings.Replace(redisGlobal(server, "on_failure grace 15m"), "signing_key "+testKey, global, 1)),
			)
			token := g.login(userA)
			var status struct{ Keys []statusKey }
			g.must(http.MethodGet, "/wechat/status", "", &status)
			leaked := status.Keys[0].ID
			server.Kill()
			for range 2 {
				code, body := g.operate(http.MethodDelete, "/wechat/keys/"+leaked, "")
				wantCode(t, "while Redis is away", code, body, "", http.StatusServiceUnavailable)
			}
			g.wantToken(token, "login_required", http.StatusUnauthorized) // here at once
			if err := load(g.caddyfile() + "# again"); err != nil {
				t.Fatal(err)
			}
			g.wantToken(token, "login_required", http.StatusUnauthorized)
			server.Run()
			eventually(t, "it is dropped when Redis is back", func() bool {
				code, body := g.operate(http.MethodDelete, "/wechat/keys/"+leaked, "")
				if code != http.StatusOK && code != http.StatusServiceUnavailable {
					t.Fatalf("the next try: %d %s", code, body)
				}
				return code == http.StatusOK
			})
			if !strings.Contains(server.Do("HGETALL", "caddy-wechat:control"), leaked) {
				t.Error("the other nodes are not told")
			}
			g.wantToken(token, "login_required", http.StatusUnauthorized)
			code, body := g.operate(http.MethodDelete, "/wechat/keys/"+leaked, "")
			wantCode(t, "when it is done", code, body, "", http.StatusNotFound)
		})
	}
}
