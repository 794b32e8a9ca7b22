package caddymodule_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

// withLog lets Caddy write its log to a file, which the result reads.
func withLog(t *testing.T, level string) (option func(*gatewayTest), read func() string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "log")
	option = func(g *gatewayTest) { g.extra += "log {\noutput file " + file + "\nlevel " + level + "\n}\n" }
	return option, func() string {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
}

// linesWith returns the lines of a log that have all the texts.
func linesWith(log string, texts ...string) (found []string) {
	for line := range strings.Lines(log) {
		all := true
		for _, text := range texts {
			all = all && strings.Contains(line, text)
		}
		if all {
			found = append(found, line)
		}
	}
	return found
}

// G7: every setting that can hold a secret takes a placeholder, warns when it is
// written out, and shows it nowhere.
func TestSettingsThatHoldSecrets(t *testing.T) {
	const proxy = "http://user:0pen5esame@127.0.0.1:1"
	server := redistest.Start(t)
	redis := func(password, secret string) string {
		return "signing_key {env.WECHAT_TEST_KEY}\nstore redis " + server.Addr + " {\npassword " + password + "\nsecret " + secret + "\n}"
	}
	t.Setenv("WECHAT_TEST_SECRET", testSecret)
	t.Setenv("WECHAT_TEST_KEY", testKey)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	t.Setenv("WECHAT_TEST_PROXY", proxy)
	t.Setenv("WECHAT_TEST_PROXY_PASSWORD", "0pen5esame")
	t.Setenv("WECHAT_TEST_HOOK", hookSecret)
	tested := make(map[*option.SecretSetting]bool)
	for _, tc := range []struct {
		setting    *option.SecretSetting
		value      string
		placed     []string
		writtenOut string
	}{
		{option.AppSecret, testSecret, []string{"app " + testApp + " {env.WECHAT_TEST_SECRET}"}, "app " + testApp + " " + testSecret},
		{option.SigningKey, testKey, []string{"signing_key {env.WECHAT_TEST_KEY}"}, "signing_key " + testKey},
		{option.RedisPassword, redistest.Password, []string{redis("{env.WECHAT_TEST_REDIS}", "{env.WECHAT_TEST_KEY}")}, redis(`"`+redistest.Password+`"`, "{env.WECHAT_TEST_KEY}")},
		{option.RedisSecret, testKey, []string{redis("{env.WECHAT_TEST_REDIS}", "{env.WECHAT_TEST_KEY}")}, redis("{env.WECHAT_TEST_REDIS}", testKey)},
		{
			option.APIProxy, "0pen5esame",
			[]string{"api_proxy {env.WECHAT_TEST_PROXY}", "api_proxy http://user:{env.WECHAT_TEST_PROXY_PASSWORD}@127.0.0.1:1", "api_proxy http://127.0.0.1:1"},
			"api_proxy " + proxy,
		},
		{
			option.HookSecret, hookSecret,
			[]string{"on_login http://127.0.0.1:1 {\nsecret {env.WECHAT_TEST_HOOK}\n}"},
			"on_login http://127.0.0.1:1 {\nsecret \"" + hookSecret + "\"\n}",
		},
	} {
		tested[tc.setting] = true
		for _, global := range append(tc.placed, tc.writtenOut) {
			if !strings.Contains(global, "app ") {
				global = oneApp + "\n" + global
			}
			logged, read := withLog(t, "DEBUG")
			newGateway(t, withGlobal(global), logged)
			log := read()
			warned := len(linesWith(log, "written out in the configuration", `"setting":"`+tc.setting.Name+`"`))
			if want := strings.Count(global, tc.writtenOut); warned != want {
				t.Errorf("%s: %d warnings, want %d, of:\n%s", tc.setting.Name, warned, want, global)
			}
			if strings.Contains(log, tc.value) {
				t.Errorf("%s is in the log", tc.setting.Name)
			}
			// What was written out is not kept after it was parsed.
			for _, name := range []string{tc.setting.Name, "app", "signing_key"} {
				if option.Position(name, tc.value) != "" {
					t.Errorf("%s stays in memory", tc.setting.Name)
				}
			}
		}
	}
	for _, setting := range option.SecretSettings {
		if !tested[setting] {
			t.Errorf("%s is not tested", setting.Name)
		}
	}
}

