// Package sspurn_test holds the rules that no single package can check: who may
// import whom, and what no file may contain.
package sspurn_test

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sspurn/sspurn"

// lattice says which packages of the module each may import, transitively
// written out. A name covers its subfolders when it ends in "/...". The first
// line that covers a package holds.
const lattice = `
runtime/internal/wire:
runtime/internal/match:
runtime/internal/membership:
runtime/internal/transport/emulate: runtime/internal/... runtime/bootstrap
runtime/internal/...: runtime/internal/...
runtime/bootstrap:
runtime/telemetry:
runtime/runtimetest: runtime runtime/...
runtime/runtimetest/...: runtime runtime/...
runtime: runtime/bootstrap runtime/telemetry runtime/internal/...

collectives/schedule:
collectives: collectives/schedule linalg runtime runtime/telemetry

ssp/internal/clock:
ssp/internal/member: ssp/internal/clock
ssp/internal/backup:
ssp/internal/value:
ssp/internal/rate:
ssp/internal/codec: linalg
ssp/internal/slab: linalg ssp/internal/codec
ssp/internal/rowcache: linalg ssp/internal/slab ssp/internal/codec
ssp/internal/rule: linalg ssp/internal/codec
ssp/internal/filter: linalg ssp/internal/codec
ssp/internal/oplog: linalg ssp/internal/slab ssp/internal/codec ssp/internal/filter
ssp/internal/...: ssp/internal/... linalg
ssp: ssp/internal/... linalg collectives runtime runtime/bootstrap runtime/telemetry

linalg:

launcher/agent: runtime/bootstrap runtime/telemetry
launcher/report: runtime/bootstrap runtime/telemetry
launcher: launcher/agent launcher/report runtime/bootstrap runtime/telemetry
launcher/sspurn: launcher launcher/agent launcher/report runtime/bootstrap runtime/telemetry

apps: ssp linalg collectives runtime runtime/bootstrap runtime/telemetry
apps/...: apps apps/... ssp linalg collectives runtime runtime/bootstrap runtime/telemetry

scripts/...: scripts/... launcher launcher/... apps apps/lda/model runtime/telemetry runtime/bootstrap linalg
docs/...: docs/... apps ssp linalg collectives runtime runtime/telemetry
`

// pure packages import the standard library only, and nothing of it that has
// IO, clocks, locks or goroutines; beside it only what is listed. linalg is
// pure itself.
var pure = map[string][]string{
	"collectives/schedule":        nil,
	"runtime/internal/wire":       nil,
	"runtime/internal/match":      nil,
	"runtime/internal/membership": nil,
	"ssp/internal/clock":          nil,
	"ssp/internal/member":         {module + "/ssp/internal/clock"},
	"ssp/internal/backup":         nil,
	"ssp/internal/slab":           {module + "/linalg", module + "/ssp/internal/codec"},
	"ssp/internal/rowcache":       {module + "/linalg", module + "/ssp/internal/codec", module + "/ssp/internal/slab"},
	"ssp/internal/filter":         {module + "/linalg", module + "/ssp/internal/codec"},
	"ssp/internal/oplog":          {module + "/linalg", module + "/ssp/internal/codec", module + "/ssp/internal/filter", module + "/ssp/internal/slab"},
	"ssp/internal/codec":          {module + "/linalg", "github.com/klauspost/compress/s2"},
	"ssp/internal/rule":           {module + "/linalg", module + "/ssp/internal/codec"},
	"ssp/internal/shard":          {module + "/linalg", module + "/ssp/internal/backup", module + "/ssp/internal/clock", module + "/ssp/internal/codec", module + "/ssp/internal/filter", module + "/ssp/internal/member", module + "/ssp/internal/rule", module + "/ssp/internal/slab", module + "/ssp/internal/value"},
	"ssp/internal/value":          nil,
}

// impure is what pure packages must not import, with all below it; pkg/errors
// is allowed them for the text of errors.
var impure = []string{"net", "os", "io", "sync", "context", "syscall", "log", "runtime", "time", "testing", "plugin", "bufio"}

// file is one Go file of the module.
type file struct {
	path string // slash-separated, from the root
	dir  string
	test bool
	ast  *ast.File
	set  *token.FileSet
}

// files parses every Go file of the module, whatever its build tags.
func files(t *testing.T) []file {
	t.Helper()
	var all []file
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "bin") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(path, "go.mod")); path != "." && err == nil {
				return filepath.SkipDir // a module of its own
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		path = filepath.ToSlash(path)
		dir, _, _ := strings.Cut(path, "/"+name)
		if dir == path {
			dir = "."
		}
		all = append(all, file{path, dir, strings.HasSuffix(name, "_test.go"), parsed, set})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d Go files: is this the root of the module?", len(all))
	}
	return all
}

func (f file) at(p token.Pos) string { return f.set.Position(p).String() }

// covers reports whether a pattern of the lattice covers a package.
func covers(pattern, pkg string) bool {
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return strings.HasPrefix(pkg, tree+"/")
	}
	return pattern == pkg
}

