package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

// pageFile is a file on a page of docs/apps: its name, then its text.
var pageFile = regexp.MustCompile("(?s)`([a-z]+\\.[a-z]+)`:\n\n```[a-z]+\n(.*?)```")

// debianPython is the interpreter that Debian's python3-* packages belong to.
const debianPython = "/usr/bin/python3"

// documentedApps are the pages that are run, and how.
var documentedApps = map[string]func(t *testing.T, file string) (program string, args []string){
	"django.md":  pythonApp("django"),
	"flask.md":   pythonApp("flask"),
	"fastapi.md": pythonApp("fastapi, uvicorn"),
	"php.md": func(t *testing.T, file string) (string, []string) {
		return tool(t, "php"), []string{"-S", "127.0.0.1:" + filepath.Base(filepath.Dir(file)), file}
	},
	"express.md": nodeApp(func(*testing.T, string) {}, "app.mjs"),
	"nestjs.md": nodeApp(func(t *testing.T, dir string) {
		build := exec.Command("node", "node_modules/typescript/bin/tsc", "main.ts", "--experimentalDecorators", "--emitDecoratorMetadata",
			"--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022")
		build.Dir = dir
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("compiling: %v\n%s", err, out)
		}
	}, "main.js"),
	"gin.md": func(t *testing.T, _ string) (string, []string) {
		appModules(t)
		binary := filepath.Join(t.TempDir(), "gin")
		build := exec.Command("go", "build", "-o", binary, ".")
		build.Dir = filepath.Join("..", "docs", "apps", "gin")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building: %v\n%s", err, out)
		}
		return binary, nil
	},
}

// The apps of docs/apps run as they stand on their pages, know the user, and believe
// nothing that a client claims.
func TestDocumentedAppsReadTheHeaders(t *testing.T) {
	for page, prepare := range documentedApps {
		t.Run(page, func(t *testing.T) {
			app := freeAddr(t)
			program, args := prepare(t, writePage(t, page, app))
			g := newGateway(t, func(g *gatewayTest) { g.site = "wechat_auth {\noptional\n}\nreverse_proxy " + app })
			startSample(t, app, program, args, []string{"PYTHONDONTWRITEBYTECODE=1", "GIN_MODE=release"})
			token := g.login(wechattest.User{OpenID: openIDA, UnionID: unionIDA})
			forged := []string{"X-OpenID: oFORGED", "X_OpenID: oFORGED", "X-AppID: wxFORGED", "Connection: close, X-OpenID"}

			resp, body := g.do(http.MethodGet, "/api/me", "", append(forged, bearerHeader(token))...)
			var user struct{ AppID, OpenID, UnionID string }
			if err := json.Unmarshal([]byte(body), &user); err != nil || resp.StatusCode != http.StatusOK ||
				user.AppID != testApp || user.OpenID != openIDA || user.UnionID != unionIDA {
				t.Errorf("somebody: %d %s", resp.StatusCode, body)
			}
			if resp, body = g.do(http.MethodGet, "/api/me", "", forged...); resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("nobody: %d %s", resp.StatusCode, body)
			}
		})
	}
}

// writePage writes the file that a page shows, and returns where. Its folder is named
// after the port of addr, for programs that want it as an argument.
func writePage(t *testing.T, page, addr string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "docs", "apps", page))
	if err != nil {
		t.Fatal(err)
	}
	m := pageFile.FindSubmatch(data)
	if m == nil {
		return ""
	}
	dir := filepath.Join(t.TempDir(), addr[len("127.0.0.1:"):])
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, string(m[1]))
	if err := os.WriteFile(file, m[2], 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func tool(t *testing.T, name string) string {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed, so this page is not run", name)
	}
	return program
}

func pythonApp(modules string) func(*testing.T, string) (string, []string) {
	return func(t *testing.T, file string) (string, []string) {
		if exec.Command(debianPython, "-c", "import "+modules).Run() != nil {
			t.Skipf("%s has no %s, so this page is not run", debianPython, modules)
		}
		return debianPython, []string{file}
	}
}

// appModules is where what apps import was installed, as .ci/run does.
func appModules(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("CADDY_WECHAT_APP_MODULES")
	if dir == "" {
		t.Skip("CADDY_WECHAT_APP_MODULES names no folder in which `npm ci` was run for docs/apps, so this page is not run")
	}
	return dir
}

func nodeApp(compile func(t *testing.T, dir string), main string) func(*testing.T, string) (string, []string) {
	return func(t *testing.T, file string) (string, []string) {
		dir := filepath.Dir(file)
		if err := os.Symlink(filepath.Join(appModules(t), "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
			t.Fatal(err)
		}
		compile(t, dir)
		return tool(t, "node"), []string{filepath.Join(dir, main)}
	}
}
