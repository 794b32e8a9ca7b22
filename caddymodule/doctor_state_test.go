package caddymodule_test

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/doctor"
	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

func TestDoctorOnStores(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	t.Setenv("WECHAT_TEST_WRONG", "wrong")
	redis := func(addr, more string) func(*gatewayTest) {
		return withGlobal("signing_key " + testKey + "\nstore redis " + addr + " {\n" + more + "\n}")
	}
	status, findings := newPatient(t, redis(server.Addr, "password {env.WECHAT_TEST_REDIS}")).examine()
	wantFinding(t, "redis", findings, "store", doctor.OK, "redis")
	wantFinding(t, "redis", findings, "headers", doctor.OK, "once")
	if status != 0 {
		t.Errorf("redis: status %d", status)
	}
	for name, option := range map[string]func(*gatewayTest){
		"wrong password": redis(server.Addr, "password {env.WECHAT_TEST_WRONG}"),
		"away":           redis("127.0.0.1:1", ""),
		"away, grace":    redis("127.0.0.1:1", "on_failure grace 1m"),
	} {
		status, findings := newPatient(t, option).examine()
		wantFinding(t, name, findings, "store", doctor.Fail, "cannot be used")
		wantFinding(t, name, findings, doctor.CheckCredentials, doctor.OK)
		if status != 1 {
			t.Errorf("%s: status %d", name, status)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, findings = newPatient(
		t, withGlobal("signing_key {env.WECHAT_TEST_KEY}"), func(g *gatewayTest) { g.storage = filepath.Join(file, "storage") },
	).examine()
	wantFinding(t, "storage that cannot be", findings, "store", doctor.Fail, "memory", "storage")
}

func TestDoctorOnStoredKeys(t *testing.T) {
	p := newPatient(t)
	folder := filepath.Join(p.storage, "wechat")
	status, findings := p.examine()
	wantFinding(t, "no keys", findings, "keys", doctor.Warn, "first start")
	wantFinding(t, "no keys", findings, "headers", doctor.OK)
	if _, err := os.Stat(folder); status != 0 || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("status %d; left behind in storage: %s, %v", status, folder, err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "keys.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, findings = p.examine()
	wantFinding(t, "damaged", findings, "keys", doctor.Fail, "damaged")
	wantFinding(t, "damaged", findings, "config", doctor.Fail, "keys")
	if status != 1 {
		t.Errorf("damaged: status %d", status)
	}
}

// The doctor may run beside the gateway, on its configuration.
func TestDoctorLeavesARunningGatewayAlone(t *testing.T) {
	g := newGateway(t)
	token := g.login(userA)
	p := &patient{gatewayTest: g}
	status, findings := p.examine()
	if status != 0 {
		t.Errorf("status %d: %+v", status, findings)
	}
	wantFinding(t, "running", findings, "keys", doctor.OK, "1 key ", "storage")
	if seen := g.app.requests(); len(seen) != 0 {
		t.Errorf("the real app got %d requests", len(seen))
	}
	if resp, _ := g.do(http.MethodGet, "/", "", bearerHeader(token)); resp.StatusCode != http.StatusOK {
		t.Errorf("the session of before: %d", resp.StatusCode)
	}
	if sessions, _ := memorySessions(t); sessions != 1 {
		t.Errorf("%d sessions, want the one of before", sessions)
	}
}

func memorySessions(t *testing.T) (sessions, users int) {
	t.Helper()
	store, ok := activeApp(t).Store().Sessions().(interface{ Len() (sessions, users int) })
	if !ok {
		t.Fatal("not the memory store")
	}
	return store.Len()
}

func TestDoctorAsAProcess(t *testing.T) {
	binary, err := caddyBinary()
	if err != nil {
		t.Fatal(err)
	}
	p := newPatient(t, withGlobal("signing_key {env.WECHAT_TEST_KEY}"))
	run := func(args ...string) (int, string, string) {
		var out, errout bytes.Buffer
		cmd := exec.Command(binary, append([]string{"wechat", "doctor"}, args...)...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Dir(p.file()), &out, &errout
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		wantNoSecrets(t, out.String()+errout.String())
		return cmd.ProcessState.ExitCode(), out.String(), errout.String()
	}
	status, out, errout := run()
	if status != 0 || errout != "" || strings.Count(out, "\n") != 10 || strings.Count(out, "ok    ") != 10 {
		t.Errorf("status %d, errors %q:\n%s", status, errout, out)
	}
	answer := wechattest.Errcode(40125)
	p.wechat.Always(&answer)
	if status, out, errout := run(); status != 1 || errout != "" ||
		!strings.Contains(out, "fail  credentials "+testApp+": the AppSecret is wrong") {
		t.Errorf("wrong secret: status %d, errors %q:\n%s", status, errout, out)
	}
	if status, out, errout := run("--config", "missing"); status != 2 || out != "" || !strings.Contains(errout, "missing") {
		t.Errorf("no file: status %d, errors %q:\n%s", status, errout, out)
	}
}

// What root writes into the service's folder, the service cannot read.
func TestDoctorAsRootInTheServicesFolder(t *testing.T) {
	p := newPatient(t)
	other := os.Geteuid() == 0
	if other {
		if err := os.Chown(p.storage, 65532, 65532); err != nil {
			t.Fatal(err)
		}
	}
	status, findings := p.examine("--offline")
	entries, err := os.ReadDir(p.storage)
	if err != nil {
		t.Fatal(err)
	}
	if !other { // nobody else needs to be kept from it
		wantFinding(t, "own folder", findings, "config", doctor.OK)
		return
	}
	wantFinding(t, "another's folder", findings, "config", doctor.Fail, "another user", "run this command as that user")
	if status != 1 || len(entries) != 0 {
		t.Errorf("status %d; written: %v", status, entries)
	}
}
