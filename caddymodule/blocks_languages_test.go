package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
)

// clientMethod is a call of the client package in a block.
var clientMethod = regexp.MustCompile(`\bclient\.(\w+)\(`)

// clientMethods are what the client offers to a page.
var clientMethods = sync.OnceValues(func() (methods []string, err error) {
	out, err := exec.Command(
		"node", "-p",
		`globalThis.wx = {}; JSON.stringify(Object.keys(require('../client').createClient({ baseURL: 'http://localhost' })))`,
	).Output()
	if err != nil {
		return nil, fmt.Errorf("the client: %w", err)
	}
	return methods, json.Unmarshal(out, &methods)
})

// checkJavaScript parses a block as a module or as a script, and wants the client to
// have what is called of it.
func checkJavaScript(t *testing.T, b block) {
	node := tool(t, "node")
	extension := ".cjs"
	if regexp.MustCompile(`(?m)^(import |(const \w+ = )?await )`).MatchString(b.text) {
		extension = ".mjs"
	}
	parses(t, b, extension, node, []string{"--check"}, b.text)
	called := clientMethod.FindAllStringSubmatch(b.text, -1)
	if len(called) == 0 {
		return
	}
	methods, err := clientMethods()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range called {
		if !slices.Contains(methods, m[1]) {
			t.Errorf("%v: the client has no %s, only %v", b, m[1], methods)
		}
	}
}

func checkPython(t *testing.T, b block) {
	parses(t, b, ".py", tool(t, "python3"), []string{"-c", "import ast, sys; ast.parse(open(sys.argv[1], encoding='utf-8').read())"}, b.text)
}

// checkPHP parses a block as a file, or as a part of one: statements, a method, or
// members of an array.
func checkPHP(t *testing.T, b block) {
	parses(t, b, ".php", tool(t, "php"), []string{"-l"},
		b.text, "<?php\n"+b.text, "<?php class A {\n"+b.text+"}\n", "<?php return [\n"+b.text+"];\n")
}

func checkRuby(t *testing.T, b block) {
	parses(t, b, ".rb", tool(t, "ruby"), []string{"-wc"}, b.text)
}

// checkJava parses a block by the compiler; what it imports need not be there.
func checkJava(t *testing.T, b block) {
	parses(t, b, ".java", tool(t, "java"), []string{"testdata/blocks/Parse.java"}, b.text)
}

// checkCSharp parses a block by the grammar that editors use, as no registry that the
// checks need has a compiler of today's C#.
func checkCSharp(t *testing.T, b block) {
	modules := appModules(t)
	parses(t, b, ".cs", tool(t, "node"), []string{"testdata/blocks/parse.mjs", filepath.Join(modules, "node_modules"), "c-sharp"}, b.text)
}
