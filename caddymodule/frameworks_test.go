package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

// debianRuby is the interpreter that Debian's ruby-* packages belong to.
const debianRuby = "/usr/bin/ruby"

// debianPHP is the interpreter whose include_path Debian's php-* packages are in.
const debianPHP = "/usr/bin/php"

// pagePlace is the line of a file in testdata/apps that the code of a page replaces.
const pagePlace = "// The code of the page.\n"

// projectFile is a file that a page of docs/apps adds to a project of its framework:
// its name, then its text.
var projectFile = regexp.MustCompile("(?s)`([A-Za-z_/]+\\.[a-z]+)`:\n\n```[a-z]+\n(.*?)```")

// frameworks are the pages whose code has its place in a project, and how such a
// project is started. The rest of the project is in testdata/apps.
var frameworks = map[string]func(t *testing.T, dir, addr string) (program string, args []string){
	"laravel": func(t *testing.T, dir, addr string) (string, []string) {
		if exec.Command(debianPHP, "-r", "require 'Illuminate/autoload.php'; exit((int) !in_array('sqlite', PDO::getAvailableDrivers()));").Run() != nil {
			t.Skipf("%s has no Laravel framework and SQLite, so this page is not run", debianPHP)
		}
		public := filepath.Join(dir, "public")
		return debianPHP, []string{"-S", addr, "-t", public, filepath.Join(public, "index.php")}
	},
	"rails": func(t *testing.T, dir, _ string) (string, []string) {
		if exec.Command(debianRuby, "-e", "require 'rails'; require 'active_record'; require 'sqlite3'; require 'webrick'").Run() != nil {
			t.Skipf("%s has no rails, active_record, sqlite3 and webrick, so this page is not run", debianRuby)
		}
		return debianRuby, []string{filepath.Join(dir, "bin", "rails"), "server", "-b", "127.0.0.1"}
	},
}

// The code of a page, as it stands there, makes an account for each user whom the
// gateway names, finds it again, and believes nothing that a client claims.
func TestDocumentedFrameworksKeepUsers(t *testing.T) {
	for name, prepare := range frameworks {
		t.Run(name, func(t *testing.T) {
			addr := freeAddr(t)
			program, args := prepare(t, writeProject(t, name), addr)
			g := newGateway(t, func(g *gatewayTest) { g.site = "wechat_auth {\noptional\n}\nreverse_proxy " + addr })
			startSample(t, addr, program, args, []string{"RAILS_ENV=production"})
			tokenA := g.login(wechattest.User{OpenID: openIDA, UnionID: unionIDA})
			tokenB := g.login(wechattest.User{OpenID: openIDB})
			forgedBy := func(openID string) []string {
				return []string{
					"Accept: application/json", "X-OpenID: " + openID, "X_OpenID: " + openID,
					"X-AppID: wxFORGED", "X_AppID: wxFORGED", "Connection: close, X-OpenID, X-AppID",
				}
			}

			var accounts []int
			for _, step := range []struct{ token, openID, forged string }{
				{tokenA, openIDA, openIDB}, {tokenB, openIDB, openIDA}, {tokenA, openIDA, "oFORGED"},
			} {
				resp, body := g.do(http.MethodGet, "/api/me", "", append(forgedBy(step.forged), bearerHeader(step.token))...)
				var user struct {
					ID     int
					AppID  string `json:"wechat_appid"`
					OpenID string `json:"wechat_openid"`
				}
				if err := json.Unmarshal([]byte(body), &user); err != nil || resp.StatusCode/100 != 2 ||
					user.AppID != testApp || user.OpenID != step.openID {
					t.Fatalf("the user %s, claiming to be %s: %d %s", step.openID, step.forged, resp.StatusCode, body)
				}
				accounts = append(accounts, user.ID)
			}
			if accounts[0] == accounts[1] || accounts[0] != accounts[2] {
				t.Errorf("two users, then the first again, have the accounts %v", accounts)
			}
			if resp, body := g.do(http.MethodGet, "/api/me", "", forgedBy(openIDA)...); resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("nobody, claiming to be a user: %d %s", resp.StatusCode, body)
			}
		})
	}
}

// writeProject makes a project of a framework with the code of its page, and returns
// where.
func writeProject(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "apps", name))); err != nil {
		t.Fatal(err)
	}
	found := projectFile.FindAllStringSubmatch(readDoc(t, "docs/apps/"+name+".md"), -1)
	if len(found) == 0 {
		t.Fatalf("docs/apps/%s.md names no file", name)
	}
	for _, m := range found {
		file, text := filepath.Join(dir, m[1]), m[2]
		if around, err := os.ReadFile(file); err == nil {
			if strings.Count(string(around), pagePlace) != 1 {
				t.Fatalf("testdata/apps/%s/%s must have the line %q once", name, m[1], pagePlace)
			}
			text = strings.Replace(string(around), pagePlace, text, 1)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
