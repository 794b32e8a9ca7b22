package caddymodule_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The doctor speaks Chinese when it is asked to or when the locale is Chinese; what
// programs read stays as it is.
func TestDoctorSpeaksChinese(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(file, []byte("{\n\twechat {\n\t\tapp wx1234567890abcdef {env.NO_SUCH_SECRET}\n\t}\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const chinese, english = "缺少 AppSecret", "the AppSecret is missing"
	for name, tc := range map[string]struct {
		locale string
		args   []string
		want   string
	}{
		"asked":            {"C", []string{"--lang", "zh"}, chinese},
		"locale":           {"zh_CN.UTF-8", nil, chinese},
		"asked otherwise":  {"zh_CN.UTF-8", []string{"--lang", "en"}, english},
		"another locale":   {"de_DE.UTF-8", nil, english},
		"JSON for scripts": {"zh_CN.UTF-8", []string{"--json"}, english},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("LC_ALL", tc.locale)
			status, out, errout := wechatCommand(t, append([]string{
				"doctor", "--offline", "--config", file, "--adapter", "caddyfile",
			}, tc.args...)...)
			if status != 1 || !strings.Contains(out, tc.want) || tc.want == english && strings.Contains(out, "缺少") {
				t.Errorf("status %d\n%s%s", status, out, errout)
			}
		})
	}
	if err := os.WriteFile(
		file,
		[]byte("{\n\twechat {\n\t\tapp wx1234567890abcdef {env.NO_SUCH_SECRET}\n\t}\n}\nhttp://127.0.0.1:0 {\n\twechat_auth {\n\t\tprefixes /gate\n\t}\n}\n"),
		0o600,
	); err != nil {
		t.Fatal(err)
	}
	_, out, _ := wechatCommand(t, "doctor", "--offline", "--config", file, "--adapter", "caddyfile", "--lang", "zh")
	for _, want := range []string{`unrecognized option "prefixes"`, "Caddyfile:8", "没有“prefixes”这个选项，是不是想写 `prefix`？"} {
		if !strings.Contains(out, want) {
			t.Errorf("a misspelled option: %q is not in:\n%s", want, out)
		}
	}
	if status, _, errout := wechatCommand(t, "doctor", "--lang", "fr"); status != 2 || !strings.Contains(errout, "must be en or zh") {
		t.Errorf("status %d: %s", status, errout)
	}
}
