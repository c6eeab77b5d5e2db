package espial_test

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/espial-go/espial"

// layers states who may import whom inside the module: a package may import the
// packages named here and nothing else of ours. The empty name is the root. A
// line is loosened only with a decision record (docs/decisions).
var layers = map[string][]string{
	// 1: words and bytes.
	"internal/agenda": {},
	"internal/ident":  {},
	"internal/glob":   {},
	"internal/frame":  {"internal/ident"},
	"internal/packet": {"internal/ident"},
	"internal/term":   {},
	"codec":           {},

	// 2: machines. No machine knows another one.
	"internal/fault":     {"internal/ident"},
	"internal/member":    {"internal/ident", "internal/frame"},
	"internal/dial":      {"internal/ident"},
	"internal/overlay":   {"internal/ident"},
	"internal/beacon":    {"internal/ident", "internal/packet"},
	"internal/elect":     {"internal/ident"},
	"internal/lease":     {"internal/ident"},
	"internal/session":   {"internal/ident", "internal/frame"},
	"internal/gossip":    {"internal/ident", "internal/frame"},
	"internal/rpc":       {"internal/ident"},
	"internal/admission": {"internal/ident", "internal/frame", "internal/glob"},
	"internal/mailbox":   {"internal/ident", "internal/glob", "internal/frame"},
	"internal/crew":      {},

	// 3: the machines composed, their simulation, and I/O without decisions.
	"internal/core": {
		"internal/ident", "internal/frame", "internal/fault", "internal/member", "internal/dial",
		"internal/overlay",
	},
	"internal/council": {
		"internal/ident", "internal/frame", "internal/elect", "internal/lease",
	},
	"internal/sim": {
		"internal/ident", "internal/glob", "internal/frame", "internal/packet",
		"internal/fault", "internal/member", "internal/dial", "internal/beacon", "internal/session",
		"internal/admission", "internal/core", "internal/agenda",
	},
	"internal/disk":      {"internal/ident", "internal/council"},
	"internal/memnet":    {},
	"internal/flow":      {},
	"internal/mux":       {"internal/crew", "internal/frame"},
	"internal/tunnel":    {},
	"internal/link":      {"internal/ident", "internal/frame", "internal/admission"},
	"internal/multicast": {"internal/ident", "internal/packet"},
	"internal/exchange": {
		"internal/ident", "internal/glob", "internal/frame", "internal/session", "internal/gossip", "internal/rpc",
		"internal/mailbox", "internal/crew",
	},

	"transport/tcp": {},

	// 4: the owner, and the control socket on an interface that the root implements.
	"internal/engine": {
		"internal/ident", "internal/glob", "internal/frame", "internal/packet",
		"internal/fault", "internal/member", "internal/dial", "internal/beacon", "internal/session",
		"internal/admission", "internal/mailbox", "internal/core", "internal/council",
		"internal/link", "internal/multicast", "internal/mux", "internal/exchange", "internal/gossip",
	},
	"internal/control": {"internal/ident"},

	// 5: the public API.
	"": {
		"codec", "internal/ident", "internal/glob", "internal/frame", "internal/packet",
		"internal/fault", "internal/member", "internal/dial", "internal/beacon", "internal/session",
		"internal/admission", "internal/mailbox", "internal/core", "internal/council",
		"internal/disk", "internal/link", "internal/multicast", "internal/mux", "internal/exchange", "internal/engine",
		"internal/control", "internal/flow", "internal/tunnel", "transport/tcp",
	},

	// 6: what plugs into the API, linked only where it is imported.
	"codec/bson":     {"codec"},
	"codec/cbor":     {"codec"},
	"codec/msgpack":  {"codec"},
	"codec/protobuf": {"codec"},
	"wrap":           {""},

	"transport":           {""},
	"transport/unix":      {},
	"transport/websocket": {},

	// Hosts and faults of one machine, for tests only: no other package may name it.
	"internal/netns": {},
	"test/ns":        {},

	// What programs measure with, in this module and in bench. No node links it.
	"internal/gauge": {},

	// 7: programs. Every package under examples/ has the rule of "examples".
	"cmd/espial": {
		"", "codec", "codec/bson", "codec/cbor", "codec/msgpack", "internal/control", "internal/gauge",
		"internal/glob", "internal/term", "internal/tunnel",
		"transport", "transport/tcp", "transport/unix", "transport/websocket",
	},
	"examples": {"", "wrap"},
}

// pure lists the packages without I/O, goroutines and locks.
var pure = []string{
	"internal/agenda", "internal/ident", "internal/glob", "internal/frame", "internal/packet", "internal/term",
	"internal/fault", "internal/member", "internal/dial", "internal/overlay", "internal/beacon",
	"internal/session", "internal/gossip", "internal/rpc", "internal/admission", "internal/elect", "internal/lease",
	"internal/core", "internal/council", "internal/sim",
}

// pureBans is what a pure package must not import.
var pureBans = []string{
	"net", "os", "sync", "context", "log/slog", "math/rand", "crypto/rand",
}

// linked bounds the modules that a program links when it imports only the root.
var linked = []string{
	module,
	"github.com/libp2p/go-buffer-pool",
	"github.com/libp2p/go-yamux/v5",
	"golang.org/x/crypto",
	"golang.org/x/net",
	"golang.org/x/sync",
	"golang.org/x/sys",
}

