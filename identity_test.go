package espial_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// E14: a node without a key file has another ID after each start; one with a key file
// keeps its ID, and no two starts share an incarnation.
func TestIdentityOfAStart(t *testing.T) {
	empty(t, func(c *cluster) {
		key := c.TempDir() + "/key.pem"
		writeKey(c.T, key)
		ids, kept, incarnations := map[espial.NodeID]bool{}, map[espial.NodeID]bool{}, map[uint64]bool{}
		const starts = 20
		for range starts {
			fresh, same := c.start(espial.Config{}), c.start(espial.Config{KeyFile: key, Name: "same"})
			ids[fresh.ID()], kept[same.ID()] = true, true
			incarnations[fresh.Self().Incarnation], incarnations[same.Self().Incarnation] = true, true
			_, _ = fresh.Close(), same.Close()
		}
		if len(ids) != starts || len(kept) != 1 || len(incarnations) != 2*starts {
			c.Errorf("%d IDs without a key file, %d with one, %d incarnations; want %d, 1 and %d",
				len(ids), len(kept), len(incarnations), starts, 2*starts)
		}
	})
}

// noAES is set in the process that runs without AES instructions.
const noAES = "ESPIAL_TEST_NO_AES"

// D10: where a CPU has no AES instructions the cipher is ChaCha20-Poly1305, and
// RequireAES refuses it with the code that says so. A process of its own plays that CPU.
func TestRequireAESRefusesChaCha(t *testing.T) {
	if os.Getenv(noAES) == "" {
		if runtime.GOARCH != "amd64" {
			t.Skip("only on amd64 can the AES instructions be switched off")
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), noAES+"=1", "GODEBUG=cpu.aes=off,cpu.pclmulqdq=off")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Fatalf("without AES instructions: %v\n%s", err, out)
		}
		return
	}
	empty(t, func(c *cluster) {
		var cipher string
		n := c.start(espial.Config{})
		c.start(espial.Config{})
		c.meet(2)
		for p := range n.Peers() {
			cipher = p.Cipher
		}
		if cipher != "TLS_CHACHA20_POLY1305_SHA256" {
			c.Fatalf("the cipher is %s: this process has AES instructions", cipher)
		}
		asked := make(chan string, 100)
		strict := c.start(espial.Config{
			RequireAES: true,
			Admit: func(_ context.Context, _ espial.Verified, cl espial.Claimed) error {
				asked <- cl.Name
				return nil
			},
		})
		ch, _ := c.await(strict.Changes(c.Context()), espial.NodeRejected)
		if ch.Code != "cipher" || ch.By != "self" {
			c.Errorf("node_rejected = %+v, want code cipher by self", ch)
		}
		time.Sleep(5 * time.Second)
		if len(asked) > 0 || strict.Status().Members != 1 {
			c.Errorf("%d filters asked and %d members, want none and the node alone", len(asked), strict.Status().Members)
		}
	})
}

// wallClock names what strips the monotonic reading of a time, or makes one without.
var wallClock = []string{"UTC", "Local", "In", "AddDate", "Unix", "UnixMilli", "UnixMicro", "UnixNano", "Date"}

// A19: a step of the wall clock has no hook in a bubble, whose clock only goes forward.
// What makes it harmless is that times keep their monotonic reading: nothing that the
// library decides with goes through the calendar. The exceptions say why.
func TestNothingDecidesByTheWallClock(t *testing.T) {
	exempt := map[string]bool{
		"internal/engine/clock_linux.go":  true, // the clock since the start of the machine
		"internal/engine/clock_darwin.go": true, // the clock since the start of the machine
		"internal/lease/term.go":          true, // a term begins with the date, and never falls with it
		"internal/link/identity.go":       true, // a constant for the validity of certificates
		"internal/dial/pick.go":           true, // a bound beyond all times
		"internal/ident/certificate.go":   true, // the constant validity of a certificate
		"object.go":                       true, // In is a type that a function takes
	}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path = filepath.ToSlash(path)
		switch path {
		case "bench", "cmd", "examples", "tools", "test", "internal/gauge", "internal/sim", "internal/netns":
			return filepath.SkipDir // not linked into a node, or printing only
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || exempt[path] {
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			for _, name := range wallClock {
				if ok && sel.Sel.Name == name {
					t.Errorf("%v: %s reads the wall clock, which may jump", fset.Position(n.Pos()), name)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
