package caddymodule_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

var (
	fence      = regexp.MustCompile("(?ms)^ *```(\\w*)\n(.*?)^ *```$")
	codeSpan   = regexp.MustCompile("`([^`\n]+)`")
	identifier = regexp.MustCompile(`[a-z][a-z0-9_]*`)
	tableRow   = regexp.MustCompile(`(?m)^ *\|.*\|$`)
)

func readDoc(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// spans are the names in back-quotes outside fenced blocks.
func spans(page string) map[string]bool {
	found := make(map[string]bool)
	for _, m := range codeSpan.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		found[m[1]] = true
	}
	return found
}

// words are the identifiers within the names in back-quotes.
func words(page string) map[string]bool {
	found := make(map[string]bool)
	for span := range spans(page) {
		for _, word := range identifier.FindAllString(span, -1) {
			found[word] = true
		}
	}
	return found
}

// Every option of a Caddyfile and every key of the JSON is in the reference.
func TestReferenceHasEverySetting(t *testing.T) {
	known := words(readDoc(t, "docs/reference.md"))
	for _, m := range fence.FindAllStringSubmatch(readDoc(t, "docs/reference.md"), -1) {
		for _, word := range identifier.FindAllString(m[2], -1) {
			known[word] = known[word] || m[1] == "json"
		}
	}
	options := 0
	for _, name := range sources(t) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if called, ok := call.Fun.(*ast.SelectorExpr); !ok || called.Sel.Name != "Unknown" {
				return true
			}
			for _, option := range literals(call.Args[2:]) {
				options++
				if !known[option] {
					t.Errorf("%s: docs/reference.md lacks the option %s", name, option)
				}
			}
			return true
		})
	}
	if options < 40 {
		t.Errorf("%d options found", options)
	}
	keys := make(map[string]bool)
	for _, module := range []string{"wechat", "http.handlers.wechat_auth", "http.handlers.wechat_api", "wechat.stores.memory", "wechat.stores.redis"} {
		info, err := caddy.GetModule(module)
		if err != nil {
			t.Fatal(err)
		}
		jsonKeys(reflect.TypeOf(info.New()), keys, make(map[reflect.Type]bool))
	}
	if len(keys) < 50 {
		t.Errorf("%d keys found", len(keys))
	}
	for key := range keys {
		if !known[key] {
			t.Errorf("docs/reference.md lacks the key %s", key)
		}
	}
}

// jsonKeys collects the keys of a type of this module and of all in it.
func jsonKeys(of reflect.Type, keys map[string]bool, seen map[reflect.Type]bool) {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice || of.Kind() == reflect.Map {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || seen[of] || !strings.Contains(of.PkgPath(), "caddy-wechat") {
		return
	}
	seen[of] = true
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || name == "-" || name == "" && !field.Anonymous {
			continue
		}
		if name != "" {
			keys[name] = true
		}
		jsonKeys(field.Type, keys, seen)
	}
}

// Every code that a client or a log can get is in the reference or on the page that
// it points to, and the table of errors has no other.
func TestReferenceHasEveryCode(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "internal/answer/codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := make(map[string]bool)
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Code") {
			for _, code := range literals(spec.Values) {
				codes[code] = true
			}
		}
		return true
	})
	if len(codes) < 30 {
		t.Fatalf("%d codes found", len(codes))
	}
	reference := readDoc(t, "docs/reference.md")
	known := spans(reference)
	maps.Copy(known, spans(readDoc(t, "docs/cloud-hosting/README.md")))
	userData := readDoc(t, "docs/user-data.md")
	for code := range codes {
		if !known[code] && !strings.Contains(userData, code+"`") {
			t.Errorf("docs/reference.md lacks the code %s", code)
		}
	}
	for _, row := range regexp.MustCompile(`(?m)^\| \d\d\d[\d, ]* \| ([^|]+) \|`).FindAllStringSubmatch(reference, -1) {
		for code := range spans(row[1]) {
			if !codes[code] {
				t.Errorf("docs/reference.md has the code %s, which does not exist", code)
			}
		}
	}
}

