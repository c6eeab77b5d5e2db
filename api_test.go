package espial_test

import (
	"bytes"
	"flag"
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	// apiFile holds the public API as it was last agreed to.
	apiFile = "api/espial.txt"
	// apiNamesMax bounds the exported top-level names of the root package, where
	// all constants of one type count as one.
	apiNamesMax = 120
)

var update = flag.Bool("update", false, "rewrite "+apiFile+" from the source")

// TestAPI compares the public API with the agreed one, so that growth shows in
// review. Every name is documented, and none shows a type of an internal package.
func TestAPI(t *testing.T) {
	a := readAPI(t)
	slices.Sort(a.lines)
	text := strings.Join(a.lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(apiFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	agreed, err := os.ReadFile(apiFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(agreed), "\n"), strings.Split(text, "\n")); diff != "" {
		t.Errorf("the public API is not the one of %s (-agreed +source):\n%s"+
			"If the change is meant, run: go test -run API -update .", apiFile, diff)
	}
	if n := len(a.names); n > apiNamesMax {
		t.Errorf("%d exported names, limit %d", n, apiNamesMax)
	}
	for _, name := range a.undocumented {
		t.Errorf("%s has no doc comment", name)
	}
	for _, line := range a.lines {
		if m := internalType.FindString(line); m != "" {
			t.Errorf("%s: shows %s, a type of an internal package", line, m)
		}
	}
}

// internalType finds a name that belongs to a package under internal.
var internalType = func() *regexp.Regexp {
	var names []string
	for pkg := range layers {
		if strings.HasPrefix(pkg, "internal/") {
			names = append(names, path.Base(pkg))
		}
	}
	return regexp.MustCompile(`\b(` + strings.Join(names, "|") + `)\.[A-Z]\w*`)
}()

// api is the public face of a package.
type api struct {
	t            *testing.T
	fset         *token.FileSet
	lines        []string        // one for each exported name, as the file has them
	names        map[string]bool // exported top-level names; an enum is one
	undocumented []string
}

// readAPI reads the API of the root package from its source.
func readAPI(t *testing.T) *api {
	t.Helper()
	pkg, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	a := &api{t: t, fset: token.NewFileSet(), names: map[string]bool{}}
	var files []*ast.File
	for _, name := range pkg.GoFiles {
		f, err := parser.ParseFile(a.fset, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	d, err := doc.NewFromFiles(a.fset, files, module)
	if err != nil {
		t.Fatal(err)
	}
	a.values("const", "", d.Consts)
	a.values("var", "", d.Vars)
	a.funcs(d.Funcs)
	for _, typ := range d.Types {
		a.typ(typ)
	}
	return a
}

// typ adds a type with its fields, methods, constants, variables and constructors.
func (a *api) typ(typ *doc.Type) {
	for _, spec := range typ.Decl.Specs {
		s, ok := spec.(*ast.TypeSpec)
		if !ok || s.Name.Name != typ.Name {
			continue
		}
		a.names[typ.Name] = true
		head := "type " + typ.Name + a.params(s.TypeParams)
		if s.Assign.IsValid() {
			head += " ="
		}
		switch x := s.Type.(type) {
		case *ast.StructType:
			a.add(head+" struct", typ.Doc)
			a.members("field", typ.Name, x.Fields)
		case *ast.InterfaceType:
			a.add(head+" interface", typ.Doc)
			a.members("method", typ.Name, x.Methods)
		default:
			a.add(head+" "+a.source(s.Type), typ.Doc)
		}
	}
	a.values("const", typ.Name, typ.Consts)
	a.values("var", "", typ.Vars)
	a.funcs(typ.Funcs)
	for _, m := range typ.Methods {
		a.add("method ("+m.Recv+") "+m.Name+strings.TrimPrefix(a.source(m.Decl.Type), "func"), m.Doc)
	}
}

// members adds the exported fields of a struct or the methods of an interface.
func (a *api) members(kind, owner string, list *ast.FieldList) {
	for _, f := range list.List {
		if len(f.Names) == 0 {
			a.add(kind+" "+owner+" embeds "+a.source(f.Type), "embedded")
		}
		for _, name := range f.Names {
			if name.IsExported() {
				src := " " + a.source(f.Type)
				if kind == "method" {
					src = strings.TrimPrefix(src, " func")
				}
				a.add(kind+" "+owner+"."+name.Name+src, f.Doc.Text()+f.Comment.Text())
			}
		}
	}
}

// funcs adds top-level functions.
func (a *api) funcs(list []*doc.Func) {
	for _, f := range list {
		a.names[f.Name] = true
		a.add("func "+f.Name+strings.TrimPrefix(a.source(f.Decl.Type), "func"), f.Doc)
	}
}

// values adds constants or variables. Those of an enum do not count as names of
// their own.
func (a *api) values(kind, enum string, list []*doc.Value) {
	for _, v := range list {
		for _, spec := range v.Decl.Specs {
			s, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			comment := s.Doc.Text() + s.Comment.Text()
			if len(v.Decl.Specs) == 1 {
				comment += v.Doc
			}
			for _, name := range s.Names {
				if !name.IsExported() {
					continue
				}
				if enum == "" {
					a.names[name.Name] = true
				}
				a.add(strings.TrimSpace(kind+" "+name.Name+" "+enum), comment)
			}
		}
	}
}

// add adds one line, and remembers it when it has no comment.
func (a *api) add(line, comment string) {
	a.lines = append(a.lines, line)
	if comment == "" {
		a.undocumented = append(a.undocumented, line)
	}
}

// params returns type parameters as they stand in the source.
func (a *api) params(list *ast.FieldList) string {
	if list == nil {
		return ""
	}
	src := a.source(&ast.FuncType{TypeParams: list, Params: &ast.FieldList{}})
	return strings.TrimSuffix(strings.TrimPrefix(src, "func"), "()")
}

// source returns a node as source text on one line.
func (a *api) source(node ast.Node) string {
	a.t.Helper()
	var b bytes.Buffer
	if err := printer.Fprint(&b, a.fset, node); err != nil {
		a.t.Fatal(err)
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
