package caddymodule_test

import (
	"crypto/rand"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

// use loads g's configuration with other global options, in place of the one that
// runs or, with stop, after it.
func (g *gatewayTest) use(global string, stop bool) {
	g.t.Helper()
	if stop {
		if err := caddy.Stop(); err != nil {
			g.t.Fatal(err)
		}
	}
	api := g.global[strings.LastIndex(g.global, "api "):]
	g.global = "app " + testApp + " " + testSecret + "\n" + global + "\n" + api
	if err := load(g.caddyfile()); err != nil {
		g.t.Fatal(err)
	}
}

// F5: sessions are in memory, then in Redis, then in memory again. What was logged
// out or denied in Redis must not come back from what memory held, neither from the
// snapshot of a stop nor from a process that went on.
func TestF5AnotherStoreMakesMemoryOutOfDate(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	for name, stop := range map[string]bool{"stop and start": true, "reload": false} {
		t.Run(name, func(t *testing.T) {
			inMemory, inRedis := "signing_key "+testKey, redisGlobal(server, "")
			g := newGateway(t, withGlobal(inMemory), withAdmin)
			loggedOut, denied := g.login(userA), g.login(wechattest.User{OpenID: openIDB})
			g.use(inMemory, stop)
			g.wantToken(loggedOut, "", http.StatusOK) // nobody else has begun
			g.use(inRedis, stop)
			if resp, body := g.post("/wechat/logout", "", bearerHeader(loggedOut)); resp.StatusCode != http.StatusNoContent {
				t.Fatalf("logout: %d %s", resp.StatusCode, body)
			}
			if status, body := g.operate(http.MethodPost, "/wechat/users/deny",
				`{"appid":"`+testApp+`","openid":"`+openIDB+`","until":"2999-01-01T00:00:00Z"}`); status != http.StatusOK {
				t.Fatalf("deny: %d %s", status, body)
			}
			g.use(inMemory, stop)
			g.wantToken(loggedOut, "session_ended", http.StatusUnauthorized)
			g.wantToken(denied, "session_ended", http.StatusUnauthorized)
			fresh := g.login(userA)
			g.use(inMemory, stop)
			g.wantToken(fresh, "", http.StatusOK)
		})
	}
}

// O1, O10: a configuration with another store does not start, because its port is in
// use. The one before goes on, and whoever was logged in or denied there still is after
// the next change, and after a stop.
func TestRefusedConfigurationMakesMemoryNotOutOfDate(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	inMemory := "signing_key " + testKey
	g := newGateway(t, withGlobal(inMemory), withAdmin)
	live, denied := g.login(userA), g.login(wechattest.User{OpenID: openIDB})
	if status, body := g.operate(http.MethodPost, "/wechat/users/deny",
		`{"appid":"`+testApp+`","openid":"`+openIDB+`","until":"2999-01-01T00:00:00Z"}`); status != http.StatusOK {
		t.Fatalf("deny: %d %s", status, body)
	}
	global := g.global
	api := global[strings.LastIndex(global, "api "):]
	for range 10 { // Caddy starts its apps in no particular order
		g.global = "app " + testApp + " " + testSecret + "\n" + redisGlobal(server, "") + "\n" + api
		g.sites = "http://" + taken.Addr().String() + " {\nbind 127.0.0.1\nrespond ok\n}"
		if err := load(g.caddyfile()); err == nil {
			t.Fatal("a port that is in use can be listened on")
		}
	}
	g.global, g.sites = global, ""
	still := func(when string) {
		t.Helper()
		g.wantStatus("logged in, "+when, live, http.StatusOK)
		g.wantToken(denied, "session_ended", http.StatusUnauthorized)
		if record, err := activeApp(t).Store().Sessions().User(t.Context(), testApp, openIDB); err != nil || record.DeniedUntil.IsZero() {
			t.Errorf("%s: the denial is forgotten, %v", when, err)
		}
	}
	still("under the configuration before")
	g.use(inMemory, false)
	still("after the next change")
	g.use(inMemory, true)
	still("after a stop")
}

// O1, O10: neither does one that does not start end sessions by a lower bound. One that
// does, ends them when it has run for a moment.
func TestRefusedConfigurationEndsNoSession(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	g := newGateway(t)
	older := g.login(userA)
	newer := g.login(wechattest.User{OpenID: openIDB})
	g.global = "store memory {\nmax_sessions 1\n}\n" + g.global
	for range 10 { // Caddy starts its apps in no particular order
		g.sites = "http://" + taken.Addr().String() + " {\nbind 127.0.0.1\nrespond ok\n}"
		if err := load(g.caddyfile()); err == nil {
			t.Fatal("a port that is in use can be listened on")
		}
	}
	g.sites = ""
	g.wantToken(older, "", http.StatusOK)
	if err := load(g.caddyfile()); err != nil {
		t.Fatal(err)
	}
	activeApp(t).Store().Tend()
	g.wantToken(older, "session_ended", http.StatusUnauthorized)
	g.wantToken(newer, "", http.StatusOK)
}

// F5: two processes on one storage. What the first one knew when it stopped does not
// count any more: the second has had its own logouts.
func TestF5AnotherProcessMakesASnapshotOutOfDate(t *testing.T) {
	g := newGateway(t)
	storage := t.TempDir()
	first := g.spawn(storage)
	token := first.login(userA)
	second := g.spawn(storage)
	first.end(os.Interrupt)
	if resp, body := second.post("/wechat/logout", "", bearerHeader(token)); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("logout: %d %s", resp.StatusCode, body)
	}
	second.end(os.Kill)
	third := g.spawn(storage)
	third.wantToken(token, "session_ended", http.StatusUnauthorized)
	kept := third.login(userA)
	third.end(os.Interrupt)
	fourth := g.spawn(storage)
	fourth.wantToken(kept, "", http.StatusOK)
}

// A snapshot that another owner wrote does not count, whenever it was written, and is
// removed all the same.
func TestF5SnapshotOfAnotherOwner(t *testing.T) {
	g := newGateway(t)
	token := g.login(userA)
	owner := filepath.Join(g.storage, "wechat", "sessions.owner")
	for name, change := range map[string]func(snapshot string) error{
		"another owner": func(string) error { return os.WriteFile(owner, []byte(rand.Text()), 0o600) },
		"no owner":      func(string) error { return os.Remove(owner) },
		"empty owner":   func(string) error { return os.Truncate(owner, 0) },
		"another label": func(snapshot string) error {
			data, err := os.ReadFile(snapshot)
			if err != nil {
				return err
			}
			_, sealed, _ := strings.Cut(string(data), "\n")
			return os.WriteFile(snapshot, []byte("\n"+sealed), 0o600)
		},
	} {
		var path string
		g.restart(func(snapshot string) {
			path = snapshot
			if err := change(snapshot); err != nil {
				t.Fatal(name, err)
			}
		})
		g.wantStatus(name, token, http.StatusUnauthorized)
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s: the snapshot is still there: %v", name, err)
		}
		token = g.login(userA)
	}
}
