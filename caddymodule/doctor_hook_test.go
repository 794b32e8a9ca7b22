package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/doctor"
)

// The doctor asks the hook what it must refuse, once, and about nobody.
func TestDoctorOnTheLoginHook(t *testing.T) {
	hook := newHookApp(t)
	for name, c := range map[string]struct {
		status int
		want   doctor.Status
		words  string
	}{
		"checks":    {http.StatusUnauthorized, doctor.OK, "refuses"},
		"forbids":   {http.StatusForbidden, doctor.OK, "refuses"},
		"believes":  {http.StatusOK, doctor.Fail, "X-WeChat-Signature"},
		"no answer": {http.StatusNoContent, doctor.Fail, "X-WeChat-Signature"},
		"elsewhere": {http.StatusFound, doctor.Warn, "302"},
		"no page":   {http.StatusNotFound, doctor.Warn, "404"},
		"broken":    {http.StatusInternalServerError, doctor.Warn, "500"},
	} {
		hook.say(c.status, "{}")
		before := len(hook.calls())
		p := newPatient(t, withGlobal(hook.option("")))
		_, findings := p.examine()
		wantFinding(t, name, findings, "hook", c.want, c.words)
		if calls := hook.calls()[before:]; len(calls) != 1 || calls[0] != "{}" {
			t.Errorf("%s: the hook was asked %q", name, calls)
		}
	}
	before := len(hook.calls())
	p := newPatient(t, withGlobal(hook.option("")))
	_, findings := p.examine("--offline")
	wantFinding(t, "offline", findings, "hook", doctor.Skip, "--offline")
	if len(hook.calls()) != before {
		t.Error("the hook was asked in spite of --offline")
	}
	p = newPatient(t, withGlobal(fmt.Sprintf("on_login http://%s/internal?key=s3cret {\nsecret %q\n}", freeAddr(t), hookSecret)))
	_, findings = p.examine()
	wantFinding(t, "down", findings, "hook", doctor.Fail, "nobody can log in")
	if text := fmt.Sprint(findings); strings.Contains(text, "s3cret") || strings.Contains(text, hookSecret) {
		t.Errorf("a secret is in %s", text)
	}
}
