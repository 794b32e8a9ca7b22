package caddymodule_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/gateway/internal/wording"
)

// explainedInChinese wants an error of loading to be one that the doctor explains.
func explainedInChinese(t *testing.T, err error) {
	t.Helper()
	if text := wording.CorrectionOf(err).In(wording.Chinese); text == wording.CorrectionOf(errors.New("")).In(wording.Chinese) {
		t.Errorf("nothing in Chinese about: %v", err)
	}
}

// Mistakes that Caddy finds before anybody asks this module.
func TestCaddysMistakesAreExplained(t *testing.T) {
	const options = "{\n\twechat {\n\t\tapp wx1234567890abcdef {env.X}\n\t}\n}\n"
	for text, want := range map[string]string{
		options + "a.example {\n\twechat_aut\n}\n":                           "没有“wechat_aut”这条指令",
		"{\n\twechatt {\n\t}\n}\n":                                           "没有“wechatt”这个全局选项",
		options + "a.example {\n\treverse_proxy :3000 {\n\t\tx\n\t}\n}\n":    "没有“x”这个子选项",
		options + "a.example {\n\treverse_proxy @x :3000\n}\n":               "匹配器 @x",
		options + "a.example {\n\t@x pth /\n\trespond @x hello\n}\n":         "没有“pth”这种匹配器",
		"a.example {\n}\n" + options:                                         "放在文件最前面",
		options[:len(options)-2] + "\twechat {\n\t\tapp wx1 x\n\t}\n}\n":     "只能写一次",
		options + "a.example {\n}\na.example {\n}\n":                         "写了两次",
		options + "a.example{\n\twechat_auth\n}\n":                           "大括号前面要有一个空格",
		options + "a.example {\n\twechat_auth { optional }\n}\n":             "后面要换行",
		options + "a.example {\n\troute\n{\n\t\twechat_auth\n\t}\n}\n":       "写在上一行的末尾",
		options + "a.example {\n\twechat_auth\n":                             "少了一个 `}`",
		options + "a.example {\n}\n}\n":                                      "多写了一个 `}`",
		options + "a.example {\n\timport nothing\n}\n":                       "“nothing”不存在",
		options + "https://a.example:80 {\n\twechat_auth\n}\n":               "协议和端口对不上",
		"{\n\twechat {\n\t\tapp wx1234567890abcdef x\n\t\tstore x\n\t}\n}\n": "没有“x”这种会话存储",
		"{\n\twechat {\n\t\tapp\n\t}\n}\n":                                   "`app` 后面要有 AppID 和小程序密钥",
	} {
		_, _, err := adapt(text)
		if err == nil {
			t.Errorf("%s is understood", text)
		} else if got := wording.CorrectionOf(err).In(wording.Chinese); !strings.Contains(got, want) {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
	for text, want := range map[string]string{
		`{"apps":{"wechat":{"ap":[]}}}`:     "没有“ap”这个字段",
		`{"apps":{"wecat":{}}}`:             "没有模块 wecat",
		`{"storage":{"module":"nonsense"}}`: "没有模块",
	} {
		if err := wording.CorrectionOf(validateText(t, text)).In(wording.Chinese); !strings.Contains(err, want) {
			t.Errorf("%s: %s, want %s", text, err, want)
		}
	}
}

// validateText does what `caddy validate` does with JSON, and returns its error.
func validateText(t *testing.T, text string) error {
	t.Helper()
	var config caddy.Config
	err := json.Unmarshal([]byte(text), &config)
	if err == nil {
		err = caddy.Validate(&config)
	}
	if err == nil {
		t.Fatalf("%s loads", text)
	}
	return err
}
