package operate

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-wechat/gateway/internal/wording"
)

func wechatCommand() *cobra.Command {
	root := &cobra.Command{Use: "caddy"}
	cmd := &cobra.Command{Use: "wechat", Long: wechatHelp}
	addCommands(cmd)
	root.AddCommand(cmd)
	return root
}

// Whoever reads Chinese gets no English help for a command or a flag.
func TestHelpIsWhollyInChinese(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visited := 0
	visit = func(cmd *cobra.Command) {
		visited++
		path := strings.TrimPrefix(cmd.CommandPath(), "caddy ")
		zh, ok := helpInChinese[path]
		if !ok || zh.short == "" || (zh.long == "") != (cmd.Long == "") {
			t.Errorf("help of %q is missing in Chinese, or only there", path)
		}
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			if flagsInChinese[flag.Name] == "" {
				t.Errorf("--%s of %q is missing in Chinese", flag.Name, path)
			}
		})
		for _, below := range cmd.Commands() {
			visit(below)
		}
	}
	visit(wechatCommand().Commands()[0])
	if visited != len(helpInChinese) {
		t.Errorf("%d commands, Chinese help of %d", visited, len(helpInChinese))
	}
}

func TestCommandsSpeakTheLanguageOfTheirUser(t *testing.T) {
	for _, test := range []struct {
		args   []string
		locale string
		want   string
	}{
		{[]string{"wechat", "sessions", "--help"}, "", "Lists and ends sessions"},
		{[]string{"wechat", "sessions", "--help"}, "zh_CN.UTF-8", "查看和结束会话，禁止用户登录。"},
		{[]string{"wechat", "--lang", "zh", "sessions", "end", "--help"}, "", "结束该账号的所有会话"},
		{[]string{"wechat", "sessions", "end", "--lang", "zh"}, "", "请指定账号：--app <appid>"},
		{[]string{"wechat", "sessions", "end"}, "zh_CN.UTF-8", "请指定账号：--app <appid>"},
		{[]string{"wechat", "sessions", "end", "--lang", "en"}, "zh_CN.UTF-8", "name the app: --app <appid>"},
		{[]string{"wechat", "status", "secret", "--lang", "zh"}, "", "不接受这样的参数"},
		{[]string{"wechat", "status", "--lang", "fr"}, "", "must be en or zh"},
		{[]string{"wechat", "doctor", "--adapter", "caddyfile", "--lang", "zh"}, "", "用 --adapter 就要用 --config"},
	} {
		t.Setenv("LC_ALL", test.locale)
		t.Setenv("LC_MESSAGES", "")
		t.Setenv("LANG", "")
		root := wechatCommand()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs(test.args)
		_ = root.Execute() // its text is looked at
		if !strings.Contains(out.String(), test.want) {
			t.Errorf("%q in %q: %s", test.args, test.locale, &out)
		}
	}
}

// Every text that the doctor and the commands print is there in Chinese. One that is
// written where this test does not see it is found by the first of these functions that
// has no text as its argument.
func TestTextsAreWhollyInChinese(t *testing.T) {
	seen := 0
	for _, folder := range []string{".", "../auth", "../../internal/doctor"} {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		files = slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, "_test.go") || name == "help_chinese.go" })
		set := token.NewFileSet()
		var parsed []*ast.File
		consts := make(map[string]ast.Expr)
		for _, name := range files {
			file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			parsed = append(parsed, file)
			for _, decl := range file.Decls {
				if general, ok := decl.(*ast.GenDecl); ok && general.Tok == token.CONST {
					for _, spec := range general.Specs {
						values := spec.(*ast.ValueSpec)
						for i, value := range values.Values {
							consts[values.Names[i].Name] = value
						}
					}
				}
			}
		}
		var text func(expr ast.Expr) (string, bool)
		text = func(expr ast.Expr) (string, bool) {
			switch e := expr.(type) {
			case *ast.BasicLit:
				s, err := strconv.Unquote(e.Value)
				return s, err == nil
			case *ast.Ident:
				if value, ok := consts[e.Name]; ok {
					return text(value)
				}
			case *ast.BinaryExpr:
				left, ok := text(e.X)
				right, ok2 := text(e.Y)
				return left + right, ok && ok2 && e.Op == token.ADD
			}
			return "", false
		}
		at := map[string]int{"Textf": 0, "Errorf": 0, "OKf": 2, "Skipf": 2, "Warnf": 3, "Failf": 3}
		for _, file := range parsed {
			ast.Inspect(file, func(node ast.Node) bool {
				switch n := node.(type) {
				case *ast.CallExpr:
					name, of := called(n)
					i, known := at[name]
					if !known || len(n.Args) <= i || name == "Errorf" && of != "wording" {
						return true
					}
					if english, ok := text(n.Args[i]); ok {
						seen++
						if !wording.HasChinese(english) {
							t.Errorf("%s: %q is missing in Chinese", set.Position(n.Pos()), english)
						}
					}
				case *ast.CompositeLit: // tables of texts
					if array, ok := n.Type.(*ast.MapType); ok && isTable(array) {
						for _, entry := range n.Elts {
							for _, english := range texts(entry.(*ast.KeyValueExpr).Value, text) {
								seen++
								if english != "" && !wording.HasChinese(english) {
									t.Errorf("%s: %q is missing in Chinese", set.Position(entry.Pos()), english)
								}
							}
						}
					}
				}
				return true
			})
		}
	}
	if seen < 100 {
		t.Errorf("only %d texts were found", seen)
	}
}

func called(call *ast.CallExpr) (name, of string) {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name, ""
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return f.Sel.Name, x.Name
		}
	}
	return "", ""
}

// isTable reports whether a map has texts by an errcode or a verdict.
func isTable(m *ast.MapType) bool {
	if array, ok := m.Value.(*ast.ArrayType); ok {
		element, ok := array.Elt.(*ast.Ident)
		return ok && element.Name == "string" && array.Len != nil
	}
	key, ok := m.Key.(*ast.Ident)
	value, ok2 := m.Value.(*ast.Ident)
	return ok && ok2 && key.Name == "string" && value.Name == "string"
}

func texts(value ast.Expr, text func(ast.Expr) (string, bool)) (found []string) {
	if pair, ok := value.(*ast.CompositeLit); ok {
		for _, element := range pair.Elts {
			if s, ok := text(element); ok {
				found = append(found, s)
			}
		}
		return found
	}
	if s, ok := text(value); ok {
		found = append(found, s)
	}
	return found
}
