//go:build unix

package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// bound is how long a test waits for what takes a second or two.
const bound = time.Minute

// TestAServerIsAskedByTheNameOfAMember: its gateway goes, and comes back, and the pool with it.
func TestAServerIsAskedByTheNameOfAMember(t *testing.T) {
	addr := server(t)
	here := start(t, "app", nil)
	gateway := start(t, "db-1", here.Addrs())
	end := serve(t, gateway, addr)
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	if err := here.WaitFor(ctx, 2); err != nil {
		t.Fatal(err)
	}
	pool, err := connect(ctx, here, "db-1", "postgres://shop@/postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var got int
	if err := pool.QueryRow(ctx, "select count(*) from generate_series(1, 1000)").Scan(&got); err != nil || got != 1000 {
		t.Fatalf("the server counts %d, %v; want 1000", got, err)
	}
	if err := ask(ctx, here, "db-1", "postgres://shop@/postgres", "select 'hello'"); err != nil {
		t.Errorf("ask = %v", err)
	}

	end()
	if err := pool.QueryRow(ctx, "select 1").Scan(&got); err == nil {
		t.Error("the server answers without its gateway")
	}
	serve(t, start(t, "db-1", here.Addrs()), addr)
	for got = 0; got != 2; {
		err := pool.QueryRow(ctx, "select 2").Scan(&got)
		if ctx.Err() != nil {
			t.Fatalf("with its gateway back the server does not answer: %v", err)
		}
	}
}

// start starts a node on this host.
func start(t *testing.T, name string, seeds []string) *espial.Node {
	t.Helper()
	n, err := espial.Start(t.Context(), espial.Config{
		Cluster: "postgres", Name: name, Listen: "127.0.0.1:0", Seeds: seeds, Multicast: espial.Multicast{Off: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// serve exposes the server by a node, and returns how to end both.
func serve(t *testing.T, n *espial.Node, addr string) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- expose(ctx, n, addr) }()
	once := false
	end = func() {
		if once {
			return
		}
		once = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("expose = %v", err)
		}
		_ = n.Close()
	}
	t.Cleanup(end)
	return end
}

// tool returns the path of a program of PostgreSQL, and skips the test where there is none.
func tool(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/", "/usr/pgsql-*/bin/"} {
		if found, _ := filepath.Glob(pattern + name); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	t.Skipf("a PostgreSQL server is needed: no %s, neither in the path nor where packages put it", name)
	return ""
}

// server runs a PostgreSQL server for the test, on this host only, and returns its address.
func server(t *testing.T) (addr string) {
	t.Helper()
	initdb, postgres := tool(t, "initdb"), tool(t, "postgres")
	dir, err := os.MkdirTemp("", "pg") //nolint:usetesting // the path of its socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var as *syscall.Credential
	if os.Geteuid() == 0 { // which PostgreSQL refuses
		nobody, err := user.Lookup("nobody")
		if err != nil {
			t.Skipf("PostgreSQL refuses to run as root: %v", err)
		}
		uid, _ := strconv.Atoi(nobody.Uid)
		gid, _ := strconv.Atoi(nobody.Gid)
		as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as}
		return cmd
	}
	data := filepath.Join(dir, "data")
	initialize := command(initdb, "-D", data, "-U", "shop", "--auth", "trust", "--no-sync")
	if out, err := initialize.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", initialize.Args, err, out)
	}
	host, port := "127.0.0.1", freePort(t)
	run := command(postgres, "-D", data, "-p", port, "-k", dir, "-c", "listen_addresses="+host, "-c", "fsync=off")
	run.Cancel = func() error { return run.Process.Signal(syscall.SIGQUIT) }
	run.WaitDelay = bound
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = run.Process.Signal(syscall.SIGQUIT)
		_ = run.Wait() // it was ended by a signal
	})
	ready := tool(t, "pg_isready")
	for end := time.Now().Add(bound); command(ready, "-h", host, "-p", port).Run() != nil; {
		if time.Now().After(end) {
			t.Fatalf("the server is not ready within %v", bound)
		}
	}
	return net.JoinHostPort(host, port)
}

// freePort returns a port that nobody uses.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
