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

// Whoever starts the example with the README's command is told where to click.
func TestExampleSaysWhereThePlaygroundIs(t *testing.T) {
	binary, err := caddyBinary()
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile(filepath.Join("..", "Caddyfile.example"))
	if err != nil {
		t.Fatal(err)
	}
	// On ports of its own, and without the admin endpoint's.
	moves := []string{"auto_https off", "auto_https off\n\tadmin off\n\tpersist_config off"}
	playground := ""
	for _, port := range []string{"8080", "9080", "9081"} {
		_, free, err := net.SplitHostPort(freeAddr(t))
		if err != nil {
			t.Fatal(err)
		}
		moves = append(moves, ":"+port, ":"+free)
		if port == "9080" {
			playground = "http://127.0.0.1:" + free + "/"
		}
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
