package caddymodule_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// startExample starts Caddyfile.example as a process on ports of its own and without
// the admin endpoint's. It returns the addresses by the port that the file names, and
// where its log is.
func startExample(t *testing.T) (addrs map[string]string, logFile string) {
	t.Helper()
	binary, err := caddyBinary()
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile(filepath.Join("..", "Caddyfile.example"))
	if err != nil {
		t.Fatal(err)
	}
	moves := []string{"auto_https off", "auto_https off\n\tadmin off\n\tpersist_config off"}
	addrs = make(map[string]string)
	for _, port := range []string{"8080", "9080", "9081"} {
		addrs[port] = freeAddr(t)
		_, free, err := net.SplitHostPort(addrs[port])
		if err != nil {
			t.Fatal(err)
		}
		moves = append(moves, ":"+port, ":"+free)
	}
	dir := t.TempDir()
	config, logFile := filepath.Join(dir, "Caddyfile"), filepath.Join(dir, "log")
	if err := os.WriteFile(config, []byte(strings.NewReplacer(moves...).Replace(string(example))), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(logFile)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.CommandContext(t.Context(), binary, "run", "--config", config)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return addrs, logFile
}

// Whoever starts the example with the README's command is told where to click.
func TestExampleSaysWhereThePlaygroundIs(t *testing.T) {
	addrs, logFile := startExample(t)
	playground := "http://" + addrs["9080"] + "/"
	told := regexp.MustCompile(`(?m)^.*(?:\binfo\b|INFO).*open the playground in a browser.*"url": ?"([^"]+)".*$`)
	var found [][]string
	eventually(t, "the line with the address", func() bool {
		data, err := os.ReadFile(logFile)
		if err != nil {
			t.Fatal(err)
		}
		found = told.FindAllStringSubmatch(string(data), -1)
		return len(found) > 0
	})
	if len(found) != 1 || found[0][1] != playground {
		t.Fatalf("told %q, want %s once", found, playground)
	}
	resp, err := http.Get(playground)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(page), "<html") {
		t.Errorf("the playground: %s, %v, %.200s", resp.Status, err, page)
	}
}

// pattern matches a text in which an ellipsis stands for what differs.
func pattern(text string) *regexp.Regexp {
	text = strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(text)), "<HMAC-SHA-256 in hex>", "[0-9a-f]{64}")
	return regexp.MustCompile("^" + strings.ReplaceAll(text, "…", ".*") + "$")
}

// What the README has people type prints what the README says, in both languages, from
// the first login to the logout.
func TestReadmeSessionPrintsWhatItSays(t *testing.T) {
	for _, program := range []string{"bash", "curl", "sed", "tee"} {
		tool(t, program)
	}
	addrs, logFile := startExample(t)
	eventually(t, "the example", func() bool {
		conn, err := net.Dial("tcp", addrs["8080"])
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
	for _, page := range []string{"README.md", "README.zh-CN.md"} {
		type step struct{ command, want string }
		var steps []step
		for _, b := range blocksOf(t, page) {
			if b.language != "console" {
				continue
			}
			for line := range strings.Lines(b.text) {
				if command, ok := strings.CutPrefix(line, "$ "); ok {
					steps = append(steps, step{command: command})
				} else if len(steps) == 0 {
					t.Fatalf("%v prints before anything was typed", b)
				} else {
					steps[len(steps)-1].want += line
				}
			}
		}
		if len(steps) < 8 {
			t.Fatalf("%s has %d commands", page, len(steps))
		}
		script := ""
		for _, s := range steps {
			script += s.command + "echo; echo ----\n"
		}
		script = strings.NewReplacer("localhost:8080", addrs["8080"], "localhost:9080", addrs["9080"]).Replace(script)
		shell := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
		shell.Dir = t.TempDir()
		out, err := shell.CombinedOutput()
		printed := strings.Split(string(out), "----\n")
		if err != nil || len(printed) != len(steps)+1 {
			log, _ := os.ReadFile(logFile)
			t.Fatalf("%s: %v\n%s\n%s", page, err, out, log)
		}
		for i, s := range steps {
			if got := strings.TrimSpace(printed[i]); !pattern(s.want).MatchString(got) {
				t.Errorf("%s: %s\nprints\n%s\nand the page says\n%s", page, s.command, got, s.want)
			}
		}
	}
}
