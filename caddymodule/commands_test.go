package caddymodule_test

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

// run runs a command of `caddy wechat` with a standard input.
func run(t *testing.T, command, input string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := &cobra.Command{Use: "wechat"}
	caddycmd.Commands()["wechat"].CobraFunc(cmd)
	cmd.SetIn(strings.NewReader(input))
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	cmd.SetArgs(append([]string{command}, args...))
	err := cmd.Execute()
	return out.String(), err
}

func TestCommandsSpeakToTheAdminEndpoint(t *testing.T) {
	g := newGateway(t, withAdmin)
	token := g.login(userA)
	address := "--address=" + g.admin
	out, err := run(t, "token", token+"\n", address)
	if err != nil || !strings.Contains(out, "live") || !strings.Contains(out, openIDA) || !strings.Contains(out, "signs new tokens") {
		t.Errorf("token: %v\n%s", err, out)
	}
	out, err = run(t, "sessions", openIDA, "list", "--app", testApp, address)
	if err != nil || !strings.Contains(out, "session_id") {
		t.Errorf("list: %v\n%s", err, out)
	}
	if out, err = run(t, "sessions", "", "list", "--app", testApp, address); err != nil || strings.Count(out, "user_hash") != 1 ||
		strings.Contains(out, openIDA) {
		t.Errorf("list of all: %v\n%s", err, out)
	}
	hash := between(out, `"user_hash": "`, `"`)
	if out, err = run(t, "sessions", "", "list", "--app", testApp, "--user-hash", hash, address); err != nil ||
		!strings.Contains(out, "session_id") {
		t.Errorf("list by hash: %v\n%s", err, out)
	}
	for _, limit := range []string{"0", "1001", "1000000000000000000", "1e18"} {
		if _, err = run(t, "sessions", "", "list", "--app", testApp, "--limit", limit, address); err == nil {
			t.Errorf("a page of %s", limit)
		}
	}
	g.login(wechattest.User{OpenID: openIDB})
	first, err := run(t, "sessions", "", "list", "--app", testApp, "--limit", "1", address)
	after := between(first, `"after": "`, `"`)
	if err != nil || after == "" {
		t.Errorf("the first page: %v\n%s", err, first)
	}
	// An openid on standard input would ask for one user; with --after nothing is read.
	second, err := run(t, "sessions", openIDA, "list", "--app", testApp, "--limit", "1", "--after", after, address)
	if one, other := between(first, `"user_hash": "`, `"`), between(second, `"user_hash": "`, `"`); err != nil || one == "" ||
		other == "" || one == other {
		t.Errorf("the second page: %v\n%s\n%s", err, first, second)
	}
	if out, err = run(t, "sessions", openIDB, "end", "--app", testApp, address); err != nil || !strings.Contains(out, `"ended": 1`) {
		t.Errorf("end of one user: %v\n%s", err, out)
	}
	if out, err = run(t, "sessions", openIDA, "set", "--app", testApp, "--user-id", "42", address); err != nil ||
		!strings.Contains(out, `"user_id": "42"`) {
		t.Errorf("set: %v\n%s", err, out)
	}
	if got := g.userID(t, bearerHeader(token)); !slices.Equal(got, []string{"42"}) {
		t.Errorf("set: the app sees %q", got)
	}
	if out, err = run(t, "sessions", openIDA, "set", "--app", testApp, "--user-id", "", address); err != nil ||
		len(g.userID(t, bearerHeader(token))) > 0 {
		t.Errorf("set to nothing: %v\n%s", err, out)
	}
	for what, args := range map[string][]string{"a name that is none": {openIDA, "a b"}, "nobody": {openIDB, "42"}} {
		if out, err = run(t, "sessions", args[0], "set", "--app", testApp, "--user-id", args[1], address); err == nil {
			t.Errorf("set of %s: %s", what, out)
		}
	}
	if out, err = run(t, "sessions", openIDB, "end", "--app", testApp, address); err == nil || !strings.Contains(out, `"ended": 0`) {
		t.Errorf("end of an openid that nobody has: %v\n%s", err, out)
	}
	if out, err = run(t, "sessions", openIDA, "deny", "--app", testApp, "--for", "1h", address); err != nil ||
		!strings.Contains(out, "denied_until") {
		t.Errorf("deny: %v\n%s", err, out)
	}
	if out, err = run(t, "token", token, address, "--json"); err == nil || !strings.Contains(out, `"verdict": "ended"`) ||
		!strings.Contains(out, `"answer": "session_ended"`) {
		t.Errorf("token of a denied user: %v\n%s", err, out)
	}
	if out, err = run(t, "sessions", openIDA, "allow", "--app", testApp, address); err != nil {
		t.Errorf("allow: %v\n%s", err, out)
	}
	g.login(userA)
	if out, err = run(t, "sessions", "", "end", "--everybody", "--app", testApp, address); err != nil || !strings.Contains(out, `"ended": 1`) {
		t.Errorf("end: %v\n%s", err, out)
	}
	if out, err = run(t, "status", "", address); err != nil || !strings.Contains(out, `"ready": true`) {
		t.Errorf("status: %v\n%s", err, out)
	}
	var status struct{ Keys []statusKey }
	g.must(http.MethodGet, "/wechat/status", "", &status)
	if out, err = run(t, "drop-key", "", status.Keys[0].ID, address); err != nil || strings.Contains(out, status.Keys[0].ID) {
		t.Errorf("drop-key: %v\n%s", err, out)
	}
	if out, err = run(t, "token", token, address); err == nil || !strings.Contains(out, "unknown_key") {
		t.Errorf("token of a dropped key: %v\n%s", err, out)
	}
	for name, cmd := range map[string]func() (string, error){
		"no openid":  func() (string, error) { return run(t, "sessions", "", "end", "--app", testApp, address) },
		"no app":     func() (string, error) { return run(t, "sessions", openIDA, "list", address) },
		"no time":    func() (string, error) { return run(t, "sessions", openIDA, "deny", "--app", testApp, address) },
		"no token":   func() (string, error) { return run(t, "token", " ", address) },
		"no key":     func() (string, error) { return run(t, "drop-key", "", "../status", address) },
		"an openid":  func() (string, error) { return run(t, "sessions", "", "list", openIDA, "--app", testApp, address) },
		"nobody":     func() (string, error) { return run(t, "status", "", "--address", freeAddr(t)) },
		"strange":    func() (string, error) { return run(t, "sessions", "o o", "list", "--app", testApp, address) },
		"whole file": func() (string, error) { return run(t, "token", strings.Repeat("x", 8<<10+1), address) },
	} {
		if out, err := cmd(); err == nil {
			t.Errorf("%s: no error\n%s", name, out)
		}
	}
}

