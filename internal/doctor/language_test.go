package doctor

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

var anyVerb = regexp.MustCompile(`%[0-9.]*[a-z]`)

// Both languages say the same of the same, and no phrase hides another one.
func TestPhrasesAgree(t *testing.T) {
	for i, p := range phrases {
		if e, c := strings.Count(p.english, "%s"), strings.Count(p.chinese, "%s"); e != c || len(anyVerb.FindAllString(p.english+p.chinese, -1)) != e+c {
			t.Errorf("placeholders differ: %q, %q", p.english, p.chinese)
		}
		if !strings.ContainsFunc(p.chinese, func(r rune) bool { return unicode.Is(unicode.Han, r) || r == '（' }) {
			t.Errorf("%q is not in Chinese", p.english)
		}
		for j, pattern := range patterns()[:i] {
			if pattern.MatchString(p.english) {
				t.Errorf("%q comes after %q, which takes it", p.english, phrases[j].english)
			}
		}
	}
}

// notSaid are functions whose texts are no findings.
var notSaid = map[string]bool{
	"doctorCommand": true, "runDoctor": true, "readable": true, "WriteText": true, "WriteJSON": true, "LanguageOf": true,
	"openSite": true, "request": true, "names": true,
}

// Whatever the doctor says is a phrase, or a part of one.
func TestEveryFindingIsAPhrase(t *testing.T) {
	found := 0
	for _, name := range []string{
		"wechat.go", "connection.go", "headers.go",
		"../../caddymodule/operate/doctor.go", "../../caddymodule/operate/doctor_headers.go",
		"../../caddymodule/operate/doctor_sites.go", "../../caddymodule/operate/doctor_hook.go", "../../caddymodule/operate/doctor_state.go",
		"../../caddymodule/operate/command_sessions.go",
	} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			f, isFunction := declaration.(*ast.FuncDecl)
			if isFunction && notSaid[f.Name.Name] || strings.HasSuffix(name, "command_sessions.go") && !declares(declaration, "verdictWords") {
				continue
			}
			ast.Inspect(declaration, func(n ast.Node) bool {
				literal, ok := n.(*ast.BasicLit)
				if !ok || literal.Kind != token.STRING {
					return true
				}
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				// The parts between what is put in.
				for part := range strings.SplitSeq(anyVerb.ReplaceAllString(text, "\n"), "\n") {
					part = strings.TrimSpace(part)
					if strings.Count(part, " ") < 2 || part == "" {
						continue
					}
					found++
					if !inPhrase(part) {
						t.Errorf("%s says %q, which is not in the table of phrases", name, part)
					}
				}
				return true
			})
		}
	}
	if found < 100 {
		t.Errorf("%d texts found", found)
	}
}

// declares reports whether the declaration is of that variable.
func declares(declaration ast.Decl, name string) bool {
	general, ok := declaration.(*ast.GenDecl)
	if !ok || len(general.Specs) != 1 {
		return false
	}
	spec, ok := general.Specs[0].(*ast.ValueSpec)
	return ok && spec.Names[0].Name == name
}

func inPhrase(part string) bool {
	for _, p := range phrases {
		if strings.Contains(p.english, part) {
			return true
		}
	}
	return false
}

func TestSayInChinese(t *testing.T) {
	for english, want := range map[string]string{
		"":                        "",
		"permission denied":       "permission denied",
		"the AppSecret is frozen": "AppSecret 已被冻结",
		"the AppSecret is frozen (errcode 40243, rid ab-c)":                            "AppSecret 已被冻结（errcode 40243，rid ab-c）",
		"the app gets X-OpenID 2 times":                                                "业务应用收到 X-OpenID 共 2 次",
		"2 keys in Caddy's storage; k1 signs, made 3 days ago":                         "Caddy 的存储里有 2 个密钥，用来签名的是 k1，生成于 3 天前",
		"not tested: the configuration has no apps":                                    "没有检查：配置里没有 apps",
		"a client's request to x/wechat/login gets no answer: %s":                      "客户端对 x/wechat/login 的请求没有响应：%s",
		"a client's request to %s gets no answer: EOF":                                 "客户端对 %s 的请求没有响应：EOF",
		"the app's IP whitelist does not have this machine; WeChat sees it as 1.2.3.4": "这台机器不在该账号的 IP白名单里；微信看到的地址是 1.2.3.4",
	} {
		if got := Chinese.Say(english); got != want {
			t.Errorf("%q: %q, want %q", english, got, want)
		}
		if got := English.Say(english); got != english {
			t.Errorf("English: %q", got)
		}
	}
}

// The wish counts, then the first variable that is set.
func TestLanguageOf(t *testing.T) {
	for name, tc := range map[string]struct {
		wish string
		env  map[string]string
		want Language
	}{
		"nothing":                {"", nil, English},
		"wish":                   {"zh", map[string]string{"LC_ALL": "en_US.UTF-8"}, Chinese},
		"wish for English":       {"en", map[string]string{"LANG": "zh_CN.UTF-8"}, English},
		"LANG":                   {"", map[string]string{"LANG": "zh_CN.UTF-8"}, Chinese},
		"LANG alone":             {"", map[string]string{"LANG": "zh"}, Chinese},
		"LC_MESSAGES over LANG":  {"", map[string]string{"LC_MESSAGES": "en_US", "LANG": "zh_CN.UTF-8"}, English},
		"LC_ALL over all":        {"", map[string]string{"LC_ALL": "zh_TW.Big5", "LC_MESSAGES": "C", "LANG": "C"}, Chinese},
		"LC_ALL=C":               {"", map[string]string{"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, English},
		"empty is as if not set": {"", map[string]string{"LC_ALL": "", "LANG": "zh_CN"}, Chinese},
		"another language":       {"", map[string]string{"LANG": "zha_CN"}, English},
	} {
		got, err := LanguageOf(tc.wish, func(name string) string { return tc.env[name] })
		if err != nil || got != tc.want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	if _, err := LanguageOf("fr", func(string) string { return "" }); err == nil {
		t.Error("fr is a language")
	}
}
