package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-wechat/gateway/internal/doctor"
	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

// patient is a configuration that is not running, and a WeChat for it.
type patient struct {
	*gatewayTest
	date time.Time // what WeChat's clock says, if not the truth
}

func newPatient(t *testing.T, options ...func(*gatewayTest)) *patient {
	t.Helper()
	t.Setenv("WECHAT_TEST_SECRET", testSecret)
	t.Setenv("WECHAT_TEST_KEY", testKey)
	p := &patient{gatewayTest: &gatewayTest{
		t: t, scheme: "http", addr: "127.0.0.1:8080", storage: t.TempDir(), wechat: wechattest.New(testApp, testSecret),
	}}
	for _, option := range options {
		option(p.gatewayTest)
	}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.date.IsZero() {
			w.Header().Set("Date", p.date.UTC().Format(http.TimeFormat))
		}
		p.wechat.ServeHTTP(w, r)
	}))
	t.Cleanup(api.Close)
	if !strings.Contains(p.global, "app ") {
		p.global = oneApp + "\n" + p.global
	}
	if !strings.Contains(p.global, "api ") {
		p.global += "\napi " + api.URL
	}
	if p.site == "" {
		p.site = "wechat_auth\nreverse_proxy 127.0.0.1:1"
	}
	return p
}

// file writes the configuration.
func (p *patient) file() string {
	p.t.Helper()
	name := filepath.Join(p.t.TempDir(), "Caddyfile")
	if err := os.WriteFile(name, []byte(p.caddyfile()), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return name
}

// examine runs the command in this process and checks that nothing secret is in
// its output.
func (p *patient) examine(args ...string) (status int, findings []doctor.Finding) {
	p.t.Helper()
	status, out, _ := wechatCommand(p.t, append([]string{"doctor", "--json", "--config", p.file()}, args...)...)
	if err := json.Unmarshal([]byte(out), &findings); err != nil {
		p.t.Fatalf("status %d, output %q: %v", status, out, err)
	}
	wantNoSecrets(p.t, out)
	return status, findings
}

func wantNoSecrets(t *testing.T, out string) {
	t.Helper()
	for _, hidden := range []string{testSecret, testKey, redistest.Password, wechattest.AccessToken(testApp, 0), "doctor-", "forged-", "eyJ"} {
		if strings.Contains(out, hidden) {
			t.Errorf("%q is in the output: %s", hidden, out)
		}
	}
}

// wechatCommand runs `caddy wechat` in this process.
func wechatCommand(t *testing.T, args ...string) (status int, out, errout string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if os.Getenv("LC_ALL") == "" {
		t.Setenv("LC_ALL", "C")
	}
	root := &cobra.Command{Use: "wechat"}
	caddycmd.Commands()["wechat"].CobraFunc(root)
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	switch {
	case err == nil:
		status = 0
	case strings.Contains(err.Error(), "exiting with status 2"):
		status = 2
	default:
		status = 1 // as Caddy does with an error
	}
	return status, stdout.String(), stderr.String()
}

// wantFinding checks that exactly one kind of finding is not as in a healthy
// configuration, or at least that there is such a finding.
func wantFinding(t *testing.T, name string, findings []doctor.Finding, check string, status doctor.Status, texts ...string) {
	t.Helper()
	for _, f := range findings {
		all := f.Subject + ": " + f.Message.String() + " -> " + f.Action.String()
		missing := slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(all, text) })
		if f.Check == check && f.Status == status && !missing {
			if f.Action.IsZero() && (status == doctor.Fail || status == doctor.Warn) {
				t.Errorf("%s: nothing is said to be done about: %s", name, all)
			}
			return
		}
	}
	t.Errorf("%s: no finding %s/%s with %q in %+v", name, check, status, texts, findings)
}

