package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/internal/loginhook"
	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/secret"
)

const hookSecret = "a secret of the application, 32+ bytes"

// hookApp is an application that judges logins.
type hookApp struct {
	*httptest.Server
	mu     sync.Mutex
	answer http.HandlerFunc
	seen   []string // bodies
	signed []string
}

func newHookApp(t *testing.T) *hookApp {
	h := new(hookApp)
	h.say(http.StatusNoContent, "")
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		h.seen = append(h.seen, string(body))
		h.signed = append(h.signed, r.Header.Get("X-WeChat-Signature"))
		answer := h.answer
		h.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hookApp) say(status int, body string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func (h *hookApp) calls() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.seen)
}

func (h *hookApp) option(more string) string {
	return fmt.Sprintf("on_login %s {\nsecret %q\n%s\n}", h.URL, hookSecret, more)
}

// K5, K15: what the hook says is what the app sees, and nobody else can say it.
func TestK5HookNamesUsers(t *testing.T) {
	hook := newHookApp(t)
	for name, site := range map[string]string{"default": "wechat_auth", "cloud_hosting": "wechat_auth {\nheaders cloud_hosting\n}"} {
		t.Run(name, func(t *testing.T) {
			hook.say(http.StatusOK, `{"user_id":"42"}`)
			g := newGateway(t, withGlobal(hook.option("")), withSite(site), withAdmin)
			token := g.login(wechattest.User{OpenID: openIDA, UnionID: unionIDA})
			var asked struct{ AppID, Kind, OpenID, UnionID, Client_IP string }
			calls := hook.calls()
			if err := json.Unmarshal([]byte(calls[len(calls)-1]), &asked); err != nil || asked.AppID != testApp || asked.Kind != "mini_program" ||
				asked.OpenID != openIDA || asked.UnionID != unionIDA || asked.Client_IP != "127.0.0.1" {
				t.Errorf("the hook was asked %s", calls[len(calls)-1])
			}
			forged := []string{"X-WeChat-User-ID: 1", "X_WECHAT.USER-ID: 1", "X-WeChat-OpenID: oFORGED", "Connection: close, X-WeChat-User-ID"}
			g.do(http.MethodGet, "/", "", append(forged, bearerHeader(token))...)
			if got := lastSeen(t, g).Header; !slices.Equal(got["X-Wechat-User-Id"], []string{"42"}) || len(got["X-Wechat-Openid"]) > 0 ||
				strings.Contains(fmt.Sprint(got), "X_WECHAT") {
				t.Errorf("the app saw %v", got)
			}
			// An operator renames the user in all sessions.
			var answer struct {
				UserID string `json:"user_id"`
			}
			g.must(http.MethodPost, "/wechat/users/set", `{"appid":"`+testApp+`","openid":"`+openIDA+`","user_id":"43"}`, &answer)
			g.do(http.MethodGet, "/", "", bearerHeader(token))
			if got := lastSeen(t, g).Header["X-Wechat-User-Id"]; answer.UserID != "43" || !slices.Equal(got, []string{"43"}) {
				t.Errorf("after a change: %+v, the app saw %q", answer, got)
			}
			// A login that the hook does not name anew keeps the name.
			hook.say(http.StatusNoContent, "")
			again := g.login(wechattest.User{OpenID: openIDA, UnionID: unionIDA})
			g.must(http.MethodPost, "/wechat/users/set", `{"appid":"`+testApp+`","openid":"`+openIDA+`","user_id":""}`, &answer)
			g.do(http.MethodGet, "/", "", append(forged, bearerHeader(again))...)
			if got := lastSeen(t, g).Header; answer.UserID != "" || len(got["X-Wechat-User-Id"]) > 0 {
				t.Errorf("after a removal the app saw %v", got)
			}
		})
	}
}

