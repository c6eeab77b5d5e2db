package espial_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTestsSleepInVirtualTime: a real sleep is too short on a slow machine and too long on any
// other. So a test may sleep only where nothing but a bubble of synctest brings it:
//
//   - in a function literal that is given to synctest.Test, or to a function of the tests
//     which does nothing but call that, as inCluster;
//   - in a function, not a method, that is named in such literals only;
//   - in whatever takes a *T, or has it as its receiver, if the type T of the tests is named
//     in such literals only, but for *T: a cluster exists only in the bubble of inCluster.
//
// A name stands for all that has it in the tests of a folder, so that the rule refuses a sleep
// in a bubble sooner than it takes one outside.
func TestTestsSleepInVirtualTime(t *testing.T) {
	folders := map[string][]string{} // texts
	walk(t, "_test.go", func(path, text string) {
		dir := filepath.Dir(path)
		folders[dir] = append(folders[dir], "//line "+path+":1\n"+text)
	})
	virtual := 0
	for _, texts := range folders {
		real, all := sleepsOf(t, texts...)
		virtual += all - len(real)
		for _, at := range real {
			t.Errorf("%s: a sleep that may be real. Wait for the event itself (a channel, a line of output, "+
				"WaitFor, Changes), or run the test in a bubble of synctest", at)
		}
	}
	if virtual == 0 {
		t.Error("no test sleeps in a bubble; does this one still find them?")
	}
}

