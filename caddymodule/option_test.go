package caddymodule_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The list in the message about an unknown option is the list of the options that
// there are.
func TestUnknownOptionsAreToldTheRightOnes(t *testing.T) {
	found := 0
	for _, name := range sources(t) {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Body == nil || strings.HasSuffix(name, "_test.go") {
				continue
			}
			var listed, cases []string
			ast.Inspect(function.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					if called, ok := n.Fun.(*ast.SelectorExpr); ok && called.Sel.Name == "Unknown" && !n.Ellipsis.IsValid() {
						listed = append(listed, literals(n.Args[2:])...)
					}
				case *ast.CaseClause:
					cases = append(cases, literals(n.List)...)
				}
				return true
			})
			if listed == nil {
				continue
			}
			found++
			slices.Sort(listed)
			slices.Sort(cases)
			if !slices.Equal(listed, cases) {
				t.Errorf("%s: %s: the message lists %q, the options are %q", name, function.Name.Name, listed, cases)
			}
		}
	}
	if found < 6 {
		t.Errorf("%d parsers found", found)
	}
}

// sources are the files of all rooms.
func sources(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(path, ".go") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func literals(expressions []ast.Expr) (texts []string) {
	for _, expression := range expressions {
		if literal, ok := expression.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil {
				texts = append(texts, text)
			}
		}
	}
	return texts
}