func TestK5HookKeepsUsersOut(t *testing.T) {
	hook := newHookApp(t)
	big := `{"user_id":"42"}` + strings.Repeat(" ", 16<<10)
	for name, test := range map[string]struct {
		status int
		body   string
		option string
		want   int
		code   string
		words  string
	}{
		"no":                 {403, `{"message":"请先联系管理员 <b>"}`, "", 403, answer.CodeNotAllowed, "请先联系管理员"},
		"no without words":   {403, "", "", 403, answer.CodeNotAllowed, "application"},
		"no, whatever":       {403, "{}", "on_failure allow", 403, answer.CodeNotAllowed, "application"},
		"error":              {500, "", "", 502, answer.CodeLoginHookFailed, "application"},
		"redirect":           {302, "", "", 502, answer.CodeLoginHookFailed, "application"},
		"nonsense":           {200, "<html>", "", 502, answer.CodeLoginHookFailed, "application"},
		"huge":               {200, big, "", 502, answer.CodeLoginHookFailed, "application"},
		"bad name":           {200, `{"user_id":"a b"}`, "", 502, answer.CodeLoginHookFailed, "application"},
		"error, and allow":   {500, "", "on_failure allow", 200, "", ""},
		"another, and allow": {200, `{"user_id":7}`, "on_failure allow", 200, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			hook.say(test.status, test.body)
			g := newGateway(t, withGlobal(hook.option(test.option)))
			before := len(hook.calls())
			code := freshCode()
			g.wechat.AddCode(code, wechattest.User{OpenID: openIDA})
			for range 2 { // with its nonce the answer is given again
				resp, body := g.post("/wechat/login", `{"code":"`+code+`","nonce":"0123456789abcdef"}`)
				if resp.StatusCode != test.want ||
					test.code != "" && (!strings.Contains(body, `"`+test.code+`"`) || !strings.Contains(body, test.words)) {
					t.Errorf("got %d %s, want %d %s", resp.StatusCode, body, test.want, test.code)
				}
				if got := resp.Header.Get("X-WeChat-Gateway"); got != test.code {
					t.Errorf("X-WeChat-Gateway %q, want %q", got, test.code)
				}
			}
			if asked := len(hook.calls()) - before; asked != 1 {
				t.Errorf("the hook was asked %d times", asked)
			}
			if resp, body := g.post("/wechat/login", `{"code":"`+code+`"}`); resp.StatusCode != http.StatusUnauthorized ||
				!strings.Contains(body, answer.CodeCodeUsed) {
				t.Errorf("the code again: %d %s", resp.StatusCode, body)
			}
		})
	}
}

// K5: a hook that is not there, or does not answer in time, costs the login and its
// code, or with allow the name alone; after 10 failures it is given a rest.
func TestK5HookIsAwayOrSlow(t *testing.T) {
	hook := newHookApp(t)
	release := make(chan struct{})
	hook.mu.Lock()
	hook.answer = func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	hook.mu.Unlock()
	t.Cleanup(func() { close(release) })
	hanging := hook.option("timeout 100ms")
	down := fmt.Sprintf("on_login http://%s/ {\nsecret %q\n}", freeAddr(t), hookSecret)
	for name, c := range map[string]struct {
		option string
		want   int
	}{
		"slow": {hanging, 504}, "down": {down, 502},
		"slow, and allow": {strings.Replace(hanging, "timeout", "on_failure allow\ntimeout", 1), 200}, "down, and allow": {strings.Replace(down, "secret", "on_failure allow\nsecret", 1), 200},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, withGlobal(c.option))
			for i := range 12 {
				code := freshCode()
				g.wechat.AddCode(code, wechattest.User{OpenID: openIDA})
				resp, body := g.post("/wechat/login", `{"code":"`+code+`"}`)
				want := c.want
				if want != 200 && i >= 10 {
					want = 503
				}
				if resp.StatusCode != want || want != 200 && errorCode(body) != answer.CodeLoginHookFailed ||
					(want == 503) != (resp.Header.Get("Retry-After") != "") || strings.Contains(body, "127.0.0.1") {
					t.Fatalf("login %d: %d %v %s, want %d", i, resp.StatusCode, resp.Header, body, want)
				}
				if want == 200 {
					if got := g.userID(t, bearerHeader(grantOf(t, body).Token)); len(got) > 0 {
						t.Errorf("the app saw %q", got)
					}
					continue
				}
				if resp, body = g.post("/wechat/login", `{"code":"`+code+`"}`); errorCode(body) != answer.CodeCodeUsed {
					t.Errorf("the code again: %d %s", resp.StatusCode, body)
				}
			}
		})
	}
}

