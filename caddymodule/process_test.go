package caddymodule_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// caddyBinary builds cmd/caddy once for the tests that need processes.
var caddyBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "caddy")
	if err != nil {
		return "", err
	}
	binaryDir = dir
	binary := filepath.Join(dir, "caddy")
	out, err := exec.Command("go", "build", "-o", binary, "github.com/caddy-wechat/gateway/cmd/caddy").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return binary, nil
})

// binaryDir is removed when all tests are over.
var binaryDir string

func TestMain(m *testing.M) {
	_ = os.Setenv("LC_ALL", "C") // commands speak the language of the locale
	code := m.Run()
	if binaryDir != "" {
		_ = os.RemoveAll(binaryDir)
	}
	os.Exit(code)
}

// process is a gateway of its own, from the same configuration as others.
type process struct {
	*gatewayTest
	cmd *exec.Cmd
	log string
}

// spawn starts a process with the configuration of g on another address, with a
// storage of its own.
func (g *gatewayTest) spawn(storage string) *process {
	g.t.Helper()
	binary, err := caddyBinary()
	if err != nil {
		g.t.Fatal(err)
	}
	other := *g
	other.addr, other.storage = freeAddr(g.t), storage
	p := &process{gatewayTest: &other, log: filepath.Join(g.t.TempDir(), "caddy.log")}
	config := filepath.Join(g.t.TempDir(), "Caddyfile")
	if err := os.WriteFile(config, []byte(p.caddyfile()), 0o600); err != nil {
		g.t.Fatal(err)
	}
	log, err := os.Create(p.log)
	if err != nil {
		g.t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command(binary, "run", "--config", config, "--adapter", "caddyfile")
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+storage, "XDG_CONFIG_HOME="+storage)
	if err := p.cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { p.end(os.Kill) })
	for range 400 {
		if resp, err := testClient.Get(p.url("/wechat/nothing")); err == nil {
			resp.Body.Close()
			return p
		}
		time.Sleep(25 * time.Millisecond) // another process: nothing to wait on but its port
	}
	text, _ := os.ReadFile(p.log)
	g.t.Fatalf("the process does not answer:\n%s", text)
	return nil
}

// end sends a signal and waits.
func (p *process) end(signal os.Signal) {
	_ = p.cmd.Process.Signal(signal)
	_ = p.cmd.Wait()
}

// O1 over processes: a graceful stop keeps the sessions of memory, a kill loses
// them and nothing else.
func TestProcessRestartKeepsMemorySessions(t *testing.T) {
	g := newGateway(t)
	storage := t.TempDir()
	status := func(p *process, token string) int {
		resp, _ := p.do(http.MethodGet, "/", "", bearerHeader(token))
		return resp.StatusCode
	}
	first := g.spawn(storage)
	live, ended := first.login(userA), first.login(userA)
	first.post("/wechat/logout", "", bearerHeader(ended))
	first.end(os.Interrupt)
	second := g.spawn(storage)
	if got := fmt.Sprint(status(second, live), status(second, ended)); got != "200 401" {
		log, _ := os.ReadFile(first.log)
		t.Errorf("after a graceful stop: %s\n%s", got, log)
	}
	second.post("/wechat/logout", "", bearerHeader(live))
	second.end(os.Kill)
	third := g.spawn(storage)
	if got := status(third, live); got != http.StatusUnauthorized {
		t.Errorf("after a kill, a session that was logged out: %d", got)
	}
	if got := status(third, third.login(userA)); got != http.StatusOK {
		t.Errorf("after a kill, a new login: %d", got)
	}
}