// A secret in a wrong place is not repeated in the message that says so.
func TestMisplacedSecretsAreNotShown(t *testing.T) {
	t.Setenv("WECHAT_TEST_SECRET", testSecret)
	t.Setenv("WECHAT_TEST_APP", testApp)
	const hidden = "0pen5esame"
	for name, tc := range map[string]struct {
		global, site string
		want         []string
	}{
		"swapped":                   {"app " + testSecret + " " + testApp, "", []string{"AppID", "comes second", "Caddyfile:4"}},
		"swapped in variables":      {"app {env.WECHAT_TEST_SECRET} {env.WECHAT_TEST_APP}", "", []string{"AppID", "comes second", "Caddyfile:4"}},
		"AppID twice":               {"app " + testApp + " {env.WECHAT_TEST_APP}", "", []string{"secret", "is an AppID", "Caddyfile:4"}},
		"AppID in capitals":         {"app " + testApp + " " + strings.ToUpper(testApp), "", []string{"secret", "is an AppID", "Caddyfile:4"}},
		"short AppID":               {"app wx123 " + testSecret, "", []string{"AppID", "16 hex digits", "Caddyfile:4"}},
		"capital AppID":             {"app WX1234567890ABCDEF " + testSecret, "", []string{"AppID", "lower case", "Caddyfile:4"}},
		"shell variable as AppID":   {"app $WECHAT_SECRET " + testSecret, "", []string{"AppID", "{env.NAME}", "Caddyfile:4"}},
		"shell variable as secret":  {"app " + testApp + " $WECHAT_SECRET", "", []string{"secret", "{env.NAME}", "Caddyfile:4"}},
		"secret in a site":          {oneApp, "app " + testSecret, []string{"AppID", "Caddyfile:9"}},
		"secret in a site, unnamed": {oneApp, "app {env.WECHAT_TEST_SECRET}", []string{"AppID", "Caddyfile:9"}},
		"secret as owner":           {oneApp, "headers cloud_hosting {\nreuse " + testSecret + "\n}", []string{"reuse", "AppID", "Caddyfile:10"}},
		"key of two words":          {oneApp + "\nsigning_key " + hidden + " x", "", []string{"signing_key", "number 1", "Caddyfile:5"}},
		"password of two words":     {oneApp + "\nstore redis 127.0.0.1:1 {\npassword my " + hidden + "\n}", "", []string{"password", "quotes", "Caddyfile:6"}},
		"store secret of two words": {oneApp + "\nstore redis 127.0.0.1:1 {\nsecret my " + hidden + "\n}", "", []string{"secret", "quotes", "Caddyfile:6"}},
		"Redis by URL":              {oneApp + "\nstore redis redis://:" + hidden + "@127.0.0.1:6379/0", "", []string{"redis", "host:port", "Caddyfile:5"}},
		"kind before the secret":    {"app " + testApp + " official_account " + testSecret, "", []string{"kind", "not one of", "Caddyfile:4"}},
		"password as kind":          {"app " + testApp + " official_account " + hidden, "", []string{"kind", "not one of", "Caddyfile:4"}},
		"Redis password as address": {oneApp + "\nstore redis 127.0.0.1:1 " + hidden, "", []string{"redis", "host:port", "Caddyfile:5"}},
		"Redis user and password":   {oneApp + "\nstore redis 127.0.0.1:1 {\nusername admin " + hidden + "\n}", "", []string{"username", "Caddyfile:6"}},
		"login hook with a secret":  {oneApp + "\non_login https://app.example.com " + hidden + hidden + hidden + hidden, "", []string{"on_login", "Caddyfile:5"}},
		"proxy of two words":        {oneApp + "\napi_proxy http://u: " + hidden, "", []string{"api_proxy", "Caddyfile:5"}},
		"proxy without a scheme":    {oneApp + "\napi_proxy " + hidden + ":x@127.0.0.1", "", []string{"api_proxy", "Caddyfile:5"}},
		"proxy with a bad password": {oneApp + "\napi_proxy http://u:" + hidden + "%zz@127.0.0.1", "", []string{"api_proxy", "Caddyfile:5"}},
		"api with a bad password":   {oneApp + "\napi https://u:" + hidden + "%zz@api.weixin.qq.com", "", []string{"api", "Caddyfile:5"}},
		"api with a password":       {oneApp + "\napi https://u:" + hidden + "@api.weixin.qq.com", "", []string{"api", "Caddyfile:5"}},
	} {
		err := validate(t, siteText(tc.global, tc.site))
		if err == nil {
			t.Errorf("%s: it loads", name)
			continue
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in the message: %v", name, want, err)
			}
		}
		for _, secret := range []string{hidden, testSecret, "WECHAT_SECRET"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the message shows %q: %v", name, secret, err)
			}
		}
		if strings.HasPrefix(name, "swapped") && strings.Contains(err.Error(), testApp) {
			t.Errorf("%s: the message shows the second one: %v", name, err)
		}
	}
}

func TestOddSecretIsWarnedAbout(t *testing.T) {
	for text, odd := range map[string]bool{testSecret: false, strings.ToUpper(testSecret): false, testSecret[1:]: true, "hunter2": true} {
		t.Setenv("WECHAT_TEST_SECRET", text)
		logged, read := withLog(t, "INFO")
		newGateway(t, withGlobal(oneApp), logged)
		if log := read(); strings.Contains(log, "not 32 hex digits") != odd || strings.Contains(log, text) {
			t.Errorf("%d characters: odd should be %v:\n%s", len(text), odd, log)
		}
	}
}
