package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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

// Caddy starts its apps in no particular order: a server may have requests before
// the sessions' own app has started, and those of before the restart are not lost
// for them.
func TestFirstRequestFindsSessionsBeforeTheStart(t *testing.T) {
	g := newGateway(t)
	token := g.login(userA)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	config, _, err := adapt(g.caddyfile())
	if err != nil {
		t.Fatal(err)
	}
	var parsed caddy.Config
	if err := json.Unmarshal(config, &parsed); err != nil {
		t.Fatal(err)
	}
	// The apps come in a context that can be cancelled.
	apps := parsed.AppsRaw
	parsed.AppsRaw = nil
	loaded, err := caddy.ProvisionContext(&parsed)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(loaded)
	defer cancel()
	parsed.AppsRaw = apps
	module, err := ctx.App("http")
	if err != nil {
		t.Fatal(err)
	}
	site := httptest.NewServer(module.(*caddyhttp.App).Servers["srv0"])
	defer site.Close()
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
	cancel()
	if _, err := os.Stat(filepath.Join(g.storage, filepath.FromSlash(snapshotFile))); err != nil {
		t.Errorf("the store is still in use, as nothing was kept at the end: %v", err)
	}
}
