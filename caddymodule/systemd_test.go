package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// unitFile is docs/deploy/caddy-wechat.service: the values by their keys.
func unitFile(t *testing.T, text string) map[string]string {
	t.Helper()
	values := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^(\w+)=(.*)$`).FindAllStringSubmatch(text, -1) {
		values[m[1]] = m[2]
	}
	return values
}

// systemd itself finds nothing wrong with the unit, and calls its exposure low.
func TestUnitIsValid(t *testing.T) {
	analyze := tool(t, "systemd-analyze")
	// The program of the unit is not installed here.
	text := strings.ReplaceAll(readDoc(t, "docs/deploy/caddy-wechat.service"), "/usr/bin/caddy-wechat", "/bin/true")
	unit := filepath.Join(t.TempDir(), "caddy-wechat.service")
	if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--threshold=20", "--no-pager", unit).CombinedOutput(); err != nil {
		t.Errorf("exposed by more than 2.0: %v\n%s", err, out)
	}
}

// service does what systemd does with the unit, with another folder as the root.
type service struct {
	t        *testing.T
	unit     map[string]string
	env      []string
	notified *net.UnixConn
	cmd      *exec.Cmd
	log      string
}

func (s *service) start() {
	s.t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command("sh", "-c", "umask "+s.unit["UMask"]+"; exec "+s.unit["ExecStart"])
	s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = s.env, log, log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	running := s.cmd
	s.t.Cleanup(func() { _ = running.Process.Kill() })
	s.told("READY=1")
}

// told waits for a message to systemd.
func (s *service) told(want string) {
	s.t.Helper()
	if err := s.notified.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		s.t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	for {
		n, err := s.notified.Read(buffer)
		if err != nil {
			log, _ := os.ReadFile(s.log)
			s.t.Fatalf("waiting for %s: %v\n%s", want, err, log)
		}
		if slices.Contains(strings.Split(string(buffer[:n]), "\n"), want) {
			return
		}
	}
}

func (s *service) reload() error {
	cmd := exec.CommandContext(s.t.Context(), "sh", "-c", s.unit["ExecReload"])
	cmd.Env = s.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return err
}

// stop wants a clean end before systemd would kill.
func (s *service) stop() {
	s.t.Helper()
	limit, err := time.ParseDuration(s.unit["TimeoutStopSec"])
	if err != nil {
		s.t.Fatal(err)
	}
	kill := time.AfterFunc(limit, func() { _ = s.cmd.Process.Kill() })
	defer kill.Stop()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	s.told("STOPPING=1")
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("the stop: %v", err)
	}
}

// A team that follows docs/deploy/README.md, command by command, has a service that
// starts, logs in, reloads, refuses a broken configuration, stops in time and keeps the
// sessions. The test stands for root and systemd, with another folder as the root.
func TestSystemdPageLeadsToAService(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no systemd here to stand for")
	}
	binary, err := caddyBinary()
	if err != nil {
		t.Fatal(err)
	}
	root, bin, work := t.TempDir(), t.TempDir(), t.TempDir()
	moved := strings.NewReplacer("/usr/bin/", root+"/usr/bin/", "/etc/", root+"/etc/", "/var/lib/", root+"/var/lib/", " -g caddy-wechat", "")
	for _, dir := range []string{"usr/bin", "etc/systemd/system", "var/lib"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	docs, err := filepath.Abs("../docs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(docs, filepath.Join(work, "docs")); err != nil {
		t.Fatal(err)
	}
	asked := filepath.Join(work, "asked")
	for name, script := range map[string]string{
		"go":        `cp "` + binary + `" "$4"`,
		"sudo":      `[ "$1" != -u ] || shift 2; exec env "$@"`,
		"useradd":   `echo "useradd $*" >>"` + asked + `"`,
		"systemctl": `echo "systemctl $*" >>"` + asked + `"`,
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\nset -e\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	path := "PATH=" + bin + ":" + filepath.Join(root, "usr/bin") + ":" + os.Getenv("PATH")
	run := func(commands, input string) {
		t.Helper()
		shell := exec.CommandContext(t.Context(), "sh", "-euc", moved.Replace(commands))
		shell.Dir, shell.Stdin, shell.Env = work, strings.NewReader(input), append(os.Environ(), path)
		if out, err := shell.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", commands, err, out)
		}
	}

	// The page, up to the start.
	_, section, _ := strings.Cut(readDoc(t, "docs/deploy/README.md"), "\n## As a systemd service\n")
	section, _, _ = strings.Cut(section, "\n## ")
	found := fence.FindAllStringSubmatch(section, -1)
	kinds := ""
	for _, m := range found {
		kinds += m[1] + " "
	}
	if kinds != "sh sh caddyfile sh sh " {
		t.Fatalf("the page has the blocks %s", kinds)
	}
	site, simulator, admin := freeAddr(t), freeAddr(t), freeAddr(t)
	run(found[0][2], "")
	run(found[1][2], "simulated-secret\n")
	caddyfile := moved.Replace(found[2][2])
	caddyfile = strings.Replace(caddyfile, "{\n", "{\n\tauto_https off\n\tadmin "+admin+"\n", 1)
	caddyfile = strings.Replace(caddyfile, "\twechat {\n", "\twechat {\n\t\tapi http://"+simulator+"\n", 1) +
		"http://" + site + " {\n\twechat_auth\n\trespond {header.X-OpenID}\n}\nhttp://" + simulator + " {\n\tbind 127.0.0.1\n\twechat_simulator {\n\t\tapp " + testApp + " simulated-secret\n\t}\n}\n"
	config := filepath.Join(root, "etc/caddy-wechat/Caddyfile")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(caddyfile)
	run(found[3][2], "")
	if got, err := os.ReadFile(asked); err != nil ||
		!strings.HasSuffix(string(got), "systemctl daemon-reload\nsystemctl enable --now caddy-wechat\n") ||
		!strings.HasPrefix(string(got), "useradd --system ") {
		t.Fatalf("asked of root: %s %v", got, err)
	}

	// systemd's part.
	text, err := os.ReadFile(filepath.Join(root, "etc/systemd/system/caddy-wechat.service"))
	if err != nil {
		t.Fatal(err)
	}
	unit := unitFile(t, moved.Replace(string(text)))
	state := filepath.Join(root, "var/lib", unit["StateDirectory"])
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	notify := filepath.Join(t.TempDir(), "s")
	notified, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notified.Close()
	s := &service{
		t: t, unit: unit, notified: notified, log: filepath.Join(work, "log"),
		env: append(strings.Fields(unit["Environment"]), "NOTIFY_SOCKET="+notify, "PATH="+os.Getenv("PATH")),
	}
	s.start()
	ask := func(method, url, token, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(answer)
	}
	_, code := ask(http.MethodPost, simulator+"/simulator/code?user=alice", "", "")
	status, answer := ask(http.MethodPost, site+"/wechat/login", "", code)
	var grant struct{ Token string }
	if err := json.Unmarshal([]byte(answer), &grant); err != nil || status != http.StatusOK {
		t.Fatalf("login: %d %s", status, answer)
	}
	passes := func(when string) {
		t.Helper()
		if status, answer := ask(http.MethodGet, site+"/", grant.Token, ""); status != http.StatusOK || answer == "" {
			t.Errorf("%s: %d %s", when, status, answer)
		}
	}
	passes("after the login")
	run(found[4][2], "") // the doctor

	if err := s.reload(); err != nil {
		t.Errorf("reload: %v", err)
	}
	passes("after a reload")
	write(strings.Replace(caddyfile, "\twechat_auth\n", "\twechat_auth {\n\t\tnonsense\n\t}\n", 1))
	if err := s.reload(); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("a broken configuration: %v", err)
	}
	passes("after a reload that was refused")
	write(caddyfile)
	s.stop()
	s.start()
	passes("after a restart")
	s.stop()
	// Nobody else reads what the service keeps.
	keys, err := os.Stat(filepath.Join(state, "caddy/wechat/keys.json"))
	if err != nil || keys.Mode().Perm() != 0o600 {
		t.Errorf("the signing keys: %v, %v", keys, err)
	}
}
