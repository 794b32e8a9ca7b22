package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The unit, the image, the packages and the manifests put one thing in one place, so
// that one Caddyfile and one page of documentation serve all of them.
func TestDeploymentsShareOneLayout(t *testing.T) {
	dir := filepath.Join("..", "..", "docs", "deploy")
	for name, want := range map[string][]string{
		"caddy-wechat.service":    {"/usr/bin/caddy-wechat", "/etc/caddy-wechat/Caddyfile", "/var/lib/caddy-wechat"},
		"Dockerfile":              {"/usr/bin/caddy-wechat", "/etc/caddy-wechat/Caddyfile", "/var/lib/caddy-wechat"},
		"packaging/nfpm.yaml":     {"/usr/bin/caddy-wechat", "/etc/caddy-wechat/Caddyfile", "/usr/lib/systemd/system/caddy-wechat.service"},
		"packaging/Caddyfile":     {"/etc/caddy-wechat/secret"},
		"compose.yaml":            {"/etc/caddy-wechat/Caddyfile", "/var/lib/caddy-wechat", "dockerfile: docs/deploy/Dockerfile", "stop_grace_period: 90s"},
		"kubernetes.yaml":         {"mountPath: /etc/caddy-wechat", "mountPath: /var/lib/caddy-wechat", "fsGroup: 65532", "terminationGracePeriodSeconds: 90"},
		"packaging/preinstall.sh": {"/var/lib/caddy-wechat"},
	} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range want {
			if !strings.Contains(string(data), text) {
				t.Errorf("%s has no %q", name, text)
			}
		}
		for _, old := range []string{"/usr/local/bin", "/data/caddy", `["/data"`} {
			if strings.Contains(string(data), old) {
				t.Errorf("%s has %q, which is no place of this layout", name, old)
			}
		}
	}
}

// A secret that a Caddyfile reads must be one that the manifests hand to it.
func TestNodesGetTheSecretsTheyRead(t *testing.T) {
	dir := filepath.Join("..", "..", "docs", "deploy")
	caddyfile, err := os.ReadFile(filepath.Join(dir, "nodes.Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	compose, err := os.ReadFile(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	read := regexp.MustCompile(`\{file\./run/secrets/(\w+)\}`).FindAllStringSubmatch(string(caddyfile), -1)
	if len(read) != 4 {
		t.Fatalf("nodes.Caddyfile reads %d secrets, want 4", len(read))
	}
	given := regexp.MustCompile(`secrets: \[(.*)\]`).FindStringSubmatch(string(compose))
	for _, name := range read {
		if !slices.Contains(strings.Split(given[1], ", "), name[1]) {
			t.Errorf("compose.yaml does not give the gateways %s", name[1])
		}
		if !strings.Contains(string(compose), name[1]+": { file:") {
			t.Errorf("compose.yaml does not say where %s is", name[1])
		}
	}
}
