package espial_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// The numbers of the house. Cyclomatic complexity, statements and parameters are
// counted by the linters.
const (
	fileLinesMax   = 500
	funcLinesMax   = 70  // not in tests
	lineColumnsMax = 110 // not in tests
	tabColumns     = 4
)

// TestTidy keeps every file readable in one sitting, every package documented,
// and every goroutine owned.
func TestTidy(t *testing.T) {
	documented := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, src, parser.ParseComments)
		if err != nil {
			return err
		}
		if n := strings.Count(string(src), "\n"); n > fileLinesMax {
			t.Errorf("%s has %d lines, limit %d: split it by concept", path, n, fileLinesMax)
		}
		if strings.HasSuffix(path, "_test.go") {
			return nil
		}
		checkLines(t, path, string(src))
		checkDecls(t, fset, f)
		dir := filepath.Dir(path)
		documented[dir] = documented[dir] || f.Doc != nil
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("the package in %s has no doc comment", dir)
		}
	}
}

// checkLines bounds the width of every line.
func checkLines(t *testing.T, path, src string) {
	t.Helper()
	n := 0
	for line := range strings.Lines(src) {
		n++
		line = strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\t", strings.Repeat(" ", tabColumns))
		if w := utf8.RuneCountInString(line); w > lineColumnsMax {
			t.Errorf("%s:%d has %d columns, limit %d", path, n, w, lineColumnsMax)
		}
	}
}

// checkDecls bounds the length of every function, and refuses init functions and
// goroutines that nobody waits for.
func checkDecls(t *testing.T, fset *token.FileSet, f *ast.File) {
	t.Helper()
	for _, decl := range f.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		from, to := fset.Position(fn.Pos()), fset.Position(fn.End())
		if n := to.Line - from.Line + 1; n > funcLinesMax {
			t.Errorf("%v: %s has %d lines, limit %d", from, fn.Name.Name, n, funcLinesMax)
		}
		if fn.Recv == nil && fn.Name.Name == "init" {
			t.Errorf("%v: an init function; state begins where a caller asks for it", from)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if _, ok := n.(*ast.GoStmt); ok {
			t.Errorf("%v: a go statement; use an errgroup or WaitGroup.Go, which are waited for",
				fset.Position(n.Pos()))
		}
		return true
	})
}