// linkedBy are the modules that a package brings on top of those.
var linkedBy = map[string][]string{
	"":               nil,
	"codec/bson":     {"go.mongodb.org/mongo-driver/v2"},
	"codec/cbor":     {"github.com/fxamacker/cbor/v2", "github.com/x448/float16"},
	"codec/msgpack":  {"github.com/vmihailenco/msgpack/v5", "github.com/vmihailenco/tagparser/v2"},
	"codec/protobuf": {"google.golang.org/protobuf"},

	"transport":           nil,
	"transport/unix":      nil,
	"transport/websocket": {"github.com/coder/websocket"},

	"wrap": {"github.com/klauspost/compress", "golang.org/x/time"},
}

// heavy is what the root must not bring along from the standard library:
// templates switch off the linker's removal of unused methods (8 MB in an agent),
// the others belong to programs and tests.
var heavy = []string{"expvar", "flag", "html/template", "net/http", "testing", "text/template"}

// TestLayers holds every import inside the module against the table above.
func TestLayers(t *testing.T) {
	for line := range strings.Lines(goList(t, nil, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")) {
		f := strings.Fields(line)
		pkg, _ := within(f[0])
		allowed, known := layers[place(pkg)]
		if !known {
			t.Errorf("%s has no place in the layers of deps_test.go", f[0])
			continue
		}
		for _, imp := range f[1:] {
			if rel, ours := within(imp); ours && !slices.Contains(allowed, rel) {
				t.Errorf("%s must not import %s", f[0], imp)
			}
			if slices.Contains(pure, pkg) && slices.Contains(pureBans, imp) {
				t.Errorf("%s is pure and must not import %s", f[0], imp)
			}
		}
	}
}

// TestPureLayers keeps a pure package from reaching I/O through one of ours.
func TestPureLayers(t *testing.T) {
	for _, pkg := range pure {
		for _, imp := range layers[pkg] {
			if !slices.Contains(pure, imp) {
				t.Errorf("%s is pure and may therefore not be allowed to import %s", pkg, imp)
			}
		}
	}
}

// TestOnlyPurePackagesRunWithoutRaces: make check runs some packages without the race
// detector, which is no loss where there is no goroutine.
func TestOnlyPurePackagesRunWithoutRaces(t *testing.T) {
	script, err := os.ReadFile("scripts/test.sh")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(script), "\nmachines=(")
	list, _, found := strings.Cut(list, ")\n")
	if !found {
		t.Fatal("scripts/test.sh has no list machines=(...)")
	}
	for name := range strings.FieldsSeq(list) {
		if !slices.Contains(pure, "internal/"+name) {
			t.Errorf("scripts/test.sh tests internal/%s without the race detector, and it is not pure", name)
		}
	}
}

// TestLinked bounds what a program links that imports the root package, and what each
// package brings that plugs into it. Run it with -v to see the list.
func TestLinked(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		for _, rel := range slices.Sorted(maps.Keys(linkedBy)) {
			modules := linkedModules(t, goos, rel)
			for _, m := range modules {
				path, _, _ := strings.Cut(m, " ")
				if !slices.Contains(linked, path) && !slices.Contains(linkedBy[rel], path) {
					t.Errorf("%s: ./%s links %s, which is not in the list", goos, rel, m)
				}
			}
			t.Logf("%s: ./%s: %s", goos, rel, strings.Join(modules, ", "))
		}
	}
}

// linkedModules returns the modules with their versions that a package links. It fails the
// test if something heavy is among them.
func linkedModules(t *testing.T, goos, rel string) (modules []string) {
	t.Helper()
	out := goList(t, []string{"GOOS=" + goos, "CGO_ENABLED=0"}, "-deps", "-f",
		`{{.ImportPath}} {{if .Standard}}-{{else}}{{.Module.Path}} {{.Module.Version}}{{end}}`, "./"+rel)
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if f[1] != "-" {
			modules = append(modules, strings.Join(f[1:], " "))
		} else if slices.Contains(heavy, f[0]) && (rel != "transport/websocket" || f[0] != "net/http") {
			t.Errorf("%s: ./%s links %s, which it must not", goos, rel, f[0])
		}
	}
	slices.Sort(modules)
	return slices.Compact(modules)
}

// TestMethodsPruned keeps the agent small: code that looks methods up by a computed
// name, as templates do, makes the linker keep every exported method (8 MB).
func TestMethodsPruned(t *testing.T) {
	if _, err := os.Stat("cmd/espial"); err != nil {
		t.Skip("cmd/espial does not exist yet")
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", os.DevNull, "-ldflags=-dumpdep", "./cmd/espial")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out[:min(len(out), 4<<10)])
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "<ReflectMethod>") {
			t.Fatalf("the command links what switches off the pruning of methods: %s", line)
		}
	}
}

// within returns the path of a package relative to the module, and whether it
// belongs to the module at all.
func within(pkg string) (rel string, ours bool) {
	if pkg == module {
		return "", true
	}
	return strings.CutPrefix(pkg, module+"/")
}

// place returns the key of a package in layers.
func place(pkg string) string {
	if strings.HasPrefix(pkg, "examples/") {
		return "examples"
	}
	return pkg
}

// goList returns the standard output of go list, run with env added.
func goList(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %q: %v\n%s", args, err, stderr.String())
	}
	return string(out)
}