// allowed returns what a package may import.
func allowed(t *testing.T, pkg string) ([]string, bool) {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(lattice))
	var found []string
	ok, exact := false, false
	for lines.Scan() {
		pattern, targets, isRule := strings.Cut(lines.Text(), ":")
		if !isRule || !covers(pattern, pkg) || ok && (exact || pattern != pkg) {
			continue
		}
		found, ok, exact = strings.Fields(targets), true, pattern == pkg
	}
	return found, ok
}

func TestLayers(t *testing.T) {
	for _, f := range files(t) {
		if f.test || f.dir == "." {
			continue
		}
		may, known := allowed(t, f.dir)
		if !known {
			t.Errorf("%s: the lattice does not know package %s", f.path, f.dir)
			continue
		}
		for _, spec := range f.ast.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			target, own := strings.CutPrefix(path, module+"/")
			if !own {
				continue
			}
			if !slices.ContainsFunc(may, func(pattern string) bool { return covers(pattern, target) }) {
				t.Errorf("%s: %s must not import %s", f.at(spec.Pos()), f.dir, target)
			}
		}
	}
}

// TestTestOnly: what is for tests is imported by tests.
func TestTestOnly(t *testing.T) {
	for _, f := range files(t) {
		for _, spec := range f.ast.Imports {
			if path, _ := strconv.Unquote(spec.Path.Value); !f.test && strings.HasPrefix(path, module+"/runtime/runtimetest") && !strings.HasPrefix(f.dir, "runtime/runtimetest") {
				t.Errorf("%s: runtimetest is for tests", f.at(spec.Pos()))
			}
		}
	}
}

func TestPure(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range files(t) {
		extra, isPure := pure[f.dir]
		if !isPure || f.test {
			continue
		}
		seen[f.dir] = true
		for _, spec := range f.ast.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			first, _, _ := strings.Cut(path, "/")
			switch {
			case slices.Contains(extra, path) || path == "github.com/pkg/errors":
			case strings.Contains(first, "."):
				t.Errorf("%s: pure package %s imports %s", f.at(spec.Pos()), f.dir, path)
			case slices.Contains(impure, first):
				t.Errorf("%s: pure package %s imports %s", f.at(spec.Pos()), f.dir, path)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: pure package %s starts a goroutine", f.at(n.Pos()), f.dir)
			case *ast.ChanType:
				t.Errorf("%s: pure package %s has a channel", f.at(n.Pos()), f.dir)
			}
			return true
		})
	}
	for _, dir := range []string{"collectives/schedule", "runtime/internal/wire", "ssp/internal/codec"} {
		if !seen[dir] {
			t.Errorf("pure package %s was not found", dir)
		}
	}
}

// TestRuntimeAlias: the standard runtime is goruntime everywhere, and nothing
// else is; dot imports hide where names come from.
func TestRuntimeAlias(t *testing.T) {
	for _, f := range files(t) {
		for _, spec := range f.ast.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			name := ""
			if spec.Name != nil {
				name = spec.Name.Name
			}
			switch {
			case path == "runtime" && name != "goruntime":
				t.Errorf("%s: import the standard runtime as goruntime", f.at(spec.Pos()))
			case path != "runtime" && name == "goruntime":
				t.Errorf("%s: goruntime is the standard runtime, not %s", f.at(spec.Pos()), path)
			case path == "errors" && name != "stderrors" && !f.test:
				t.Errorf("%s: import the standard errors as stderrors", f.at(spec.Pos()))
			case path == "fmt" && name != "":
				t.Errorf("%s: fmt under another name", f.at(spec.Pos()))
			case name == ".":
				t.Errorf("%s: dot import of %s", f.at(spec.Pos()), path)
			}
		}
	}
}

// TestNoInit: nothing happens because a package is imported.
func TestNoInit(t *testing.T) {
	for _, f := range files(t) {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: func init", f.at(fn.Pos()))
			}
		}
	}
}

// TestNoSleep: tests wait for events, not for time.
func TestNoSleep(t *testing.T) {
	for _, f := range files(t) {
		if !f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
				if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" {
					t.Errorf("%s: a test sleeps", f.at(n.Pos()))
				}
			}
			return true
		})
	}
}

// TestPackageComments: every package says what it is, in one file.
func TestPackageComments(t *testing.T) {
	comments := map[string]int{}
	for _, f := range files(t) {
		if f.test && f.dir != "." {
			continue
		}
		if _, ok := comments[f.dir]; !ok {
			comments[f.dir] = 0
		}
		if f.ast.Doc != nil {
			comments[f.dir]++
		}
	}
	for dir, n := range comments {
		switch {
		case n == 0:
			t.Errorf("package %s has no comment", dir)
		case n > 1:
			t.Errorf("package %s has %d comments", dir, n)
		}
	}
}

// TestNoReplace: the module builds for those who require it.
func TestNoReplace(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(mod), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "replace") {
			t.Errorf("go.mod:%d: %s", i+1, line)
		}
	}
}
