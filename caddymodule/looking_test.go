package caddymodule_test

import (
	"encoding/json"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

// G6: a check of a configuration that leaves keys behind, of a user who is not
// the service's, keeps the service from starting.
func TestG6LookingChangesNothing(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	t.Setenv("WECHAT_TEST_KEY", testKey)
	for name, global := range map[string]string{
		"memory": "",
		"keys":   "signing_key {env.WECHAT_TEST_KEY}",
		"redis":  "store redis " + server.Addr + " {\npassword {env.WECHAT_TEST_REDIS}\n}",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t, withGlobal(global), withSite("wechat_auth {\nassertion X-Signed\n}\nreverse_proxy 127.0.0.1:1"))
			config, _, err := adapt(p.caddyfile())
			if err != nil {
				t.Fatal(err)
			}
			var parsed caddy.Config
			if err := json.Unmarshal(config, &parsed); err != nil {
				t.Fatal(err)
			}
			if err := caddy.Validate(&parsed); err != nil {
				t.Fatal(err)
			}
			keys := func() []string { return redisAnswer(t, server.Addr, "KEYS *", "caddy-wechat:") }
			if left := append(keys(), filesIn(t, filepath.Join(p.storage, "wechat"))...); len(left) > 0 {
				t.Errorf("validate leaves behind: %q", left)
			}
			for range 2 {
				p.examine("--offline")
			}
			if left := append(keys(), filesIn(t, filepath.Join(p.storage, "wechat"))...); len(left) > 0 {
				t.Errorf("doctor leaves behind: %q", left)
			}
			if calls := p.wechat.Calls() + len(p.wechat.TokenForms()); calls > 0 {
				t.Errorf("WeChat was asked %d times", calls)
			}
		})
	}
	// The control: a start makes the keys.
	g := newGateway(t)
	if files := filesIn(t, filepath.Join(g.storage, "wechat")); !slices.Contains(files, "keys.json") {
		t.Errorf("after a start: %q", files)
	}
}

// redisAnswer returns the lines of an answer that begin with a prefix.
func redisAnswer(t *testing.T, addr, command, prefix string) (lines []string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("AUTH " + strconv.Quote(redistest.Password) + "\r\n" + command + "\r\nQUIT\r\n")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 0, 1<<16)
	for buffer := make([]byte, 1<<12); ; {
		n, err := conn.Read(buffer)
		answer = append(answer, buffer[:n]...)
		if err != nil {
			break
		}
	}
	if strings.Contains(string(answer), "-ERR") || strings.Contains(string(answer), "-NOAUTH") {
		t.Fatalf("%s: %s", command, answer)
	}
	for line := range strings.Lines(string(answer)) {
		if strings.HasPrefix(line, prefix) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// filesIn lists the files below a folder.
func filesIn(t *testing.T, folder string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(folder, path)
			files = append(files, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return files
}