func TestDoctorFindsNothingWrong(t *testing.T) {
	for name, p := range map[string]*patient{
		"memory":      newPatient(t, withGlobal("signing_key {env.WECHAT_TEST_KEY}")),
		"https":       newPatient(t, withGlobal("signing_key {env.WECHAT_TEST_KEY}"), func(g *gatewayTest) { g.scheme, g.addr = "https", "example.com" }),
		"token query": newPatient(t, withGlobal("signing_key {env.WECHAT_TEST_KEY}"), withSite("wechat_auth {\ntoken query t\n}\nreverse_proxy 127.0.0.1:1")),
	} {
		status, findings := p.examine()
		if status != 0 {
			t.Errorf("%s: status %d", name, status)
		}
		checks := make(map[string]bool)
		for _, f := range findings {
			checks[f.Check] = true
			if f.Status != doctor.OK {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if len(checks) != 10 {
			t.Errorf("%s: checks %v", name, checks)
		}
		if p.wechat.Calls() != 0 {
			t.Errorf("%s: a login code was spent", name)
		}
	}
}

func TestDoctorOnWhatWeChatSays(t *testing.T) {
	for code, texts := range map[int][]string{
		40013: {"AppID"}, 40125: {"AppSecret"}, 40243: {"frozen"}, 45009: {"quota"}, 50002: {"restricted"},
	} {
		p := newPatient(t)
		answer := wechattest.Errcode(code)
		p.wechat.Always(&answer)
		status, findings := p.examine()
		wantFinding(t, fmt.Sprint(code), findings, doctor.CheckCredentials, doctor.Fail, append(
			texts, testApp, fmt.Sprintf("errcode %d", code),
		)...)
		if status != 1 {
			t.Errorf("%d: status %d", code, status)
		}
	}
	p := newPatient(t)
	p.wechat.Always(&wechattest.Answer{Body: `{"errcode":40164,"errmsg":"invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist, rid: 6700abcd-12345678-9abcdef0"}`})
	_, findings := p.examine()
	wantFinding(t, "40164", findings, doctor.CheckCredentials, doctor.Fail, "203.0.113.7", "whitelist")
	t.Setenv("WECHAT_TEST_SECRET", "another")
	_, findings = newPatient(
		t, withGlobal("app "+otherApp+" {env.WECHAT_TEST_SECRET}"),
		withSite("wechat_auth {\napp "+otherApp+"\n}\nreverse_proxy 127.0.0.1:1"),
	).examine()
	wantFinding(t, "unknown app", findings, doctor.CheckCredentials, doctor.Fail, otherApp, "40013")
}

func TestDoctorOnTheWayToWeChat(t *testing.T) {
	status, findings := newPatient(t, withGlobal("api http://127.0.0.1:1")).examine()
	wantFinding(t, "away", findings, doctor.CheckConnection, doctor.Fail, "127.0.0.1:1", "no server accepts")
	wantFinding(t, "away", findings, doctor.CheckCredentials, doctor.Fail, "cannot be reached")
	if status != 1 {
		t.Errorf("away: status %d", status)
	}
	_, findings = newPatient(t, withGlobal("api_proxy http://127.0.0.1:1\napi https://127.0.0.1:2")).examine()
	wantFinding(t, "proxy away", findings, doctor.CheckConnection, doctor.Fail, "proxy")
	p := newPatient(t)
	p.date = time.Now().Add(-2 * time.Hour)
	status, findings = p.examine()
	wantFinding(t, "clock", findings, doctor.CheckClock, doctor.Fail, "ahead", "NTP")
	if status != 1 {
		t.Errorf("clock: status %d", status)
	}
	p.date = time.Now().Add(30 * time.Second)
	status, findings = p.examine()
	wantFinding(t, "clock", findings, doctor.CheckClock, doctor.Warn, "behind", "NTP")
	if status != 0 {
		t.Errorf("a warning: status %d", status)
	}
	asked := len(p.wechat.TokenForms())
	_, findings = p.examine("--offline")
	for _, check := range []string{doctor.CheckCredentials, doctor.CheckConnection, doctor.CheckClock} {
		wantFinding(t, "offline", findings, check, doctor.Skip, "--offline")
	}
	if len(p.wechat.TokenForms()) != asked {
		t.Error("WeChat was asked in spite of --offline")
	}
}

func TestDoctorOnSecretsAndConfiguration(t *testing.T) {
	for name, tc := range map[string]struct {
		global, site string
		check        string
		status       doctor.Status
		exit         int
		texts        []string
	}{
		"unset secret":   {"app " + testApp + " {env.WECHAT_TEST_UNSET}", "", "secret", doctor.Fail, 1, []string{testApp, "WECHAT_TEST_UNSET", "environment"}},
		"literal secret": {"app " + testApp + " " + testSecret, "", "secret", doctor.Warn, 0, []string{testApp, "written out"}},
		"unknown option": {"nonsense", "", "config", doctor.Fail, 1, []string{"nonsense", "Caddyfile:"}},
		"bad setting":    {"key_rotation 1m", "", "config", doctor.Fail, 1, []string{"key_rotation"}},
		"other app":      {"", "wechat_auth {\napp " + otherApp + "\n}", "config", doctor.Fail, 1, []string{otherApp}},
		"weak key":       {"signing_key {env.WECHAT_TEST_SECRET}", "", "keys", doctor.Fail, 1, []string{"signing_key"}},
		"no wechat_auth": {"", "reverse_proxy 127.0.0.1:1", "coverage", doctor.Warn, 0, []string{"no site"}},
		"route around":   {"", "handle /admin/* {\nreverse_proxy 127.0.0.1:1\n}\nhandle {\nwechat_auth\nreverse_proxy 127.0.0.1:1\n}", "coverage", doctor.Warn, 0, []string{"without wechat_auth", "route"}},
	} {
		options := []func(*gatewayTest){withGlobal(tc.global)}
		if tc.site != "" {
			options = append(options, withSite(tc.site))
		}
		status, findings := newPatient(t, options...).examine()
		wantFinding(t, name, findings, tc.check, tc.status, tc.texts...)
		if status != tc.exit {
			t.Errorf("%s: status %d, want %d: %+v", name, status, tc.exit, findings)
		}
	}
}

func TestDoctorWithoutTheGlobalOption(t *testing.T) {
	name := filepath.Join(t.TempDir(), "other.json")
	if err := os.WriteFile(name, []byte(`{"apps":{"http":{"servers":{}}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, _ := wechatCommand(t, "doctor", "--config", name)
	if status != 0 || !strings.Contains(out, "skip  credentials: not tested, because the configuration has no global option wechat") {
		t.Errorf("status %d: %s", status, out)
	}
}

func TestDoctorUsedWrongly(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, args := range [][]string{
		{"doctor"},
		{"doctor", "--config", "missing"},
		{"doctor", "--nonsense"},
		{"doctor", "word"},
		{"doctor", "--adapter", "caddyfile"},
		{"doctor", "--config", "missing", "--adapter", "nonsense"},
		{"nonsense"},
	} {
		if status, out, errout := wechatCommand(t, args...); status != 2 || out != "" || !strings.HasPrefix(errout, "Error: ") {
			t.Errorf("%q: status %d, %q, %q", args, status, out, errout)
		}
	}
}