// Every route of the reference answers with the method that it names, allows it,
// and no route is left out.
func TestReferenceHasEveryRoute(t *testing.T) {
	g := newGateway(t, withBrowsers("assertion X-Signed-User\nbrowser {\nscan "+testApp+" pages/scan/scan\n}", ""))
	listed := make(map[string]bool)
	for span := range spans(readDoc(t, "docs/reference.md")) {
		method, path, ok := strings.Cut(span, " ")
		if !ok || method != http.MethodGet && method != http.MethodPost || !strings.HasPrefix(path, "/wechat/") || path == "/wechat/ready" {
			continue
		}
		name := strings.TrimPrefix(path, "/wechat/")
		listed[name] = true
		if resp, body := g.do(method, path, ""); resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed {
			t.Errorf("%s: %d %s", span, resp.StatusCode, body)
		}
		if resp, body := g.do(http.MethodPut, path, ""); resp.StatusCode != http.StatusMethodNotAllowed ||
			!slices.Contains(strings.Split(resp.Header.Get("Allow"), ", "), method) {
			t.Errorf("PUT %s: %d %s", path, resp.StatusCode, body)
		}
	}
	route := regexp.MustCompile(`h\.Prefix ?\+ ?("/[a-z./-]+")`)
	defined := 0
	for _, name := range sources(t) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range route.FindAllStringSubmatch(string(data), -1) {
			path, err := strconv.Unquote(m[1])
			if err != nil {
				t.Fatal(err)
			}
			defined++
			if !listed[path[1:]] {
				t.Errorf("%s: docs/reference.md lacks the route %s", name, path)
			}
		}
	}
	if defined < 8 {
		t.Errorf("%d routes found", defined)
	}
}

// Every command is in the reference, and it and the page about operations name no
// other.
func TestReferenceHasEveryCommand(t *testing.T) {
	root := &cobra.Command{Use: "caddy"}
	wechat := &cobra.Command{Use: "wechat"}
	root.AddCommand(wechat)
	caddycmd.Commands()["wechat"].CobraFunc(wechat)
	var commands []string
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if !c.HasSubCommands() {
			commands = append(commands, c.CommandPath())
		}
		for _, below := range c.Commands() {
			walk(below)
		}
	}
	walk(wechat)
	if len(commands) < 8 {
		t.Errorf("%d commands found", len(commands))
	}
	reference := readDoc(t, "docs/reference.md")
	for _, command := range commands {
		if !strings.Contains(reference, "`"+command) {
			t.Errorf("docs/reference.md lacks the command %s", command)
		}
	}
	for _, page := range []string{"README.md", "docs/reference.md", "docs/operations.md"} {
		for _, named := range regexp.MustCompile(`caddy wechat ([a-z-]+(?: [a-z]+)?)`).FindAllStringSubmatch(readDoc(t, page), -1) {
			first, _, _ := strings.Cut(named[1], " ")
			exists := slices.ContainsFunc(commands, func(c string) bool {
				return c == "caddy wechat "+named[1] || c == "caddy wechat "+first
			})
			if !exists && named[1] != "sessions" {
				t.Errorf("%s names %q, which does not exist", page, named[0])
			}
		}
	}
}

// What the replacer knows of a user is in the reference.
func TestReferenceHasEveryPlaceholder(t *testing.T) {
	reference := spans(readDoc(t, "docs/reference.md"))
	found := make(map[string]bool)
	for _, name := range sources(t) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`case "(http\.auth\.user\.\w+)"`).FindAllStringSubmatch(string(data), -1) {
			found[m[1]] = true
		}
	}
	if len(found) != 6 {
		t.Errorf("%d placeholders found", len(found))
	}
	for name := range found {
		if !reference["{"+name+"}"] {
			t.Errorf("docs/reference.md lacks the placeholder %s", name)
		}
	}
}