// Tokens and openids are pasted where they do not belong. What a command says about
// that is read by others.
func TestCommandsDoNotRepeatTheirArguments(t *testing.T) {
	const pasted = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJvQUFBQSJ9.c2lnbmF0dXJl"
	for _, args := range [][]string{
		{pasted},
		{"token", pasted},
		{"token", "--" + pasted},
		{"token", "-" + pasted},
		{"token", "--token=" + pasted},
		{"token", "--json=" + pasted},
		{"status", pasted},
		{"doctor", pasted},
		{"doctor", "--" + pasted},
		{"drop-key", pasted},
		{"drop-key", "0123456789abcdef", pasted},
		{"drop-key"},
		{"sessions", pasted},
		{"sessions", "list", pasted},
		{"sessions", "deny", "--for", pasted},
		{"sessions", "deny", "--for=" + pasted + "\""},
	} {
		status, out, errout := wechatCommand(t, args...)
		if status != 2 || errout == "" {
			t.Errorf("%v: status %d, said %q", args, status, errout)
		}
		if strings.Contains(out+errout, pasted[:12]) {
			t.Errorf("%v: repeated in %q %q", args, out, errout)
		}
	}
	if _, _, errout := wechatCommand(t, "sessions", "deny", "--for", "soon"); !strings.Contains(errout, "--for") {
		t.Errorf("which flag is wrong is not said: %q", errout)
	}
}
