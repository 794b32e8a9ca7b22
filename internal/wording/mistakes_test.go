package wording

import (
	"errors"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/zh-CN/load-errors.md")

func TestCorrections(t *testing.T) {
	for message, want := range map[string]string{
		`parsing caddyfile tokens for 'wechat_auth': wechat_auth: unrecognized option "prefixes", did you mean "prefix"? The options are: app, prefix, token, at Caddyfile:9`: "没有“prefixes”这个选项，是不是想写 `prefix`？这里可用的选项：app, prefix, token",
		`app wx1234567890abcdef: the secret placeholder {env.X} is not set or empty, at Caddyfile:4`:                                                                          "占位符 {env.X} 取不到值",
		"token_lifetime: must be 1s to 30d, not 40d, at C:\\Caddyfile:3":                                                                                                      "要在 1s 到 30d 之间，现在是 40d。",
		"nobody knows this one": "按提示改正",
	} {
		text := CorrectionOf(errors.New(message))
		if got := text.In(Chinese); !strings.HasPrefix(got, want) && !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s", message, got)
		}
		if got := text.String(); got != "correct what the message names" {
			t.Errorf("in English: %s", got)
		}
	}
}

var (
	quotedVerb = regexp.MustCompile(`%(\[\d+\])?q`)
	anyVerb    = regexp.MustCompile(`%(\[\d+\])?\d*[a-z]`)
	holes      = regexp.MustCompile(`(` + hole + `)+`)
	words      = regexp.MustCompile(`[a-z]{2,}`)
)

// holed is a format with holes for its verbs, as mistakes have them.
func holed(format string) string {
	format = anyVerb.ReplaceAllString(quotedVerb.ReplaceAllString(format, `"`+hole+`"`), hole)
	return strings.ReplaceAll(holes.ReplaceAllString(format, hole), "%%", "%")
}

// ofCaddy are the mistakes that Caddy finds, or the system. TestCaddysMistakesAreExplained
// makes them.
const ofCaddy = "Caddyfile 的写法"

// A mistake that no source makes, or not in these words, explains nothing.
func TestMistakesAreMade(t *testing.T) {
	var made []string
	options := make(map[string]bool) // what the parsers of Caddyfiles say
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || filepath.Base(path) == "chinese_mistakes.go" {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			switch n := node.(type) {
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
					made = append(made, holed(text))
				}
			case *ast.CallExpr:
				name, ok := n.Fun.(*ast.SelectorExpr)
				if !ok || len(n.Args) == 0 || name.Sel.Name != "Errf" && name.Sel.Name != "Err" {
					return true
				}
				if literal, ok := n.Args[0].(*ast.BasicLit); ok {
					if text, err := strconv.Unquote(literal.Value); err == nil {
						options[holed(text)] = true
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range mistakes {
		if group.subject == ofCaddy || group.subject == "启动时" {
			continue
		}
		for _, m := range group.mistakes {
			if strings.Contains(m.text, "wrong argument count") { // Caddy's
				continue
			}
			if !slices.ContainsFunc(made, func(text string) bool { return strings.Contains(text, strings.TrimSuffix(m.text, hole)) }) {
				t.Errorf("no error says %q", m.text)
			}
		}
	}
	if len(options) < 40 {
		t.Errorf("%d errors of options found", len(options))
	}
	for text := range options {
		// What only says where another error stands is explained by that one.
		if n := len(words.FindAllString(text, -1)); n < 3 || n < 6 && strings.HasSuffix(text, hole) {
			continue
		}
		message := holes.ReplaceAllString(text, "x")
		if got := CorrectionOf(errors.New(message)).In(Chinese); got == chinese["correct what the message names"] {
			t.Errorf("nothing explains %q", text)
		}
	}
}

// The page shows what the doctor says.
func TestMistakesAreOnTheirPage(t *testing.T) {
	const page = "../../docs/zh-CN/load-errors.md"
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, _, found := strings.Cut(string(data), "\n## ")
	if !found {
		t.Fatal("the page has no chapters")
	}
	number := regexp.MustCompile(`\{\d\}`)
	var b strings.Builder
	b.WriteString(head)
	for _, group := range mistakes {
		b.WriteString("\n## " + group.subject + "\n\n| 报错里有 | 意思和办法 |\n|---|---|\n")
		for _, m := range group.mistakes {
			quotes := "`"
			if strings.Contains(m.text, "`") {
				quotes = "``"
			}
			b.WriteString("| " + cell(quotes+m.text+quotes) + " | " + cell(number.ReplaceAllString(m.correction, hole)) + " |\n")
		}
	}
	if want := b.String(); string(data) != want {
		if !*update {
			t.Fatal("the page does not show the mistakes as they are; run the test with -update")
		}
		if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