// TestRealSleepsAreFound holds the rule to its word.
func TestRealSleepsAreFound(t *testing.T) {
	for _, tt := range []struct {
		name string
		text string // with real in front of each line that is to be found
	}{
		{"in a test", `func TestX(t *T) {
real			time.Sleep(1)
		}`},
		{"in a bubble", `func TestX(t *T) {
			synctest.Test(t, func(t *T) { go func() { time.Sleep(1) }() })
		}`},
		{"in a bubble that a function opens", `func TestX(t *T) { inBubble(t, func() { time.Sleep(1) }) }
		func inBubble(t *T, f func()) { t.Helper(); synctest.Test(t, func(t *T) { f() }) }`},
		{"in a function that opens a bubble and does more", `func TestX(t *T) {
real			inBubble(t, func() { time.Sleep(1) })
		}
		func inBubble(t *T, f func()) { f(); synctest.Test(t, func(t *T) { f() }) }`},
		{"in a function for a bubble", `func TestX(t *T) { synctest.Test(t, run) }
		func run(t *T) { nap() }
		func nap() { time.Sleep(1) }`},
		{"in a function for a bubble and a test", `func TestX(t *T) { synctest.Test(t, run) }
		func TestY(t *T) { run(t) }
		func run(t *T) { nap() }
real		func nap() { time.Sleep(1) }`},
		{"in a method of what bubbles make", `func TestX(t *T) {
			synctest.Test(t, func(t *T) { c := &cluster{}; c.nap() })
		}
		type cluster struct{}
		func (c *cluster) nap() { time.Sleep(1) }`},
		{"in a method of what tests make, too", `func TestX(t *T) {
			synctest.Test(t, func(t *T) { c := &cluster{}; c.nap() })
		}
		func TestY(t *T) { new(cluster).nap() }
		type cluster struct{}
real		func (c *cluster) nap() { time.Sleep(1) }`},
		{"in a method that is called from elsewhere, too", `func TestX(t *T) {
			http.Handle("/", handler{})
			synctest.Test(t, func(t *T) { handler{}.ServeHTTP(nil, nil) })
		}
		type handler struct{}
real		func (handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { time.Sleep(1) }`},
		{"in a table of what bubbles do", `func TestX(t *T) {
			for _, f := range []func(c *cluster){func(c *cluster) { time.Sleep(1) }} {
				synctest.Test(t, func(t *T) { f(&cluster{}) })
			}
		}
		type cluster struct{}`},
		{"in a table", `func TestX(t *T) {
real			for _, f := range []func(){func() { time.Sleep(1) }} {
				synctest.Test(t, func(t *T) { f() })
			}
		}`},
		{"under another name", `func TestX(t *T) {
real			nap := clock.Sleep
			nap(1)
		}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var want []string
			line := 1 // of the package clause
			for l := range strings.Lines(tt.text) {
				if line++; strings.HasPrefix(l, "real") {
					want = append(want, fmt.Sprintf("%d", line))
				}
			}
			got, all := sleepsOf(t, "package p\n"+strings.ReplaceAll(tt.text, "\nreal", "\n"))
			for i := range got {
				got[i], _, _ = strings.Cut(got[i], ":")
			}
			if !slices.Equal(got, want) || all != 1 {
				t.Errorf("of %d sleeps real ones in the lines %v, want 1 and %v:\n%s", all, got, want, tt.text)
			}
		})
	}
}

// sleepsOf returns where the tests of one folder may sleep in real time, and how many sleeps
// they have.
func sleepsOf(t *testing.T, texts ...string) (real []string, all int) {
	t.Helper()
	fset := token.NewFileSet()
	var decls []ast.Decl
	for _, text := range texts {
		f, err := parser.ParseFile(fset, "", text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		decls = append(decls, f.Decls...)
	}
	o, all := newOutside(decls)
	for before := -1; before != len(o.held); {
		before, o.sleeps = len(o.held), nil
		for _, d := range decls {
			ast.Walk(o, d)
		}
	}
	for _, at := range o.sleeps {
		real = append(real, fset.Position(at).String())
	}
	return real, all
}

// outside walks what no bubble holds. It takes every name for one that bubbles hold until it
// meets it, and is done when a walk meets no more of them.
type outside struct {
	own    map[*ast.Ident]bool // where a function or type is declared
	opens  map[string]bool     // functions that do nothing but call synctest.Test
	held   map[string]bool     // functions, and types T as "*T"
	sleeps []token.Pos         // of the last walk
}

// newOutside returns one that believes as much as it can, and how many sleeps there are.
func newOutside(decls []ast.Decl) (o *outside, sleeps int) {
	o = &outside{own: map[*ast.Ident]bool{}, opens: map[string]bool{}, held: map[string]bool{}}
	named := map[string]int{}
	for _, d := range decls {
		ast.Inspect(d, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				o.own[n.Name] = true
			case *ast.TypeSpec:
				o.own[n.Name] = true
				o.held["*"+n.Name.Name] = true
			case *ast.Ident:
				if !o.own[n] {
					named[n.Name]++
				}
			}
			return true
		})
	}
	works := map[string]bool{} // functions that do something else than to call synctest.Test
	for _, d := range decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			name := f.Name.Name
			works[name] = works[name] || !onlyOpens(f)
			o.opens[name] = !works[name]
			if named[name] > 0 { // else go test calls it
				o.held[name] = true
			}
		}
	}
	return o, named["Sleep"]
}

// onlyOpens reports whether a function does nothing but call synctest.Test.
func onlyOpens(f *ast.FuncDecl) bool {
	return !slices.ContainsFunc(f.Body.List, func(s ast.Stmt) bool {
		e, ok := s.(*ast.ExprStmt)
		if !ok {
			return true
		}
		call, ok := e.X.(*ast.CallExpr)
		return !ok || !is(call.Fun, "t", "Helper") && !is(call.Fun, "synctest", "Test")
	})
}

// is reports whether e is x.name.
func is(e ast.Expr, x, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	of, ok := s.X.(*ast.Ident)
	return ok && of.Name == x && s.Sel.Name == name
}

// Visit implements [ast.Visitor].
func (o *outside) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.FuncDecl:
		if n.Recv == nil && o.held[n.Name.Name] || o.takes(n.Recv) || o.takes(n.Type.Params) {
			return nil
		}
	case *ast.FuncLit:
		if o.takes(n.Type.Params) {
			return nil
		}
	case *ast.CallExpr:
		if o.toBubble(n.Fun) {
			for _, arg := range n.Args {
				switch arg.(type) {
				case *ast.FuncLit, *ast.Ident:
				default:
					ast.Walk(o, arg)
				}
			}
			return nil
		}
	case *ast.StarExpr:
		if id, ok := n.X.(*ast.Ident); ok && o.held["*"+id.Name] {
			return nil
		}
	case *ast.Ident:
		if n.Name == "Sleep" {
			o.sleeps = append(o.sleeps, n.Pos())
		}
		if !o.own[n] {
			delete(o.held, n.Name)
			delete(o.held, "*"+n.Name)
		}
	}
	return o
}

// toBubble reports whether a call of f takes its functions to a bubble.
func (o *outside) toBubble(f ast.Expr) bool {
	id, ok := f.(*ast.Ident)
	return ok && o.opens[id.Name] || is(f, "synctest", "Test")
}

// takes reports whether a parameter is a *T of a type that bubbles hold.
func (o *outside) takes(params *ast.FieldList) bool {
	return params != nil && slices.ContainsFunc(params.List, func(f *ast.Field) bool {
		star, ok := f.Type.(*ast.StarExpr)
		if !ok {
			return false
		}
		id, ok := star.X.(*ast.Ident)
		return ok && o.held["*"+id.Name]
	})
}
