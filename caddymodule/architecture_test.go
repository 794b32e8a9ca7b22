package caddymodule_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var namedFile = regexp.MustCompile("`((?:caddymodule|internal|docs)/[^`]+)`")

// Whoever adds something finds the files that docs/architecture.md names.
func TestWhereToAddNamesFiles(t *testing.T) {
	data, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(data), "## Where do I add X?")
	if !found {
		t.Fatal("there is no table")
	}
	rows := 0
	for row := range strings.Lines(table) {
		if !strings.HasPrefix(row, "| ") || strings.HasPrefix(row, "| New") {
			continue
		}
		rows++
		named := namedFile.FindAllStringSubmatch(row, -1)
		if len(named) < 2 {
			t.Errorf("names %d files: %s", len(named), row)
		}
		for _, name := range named {
			if _, err := os.Stat(filepath.Join("..", filepath.FromSlash(name[1]))); err != nil {
				t.Errorf("%v in: %s", err, row)
			}
		}
	}
	for what := range strings.FieldsSeq("preset known new store metric route account check command") {
		if !regexp.MustCompile(`(?m)^\| [^|]*\b` + what + `\b`).MatchString(table) {
			t.Errorf("no row for %s", what)
		}
	}
	if rows < 9 {
		t.Errorf("%d rows", rows)
	}
	for room := range strings.FieldsSeq("wechatapp auth survey api stores operate gctuning simulator") {
		if !strings.Contains(string(data), "| `"+room+"` |") {
			t.Errorf("the room %s is not described", room)
		}
		if _, err := os.Stat(room); err != nil {
			t.Error(err)
		}
	}
}

const largestCycle = 6

// Files that all need each other can only be understood together. A file needs another
// if it names what stands there at the top level, or calls a method from there that
// only its package has.
func TestNoLargeCycleAmongFiles(t *testing.T) {
	for _, root := range []string{".", "../internal", "../cmd"} {
		err := filepath.WalkDir(root, func(folder string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.IsDir() {
				return err
			}
			cycle := cycleAmong(needs(t, folder))
			name := filepath.ToSlash(strings.TrimPrefix(filepath.Clean(folder), "../"))
			if len(cycle) > largestCycle {
				t.Errorf("%s: %d files need each other, at most %d may: %v", name, len(cycle), largestCycle, cycle)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// needs returns which files of a folder each of its files needs.
func needs(t *testing.T, folder string) map[string][]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]*ast.File)
	home := make(map[string]string)    // of top-level names
	methods := make(map[string]string) // empty for a name that does not tell which file is meant
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = file
		for declared := range file.Scope.Objects { // top-level names are all that is asked for
			home[declared] = name
		}
		for _, member := range unexportedMembers(file) {
			if other, twice := methods[member.name]; twice && other != name || !member.method {
				methods[member.name] = ""
			} else {
				methods[member.name] = name
			}
		}
	}
	graph := make(map[string][]string)
	for name, file := range files {
		graph[name] = nil
		need := func(other string) {
			if other != "" && other != name && !slices.Contains(graph[name], other) {
				graph[name] = append(graph[name], other)
			}
		}
		for _, used := range file.Unresolved {
			need(home[used.Name])
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if selector, ok := node.(*ast.SelectorExpr); ok {
				need(methods[selector.Sel.Name])
			}
			return true
		})
	}
	return graph
}

type member struct {
	name   string
	method bool // or a field
}

// unexportedMembers are the methods and the fields of a file that no other package has.
func unexportedMembers(file *ast.File) (members []member) {
	add := func(name *ast.Ident, method bool) {
		if !name.IsExported() {
			members = append(members, member{name.Name, method})
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.FuncDecl:
			if node.Recv != nil {
				add(node.Name, true)
			}
		case *ast.StructType:
			for _, field := range node.Fields.List {
				for _, name := range field.Names {
					add(name, false)
				}
			}
		}
		return true
	})
	return members
}

// cycleAmong returns the largest set of nodes that can all be reached from each other.
func cycleAmong(graph map[string][]string) (largest []string) {
	reach := make(map[string]map[string]bool)
	for node := range graph {
		seen := make(map[string]bool)
		var visit func(string)
		visit = func(from string) {
			for _, to := range graph[from] {
				if !seen[to] {
					seen[to] = true
					visit(to)
				}
			}
		}
		visit(node)
		reach[node] = seen
	}
	for node := range graph {
		var cycle []string
		for other := range reach[node] {
			if reach[other][node] {
				cycle = append(cycle, filepath.Base(other))
			}
		}
		if len(cycle) > len(largest) {
			largest = cycle
		}
	}
	slices.Sort(largest)
	return largest
}

// A file has one subject, and so at most 400 lines.
func TestFilesAreShort(t *testing.T) {
	const longest = 400
	for _, root := range []string{".", "../internal", "../cmd", "../docs"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			data, err := os.ReadFile(path)
			if lines := strings.Count(string(data), "\n"); lines > longest {
				t.Errorf("%s has %d lines", path, lines)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
