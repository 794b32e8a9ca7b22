package caddymodule_test

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	threatRow  = regexp.MustCompile(`(?m)^\| ([HPJLWOVFGBK]\d+) \|.*\| (.+) \|$`)
	testName   = regexp.MustCompile("`((?:Test|Fuzz)\\w+)`")
	testDefine = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
)

// Every threat has its row, and every test that a row names exists.
func TestThreatsNameTheirTests(t *testing.T) {
	defined := make(map[string]bool)
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		for _, m := range testDefine.FindAllStringSubmatch(string(data), -1) {
			defined[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("../docs/threats.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[byte]int)
	for _, row := range threatRow.FindAllStringSubmatch(string(data), -1) {
		rows[row[1][0]]++
		names := testName.FindAllStringSubmatch(row[2], -1)
		if len(names) == 0 && row[1] != "L10" && row[1] != "O4" {
			t.Errorf("%s names no test", row[1])
		}
		for _, name := range names {
			if !defined[name[1]] {
				t.Errorf("%s names %s, which does not exist", row[1], name[1])
			}
		}
	}
	for group, want := range map[byte]int{'H': 15, 'P': 14, 'J': 19, 'L': 15, 'W': 12, 'O': 11, 'V': 5, 'B': 20} {
		if rows[group] != want {
			t.Errorf("%d rows %c, want %d", rows[group], group, want)
		}
	}
}

// The curl lines of docs/operations.md work as they stand, apart from the names.
func TestDocumentedOperationsWork(t *testing.T) {
	data, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	g := newGateway(t, withAdmin)
	line := regexp.MustCompile(`(?m)^curl -s (?:-X ([A-Z]+) )?localhost:2019(/\S+)(?: -H 'Content-Type: application/json' -d '(.*)')?$`)
	lines := line.FindAllStringSubmatch(string(data), -1)
	if all := strings.Count(string(data), "\ncurl "); len(lines) != all || all < 13 {
		t.Errorf("%d of %d curl lines are understood", len(lines), all)
	}
	for _, l := range lines {
		method, want := l[1], 200
		if method == "" {
			method = "GET"
		}
		if method == "DELETE" { // there is no such key
			want = 404
		}
		if l[2] == "/wechat/users/set" { // names somebody who is logged in
			g.must(http.MethodPost, "/wechat/users/allow", targetA, &struct{}{})
			g.login(userA)
		}
		if status, body := g.operate(method, l[2], l[3]); status != want {
			t.Errorf("%s: %d %s", l[0], status, body)
		}
	}
}

// The client chapters are the example as it is.
func TestClientChapterIsTheExample(t *testing.T) {
	for file, page := range map[string]string{"client.js": "README.md", "pages/index/index.js": "docs/reference.md"} {
		code, err := os.ReadFile(filepath.Join("../client/example", file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(readDoc(t, page), "```js\n"+string(code)+"```\n") {
			t.Errorf("%s does not show client/example/%s as it is", page, file)
		}
	}
}
