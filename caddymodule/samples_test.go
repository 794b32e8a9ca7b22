package caddymodule_test

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

// Apps written for Cloud Hosting run as they are: they read X-WX-OPENID, refuse
// what has no X-WX-SOURCE, and call http://api.weixin.qq.com without a token.
func TestCloudHostingAppsRunUnmodified(t *testing.T) {
	hosts, err := filepath.Abs("testdata/samples/hosts.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, sample := range []struct {
		name, program string
		args          []string
		env           func(api string) []string
	}{
		{"node", "node", []string{"--require", hosts, "../docs/cloud-hosting/node/index.js"}, func(api string) []string { return []string{"WECHAT_API=" + api} }},
		{"python", "python3", []string{"../docs/cloud-hosting/python/main.py"}, func(api string) []string { return []string{"http_proxy=http://" + api} }},
	} {
		t.Run(sample.name, func(t *testing.T) {
			program, err := exec.LookPath(sample.program)
			if err != nil {
				t.Skipf("%s is not installed, so the sample app in docs/cloud-hosting/%s is not run", sample.program, sample.name)
			}
			app, api, openAPI := freeAddr(t), freeAddr(t), new(openAPI)
			g := newGateway(t, func(g *gatewayTest) {
				openAPI.stand(g)
				_, port, _ := net.SplitHostPort(api)
				// The site of the open API follows this one.
				g.site = "wechat_auth {\noptional\nheaders cloud_hosting {\nenv_id prod-1\n}\n}\nreverse_proxy " + app +
					"\n}\nhttp://api.weixin.qq.com:" + port + " {\nbind 127.0.0.1\nwechat_api"
			})
			startSample(t, app, program, sample.args, append(sample.env(api), "CBR_ENV_ID=prod-1"))
			token := g.login(wechattest.User{OpenID: openIDA, UnionID: unionIDA})

			resp, body := g.do(
				http.MethodGet, "/api/wx_openid", "", bearerHeader(token), "X-WX-OPENID: oFORGED", "X-WX-EXCLUDE-CREDENTIALS: unionid",
			)
			var user struct{ OpenID, UnionID, AppID string }
			if err := json.Unmarshal([]byte(body), &user); err != nil || user.OpenID != openIDA || user.UnionID != "" || user.AppID != testApp {
				t.Errorf("openid: %d %s", resp.StatusCode, body)
			}
			resp, body = g.do(http.MethodGet, "/api/wx_openid", "", "X-WX-OPENID: oFORGED", "X-WX-SOURCE: wx_client", "x_wx_source: wx_client")
			if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "not called through WeChat") {
				t.Errorf("without a session: %d %s", resp.StatusCode, body)
			}
			resp, body = g.do(http.MethodPost, "/api/greet", "", bearerHeader(token))
			var sent struct {
				Errcode *int
				SeqID   string
			}
			if err := json.Unmarshal([]byte(body), &sent); err != nil || sent.Errcode == nil || *sent.Errcode != 0 || sent.SeqID == "" {
				t.Errorf("message: %d %s", resp.StatusCode, body)
			}
			seen := openAPI.seen()
			var message struct{ ToUser string }
			if len(seen) != 1 || seen[0].Path != "/cgi-bin/message/custom/send" || json.Unmarshal([]byte(seen[0].Body), &message) != nil ||
				message.ToUser != openIDA || seen[0].Query != "access_token="+wechattest.AccessToken(testApp, 0) {
				t.Errorf("WeChat saw %+v", seen)
			}
		})
	}
}

// startSample runs an app until the test ends.
func startSample(t *testing.T, addr, program string, args, env []string) {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "app.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), append(env, "PORT="+port)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 400 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return
		}
		time.Sleep(25 * time.Millisecond) // another process: nothing to wait on but its port
	}
	text, _ := os.ReadFile(log.Name())
	t.Fatalf("%s does not listen:\n%s", program, text)
}