func TestHookConfigurationErrors(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"no URL":        {"on_login {\nsecret {env.X}\n}", "on_login"},
		"plain http":    {"on_login http://app.example.com/ {\nsecret {env.X}\n}", "https"},
		"no secret":     {"on_login https://app.example.com/", "secret"},
		"short secret":  {"on_login https://app.example.com/ {\nsecret short-one\n}", "32 characters"},
		"unknown":       {"on_login https://app.example.com/ {\nsecret {env.X}\nretries 3\n}", "retries"},
		"twice":         {"on_login https://app.example.com/ {\nsecret {env.X}\nsecret {env.X}\n}", "once"},
		"other failure": {"on_login https://app.example.com/ {\nsecret {env.X}\non_failure maybe\n}", "on_failure"},
		"long timeout":  {"on_login https://app.example.com/ {\nsecret {env.X}\ntimeout 5m\n}", "timeout"},
		"two hooks":     {"on_login https://a.example/ {\nsecret {env.X}\n}\non_login https://b.example/ {\nsecret {env.X}\n}", "once"},
	} {
		_, _, err := adapt("{\nwechat {\napp " + testApp + " {env.Y}\n" + test.text + "\n}\n}\n:8080 {\nwechat_auth\n}\n")
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "short-one") ||
			!strings.Contains(err.Error(), "Caddyfile:") {
			t.Errorf("%s: got %v, want an error with %q and a line", name, err, test.want)
		}
	}
}

// The lines of docs/login-hook.md accept what the gateway signs and nothing else.
func TestDocumentedSignatureChecks(t *testing.T) {
	page, err := os.ReadFile("../docs/login-hook.md")
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"appid":"wx1234567890abcdef","openid":"oA"}`
	now := loginhook.Sign(secret.New(hookSecret), time.Now(), []byte(body))
	cases := []struct{ header, body, want string }{
		{now, body, "true"},
		{now, body + " ", "false"},
		{loginhook.Sign(secret.New(hookSecret+"x"), time.Now(), []byte(body)), body, "false"},
		{loginhook.Sign(secret.New(hookSecret), time.Now().Add(-10*time.Minute), []byte(body)), body, "false"},
		{now[:len(now)-1], body, "false"},
		{"", body, "false"},
		{"t=,v1=", body, "false"},
	}
	for language, run := range map[string]struct {
		program, file, wrap string
	}{
		"python": {"python3", "verify.py", "%s\nimport sys\nprint(str(verify(sys.argv[1], sys.argv[2], sys.argv[3].encode())).lower())\n"},
		"js":     {"node", "verify.js", "%s\nconsole.log(String(verify(process.argv[2], process.argv[3], Buffer.from(process.argv[4]))));\n"},
		"php":    {"php", "verify.php", "%s\necho verify($argv[1], $argv[2], $argv[3]) ? 'true' : 'false';\n"},
		"java":   {"java", "Main.java", "%s\npublic class Main { public static void main(String[] a) throws Exception { System.out.println(Signature.verify(a[0], a[1], a[2].getBytes())); } }\n"},
	} {
		t.Run(language, func(t *testing.T) {
			program := tool(t, run.program)
			block := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(page)
			if block == nil {
				t.Fatal("the page has no such block")
			}
			text := string(block[1])
			if language == "java" { // a file that is run begins with its main class
				imports := regexp.MustCompile(`(?m)^import .*\n`).FindAllString(text, -1)
				rest := regexp.MustCompile(`(?m)^import .*\n`).ReplaceAllString(text, "")
				text = strings.Join(imports, "") + "%s" + rest
				main := strings.TrimPrefix(run.wrap, "%s")
				text = fmt.Sprintf(text, main)
			} else {
				text = fmt.Sprintf(run.wrap, text)
			}
			file := filepath.Join(t.TempDir(), run.file)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, c := range cases {
				out, err := exec.Command(program, file, hookSecret, c.header, c.body).CombinedOutput()
				if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
					t.Errorf("%q with %q: got %s, %v; want %s", c.header, c.body, got, err, c.want)
				}
			}
		})
	}
}

// lastSeen is the newest request that reached the app.
func lastSeen(t *testing.T, g *gatewayTest) recorded {
	t.Helper()
	seen := g.app.requests()
	if len(seen) == 0 {
		t.Fatal("nothing reached the app")
	}
	return seen[len(seen)-1]
}
