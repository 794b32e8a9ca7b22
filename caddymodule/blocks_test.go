package caddymodule_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// block is a fenced block of a page.
type block struct {
	page           string
	line           int // of its fence
	language, text string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// inEnglish is the English page of a page.
func inEnglish(page string) string {
	for english, chinese := range pairs {
		if chinese == page {
			return english
		}
	}
	return page
}

// blocksOf are the fenced blocks of a page, without their indentation. It reads line
// by line, for no expression to overlook one.
func blocksOf(t *testing.T, page string) []block {
	t.Helper()
	var found []block
	indent, inside := "", false
	for i, line := range strings.Split(readDoc(t, page), "\n") {
		text := strings.TrimLeft(line, " \t")
		switch {
		case inside && line == indent+"```":
			inside = false
		case inside:
			b := &found[len(found)-1]
			b.text += strings.TrimPrefix(line, indent) + "\n"
		case strings.HasPrefix(text, "```"):
			inside, indent = true, line[:len(line)-len(text)]
			found = append(found, block{page: page, line: i + 1, language: text[3:]})
		case strings.HasPrefix(text, "~~~"):
			t.Errorf("%s:%d: fences of this documentation are of back-quotes", page, i+1)
		}
	}
	if inside {
		t.Errorf("%v is not closed", found[len(found)-1])
	}
	return found
}

// checkers are what looks at a block of each kind. Commands are looked at by page, as
// those of a page share their variables.
var checkers = map[string]func(t *testing.T, b block){
	"caddyfile": checkCaddyfile,
	"json":      checkJSON,
	"http":      checkHTTP,
	"text":      checkText,
	"go":        checkGo,
	"js":        checkJavaScript,
	"ts":        checkRun,
	"python":    checkPython,
	"php":       checkPHP,
	"ruby":      checkRuby,
	"java":      checkJava,
	"csharp":    checkCSharp,
}

// Every block of the documentation, in both languages, is of a kind that something
// looks at: a Caddyfile loads, a program is run or at least parsed by its own
// compiler, a command has options that exist, and so on.
func TestEveryBlockOfTheDocumentationIsChecked(t *testing.T) {
	known, kinds := make(map[string]bool), make(map[string]int)
	for _, page := range documentation(t) {
		var commands []block
		for _, b := range blocksOf(t, page) {
			kinds[b.language]++
			if b.language == "sh" || b.language == "console" {
				commands = append(commands, b)
				continue
			}
			check, ok := checkers[b.language]
			if !ok {
				t.Errorf("%v: nothing checks blocks of the kind %q; name one of those in blocks_test.go, or write a check for it", b, b.language)
				continue
			}
			// A Chinese page has the blocks of the English one.
			if same := b.language + "\n" + b.text; !known[same] || b.language == "ts" {
				known[same] = true
				t.Run(b.String(), func(t *testing.T) { check(t, b) })
			}
		}
		if len(commands) > 0 {
			t.Run(page+" commands", func(t *testing.T) { checkCommands(t, commands) })
		}
	}
	for _, kind := range append([]string{"sh", "console"}, slices.Collect(maps.Keys(checkers))...) {
		if kinds[kind] == 0 {
			t.Errorf("no block of the kind %s was found", kind)
		}
	}
}

func checkJSON(t *testing.T, b block) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(b.text), &members); err != nil {
		t.Fatalf("%v: %v", b, err)
	}
	if members["apps"] != nil {
		provisions(t, b, []byte(b.text))
	}
}

// provisions wants a configuration to load as `caddy validate` does, with keys in place of
// what its placeholders would read.
func provisions(t *testing.T, b block, config []byte) {
	t.Helper()
	var parsed caddy.Config
	if err := caddy.StrictUnmarshalJSON(placeholder.ReplaceAll(config, []byte(testKey)), &parsed); err != nil {
		t.Fatalf("%v: %v", b, err)
	}
	parsed.Admin = &caddy.AdminConfig{Disabled: true}
	parsed.StorageRaw = mustJSON(t, map[string]string{"module": "file_system", "root": t.TempDir()})
	if err := caddy.Validate(&parsed); err != nil {
		t.Errorf("%v: %v\n%s", b, err, b.text)
	}
}

// checkHTTP reads headers, or a request line without its version, headers and a body.
func checkHTTP(t *testing.T, b block) {
	text := strings.ReplaceAll(b.text, "\n", "\r\n") + "\r\n"
	first, rest, _ := strings.Cut(text, "\r\n")
	method, target, request := strings.Cut(first, " ")
	if !request || strings.HasSuffix(method, ":") {
		headers, err := textproto.NewReader(bufio.NewReader(strings.NewReader(text))).ReadMIMEHeader()
		if err != nil || len(headers) == 0 {
			t.Errorf("%v: %v", b, err)
		}
		return
	}
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" + rest)))
	if err != nil {
		t.Fatalf("%v: %v", b, err)
	}
	_, body, _ := strings.Cut(b.text, "\n\n")
	if req.Header.Get("Content-Type") == "application/json" && !json.Valid([]byte(body)) {
		t.Errorf("%v: the body is not JSON: %s", b, body)
	}
}

// checkText lets drawings and what programs print pass, and nothing that somebody is
// to type.
func checkText(t *testing.T, b block) {
	if strings.TrimSpace(b.text) == "" {
		t.Errorf("%v is empty", b)
	}
	for line := range strings.Lines(b.text) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, program := programs[word]; program || word == "$" {
			t.Errorf("%v: %q is a command; the kind of the block is sh or console", b, strings.TrimSpace(line))
		}
	}
}

// checkRun is for what only [TestDocumentedAppsReadTheHeaders] can compile.
func checkRun(t *testing.T, b block) {
	if dir, name := filepath.Split(inEnglish(b.page)); dir != "docs/apps/" || documentedApps[name] == nil {
		t.Errorf("%v: no test runs this page", b)
	}
}

// checkGo looks for the lines in the program that the page shows a part of, which is
// compiled and run.
func checkGo(t *testing.T, b block) {
	name := strings.TrimSuffix(filepath.Base(b.page), ".md")
	code, err := os.ReadFile(filepath.Join("..", "docs", "apps", name, "main.go"))
	if err != nil {
		t.Fatalf("%v: blocks of Go are parts of a program in a folder that has the page's name: %v", b, err)
	}
	checkRun(t, b)
	flat := func(text string) string {
		return regexp.MustCompile(`(?m)^\t+`).ReplaceAllString(comment.ReplaceAllString(text, ""), "")
	}
	for part := range strings.SplitSeq(strings.TrimSpace(b.text), "\n\n") {
		if !strings.Contains(flat(string(code)), flat(part)+"\n") {
			t.Errorf("%v: main.go has no\n%s", b, part)
		}
	}
}

// parses runs a program on each of the texts as a file, and wants it to accept one.
func parses(t *testing.T, b block, extension, program string, args []string, texts ...string) {
	t.Helper()
	var said bytes.Buffer
	for _, text := range texts {
		file := filepath.Join(t.TempDir(), "block"+extension)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), program, append(slices.Clone(args), file)...).CombinedOutput()
		if err == nil {
			return
		}
		fmt.Fprintf(&said, "%v\n%s", err, out)
	}
	t.Errorf("%v does not parse: %s", b, &said)
}
