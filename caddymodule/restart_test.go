package caddymodule_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Where sessions are kept over a stop.
const (
	snapshotFile = "wechat/sessions.snapshot"
	damagedFile  = "wechat/sessions.snapshot.damaged"
)

// restart stops the gateway, lets between see its storage, and starts it again.
func (g *gatewayTest) restart(between func(snapshot string)) {
	g.t.Helper()
	if err := caddy.Stop(); err != nil {
		g.t.Fatal(err)
	}
	if between != nil {
		between(filepath.Join(g.storage, filepath.FromSlash(snapshotFile)))
	}
	if err := load(g.caddyfile()); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gatewayTest) wantStatus(name, token string, want int) {
	g.t.Helper()
	if resp, body := g.do(http.MethodGet, "/", "", bearerHeader(token)); resp.StatusCode != want {
		g.t.Errorf("%s: %d %s, want %d", name, resp.StatusCode, body, want)
	}
}

// A graceful stop loses nobody, and what is written of the sessions shows
// nothing and is used once.
func TestRestartKeepsSessions(t *testing.T) {
	g := newGateway(t)
	live, ended := g.login(userA), g.login(userA)
	if resp, _ := g.post("/wechat/logout", "", bearerHeader(ended)); resp.StatusCode != http.StatusNoContent {
		t.Fatal(resp.StatusCode)
	}
	var kept []byte
	g.restart(func(snapshot string) {
		data, err := os.ReadFile(snapshot)
		if err != nil {
			t.Fatal(err)
		}
		kept = data
		if strings.Contains(string(data), openIDA) || strings.Contains(string(data), testApp) {
			t.Error("V3: the snapshot shows who is in it")
		}
		if info, err := os.Stat(snapshot); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	})
	g.wantStatus("live before the restart", live, http.StatusOK)
	g.wantStatus("logged out before the restart", ended, http.StatusUnauthorized)
	if _, err := os.Stat(filepath.Join(g.storage, filepath.FromSlash(snapshotFile))); !os.IsNotExist(err) {
		t.Errorf("the snapshot is still there: %v", err)
	}
	// O5, V4: a session that ends now stays ended, although an older snapshot
	// is put back by another process.
	if resp, _ := g.post("/wechat/logout", "", bearerHeader(live)); resp.StatusCode != http.StatusNoContent {
		t.Fatal(resp.StatusCode)
	}
	snapshot := filepath.Join(g.storage, filepath.FromSlash(snapshotFile))
	if err := os.WriteFile(snapshot, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	activeApp(t).Store().Tend()
	if _, err := os.Stat(snapshot); !os.IsNotExist(err) {
		t.Errorf("another process's snapshot is still there: %v", err)
	}
	g.restart(nil)
	g.wantStatus("logged out after the restart", live, http.StatusUnauthorized)
}

// O1: what goes on in the background every minute may be under way, or just due, when the
// gateway stops. It must not remove what was kept a moment ago.
func TestStopKeepsSessionsWhoeverLooksAfterThem(t *testing.T) {
	g := newGateway(t)
	token := g.login(userA)
	store := activeApp(t).Store()
	g.restart(func(snapshot string) {
		store.Tend()
		if _, err := os.Stat(snapshot); err != nil {
			t.Errorf("the sessions that were kept are gone: %v", err)
		}
	})
	g.wantStatus("live before the restart", token, http.StatusOK)
}

func TestDamagedSnapshotIsSetAside(t *testing.T) {
	g := newGateway(t)
	token := g.login(userA)
	g.restart(func(snapshot string) {
		if err := os.Truncate(snapshot, 20); err != nil {
			t.Fatal(err)
		}
	})
	g.wantStatus("of a damaged snapshot", token, http.StatusUnauthorized)
	if info, err := os.Stat(filepath.Join(g.storage, filepath.FromSlash(damagedFile))); err != nil || info.Size() != 20 {
		t.Errorf("not set aside: %v", err)
	}
	g.wantStatus("a new login", g.login(userA), http.StatusOK)
}

// unstarted stops the gateway and returns what has the next requests: Caddy starts its
// apps in no particular order, so a server may have them before the sessions' own app has
// started. end ends it as a stop does.
func (g *gatewayTest) unstarted() (site *httptest.Server, end func()) {
	g.t.Helper()
	if err := caddy.Stop(); err != nil {
		g.t.Fatal(err)
	}
	config, _, err := adapt(g.caddyfile())
	if err != nil {
		g.t.Fatal(err)
	}
	var parsed caddy.Config
	if err := json.Unmarshal(config, &parsed); err != nil {
		g.t.Fatal(err)
	}
	// The apps come in a context that can be cancelled.
	apps := parsed.AppsRaw
	parsed.AppsRaw = nil
	loaded, err := caddy.ProvisionContext(&parsed)
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(loaded)
	g.t.Cleanup(cancel)
	parsed.AppsRaw = apps
	module, err := ctx.App("http")
	if err != nil {
		g.t.Fatal(err)
	}
	for _, server := range module.(*caddyhttp.App).Servers {
		if slices.ContainsFunc(server.Listen, func(listen string) bool {
			return strings.HasSuffix(listen, g.addr[strings.LastIndexByte(g.addr, ':'):])
		}) {
			site = httptest.NewServer(server)
			g.t.Cleanup(site.Close)
			return site, cancel
		}
	}
	g.t.Fatal("no server of the site")
	return nil, nil
}

// Those of before the restart are not lost for the first requests.
func TestFirstRequestFindsSessionsBeforeTheStart(t *testing.T) {
	g := newGateway(t)
	token := g.login(userA)
	site, end := g.unstarted()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site.URL+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = g.addr
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := testClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("before the start: %d", resp.StatusCode)
	}
	end()
	if _, err := os.Stat(filepath.Join(g.storage, filepath.FromSlash(snapshotFile))); err != nil {
		t.Errorf("the store is still in use, as nothing was kept at the end: %v", err)
	}
}

// Neither are they for the first call of an app: it would be told that its user is not
// logged in, and a new session_key of that user would be kept by nobody.
func TestFirstCallFindsSessionsBeforeTheStart(t *testing.T) {
	g, _, login := userAPI(t)
	login(firstKey)
	site, _ := g.unstarted()
	resp, err := testClient.Post(site.URL+"/gateway/signature", "application/json", strings.NewReader(`{"openid":"`+openIDA+`","data":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || !strings.Contains(string(body), hmacHex(firstKey, "x")) {
		t.Errorf("before the start: %d %s, %v", resp.StatusCode, body, err)
	}
}
