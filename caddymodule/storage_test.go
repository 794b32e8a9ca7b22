package caddymodule_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/doctor"
	"github.com/caddy-wechat/gateway/internal/keyring"
)

// Kubernetes gives the files of a volume to a group at every mount (fsGroup): the
// second start must not be refused, and says what it saw.
func TestKeysThatAGroupCanReadStart(t *testing.T) {
	logged, read := withLog(t, "WARN")
	g := newGateway(t, logged)
	token := g.login(userA)
	file := filepath.Join(g.storage, filepath.FromSlash(keyring.StorageKey))
	g.restart(func(string) {
		if err := os.Chmod(file, 0o660); err != nil {
			t.Fatal(err)
		}
	})
	g.wantToken(token, "", http.StatusOK)
	if lines := linesWith(read(), "group", file, `"mode":"0660"`); len(lines) != 1 {
		t.Errorf("warnings: %q", lines)
	}
	p := newPatient(t, func(p *gatewayTest) { p.storage = g.storage })
	_, findings := p.examine()
	wantFinding(t, "0660", findings, "keys", doctor.Warn, "0660", "fsGroup")
}

// A storage that cannot be written to loses the sessions at the next stop, so it
// shows before.
func TestStorageThatCannotBeWrittenShows(t *testing.T) {
	logged, read := withLog(t, "INFO")
	g := newGateway(t, withAdmin, logged)
	app := activeApp(t)
	see := func(up, text string) {
		t.Helper()
		app.ProbeStorage(t.Context())
		status, body := g.operate(http.MethodGet, "/wechat/ready", "")
		if status != http.StatusOK || !strings.Contains(body, text) {
			t.Errorf("ready: %d %s", status, body)
		}
		if _, body := g.operate(http.MethodGet, "/wechat/status", ""); !strings.Contains(body, text) {
			t.Errorf("status: %s", body)
		}
		if got := g.metric("caddy_wechat_auth_storage_up"); got != up {
			t.Errorf("storage_up is %q, want %q", got, up)
		}
	}
	see("1", `"storage":"ok"`)
	folder := filepath.Join(g.storage, "wechat")
	if _, err := os.Stat(filepath.Join(g.storage, "wechat", "storage.probe")); !os.IsNotExist(err) {
		t.Errorf("the probe stays: %v", err)
	}
	// A folder that is a file cannot be written to, not even by root.
	if err := errors.Join(os.Rename(folder, folder+".away"), os.WriteFile(folder, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	see("0", `"storage":"writing to Caddy's storage: `)
	see("0", `"storage":"writing to Caddy's storage: `)
	if err := errors.Join(os.Remove(folder), os.Rename(folder+".away", folder)); err != nil {
		t.Fatal(err)
	}
	see("1", `"storage":"ok"`)
	log := read()
	if bad, good := linesWith(log, "storage cannot be written", `"level":"error"`), linesWith(log, "written to again"); len(bad) != 1 ||
		len(good) != 1 {
		t.Errorf("log: %q, %q", bad, good)
	}
}

// Nothing is written only to look.
func TestValidateAndDoctorDoNotProbeTheStorage(t *testing.T) {
	p := newPatient(t, withGlobal("signing_key {env.WECHAT_TEST_KEY}"))
	if err := validate(t, p.caddyfile()); err != nil {
		t.Fatal(err)
	}
	p.examine()
	if entries, err := os.ReadDir(filepath.Join(p.storage, "wechat")); !os.IsNotExist(err) {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// Logs and PHP's REMOTE_USER name users by a hash, which must not change with the
// keys that sign tokens.
func TestUserHashStaysWhenSigningKeysChange(t *testing.T) {
	const newer, newest = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
	g := newGateway(t, withAdmin, withGlobal("signing_key "+testKey), withSite("wechat_auth\nreverse_proxy 127.0.0.1:1"))
	hash := func() string {
		t.Helper()
		var list struct {
			UserHash string `json:"user_hash"`
		}
		g.must(http.MethodPost, "/wechat/sessions/list", targetA, &list)
		return list.UserHash
	}
	first, keys := hash(), testKey
	for _, next := range []string{newer + " " + testKey, newer, newest + " " + newer, newest} {
		g.global = strings.Replace(g.global, "signing_key "+keys, "signing_key "+next, 1)
		keys = next
		if err := load(g.caddyfile()); err != nil {
			t.Fatal(err)
		}
		if got := hash(); got != first || len(got) != 16 {
			t.Errorf("with signing_key %s the hash is %s, was %s", next, got, first)
		}
	}
	file := filepath.Join(g.storage, filepath.FromSlash(keyring.UserHashKey))
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
