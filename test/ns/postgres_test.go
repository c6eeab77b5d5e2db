//go:build linux

package ns_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/netns"
)

// postgresUser is who runs the server: it refuses root.
const postgresUser = "nobody"

// postgresTool returns the path of a program of PostgreSQL, and skips the test where there is none.
func postgresTool(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	// Where packages put what is not for everybody's path.
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/", "/usr/pgsql-*/bin/"} {
		if found, _ := filepath.Glob(pattern + name); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	t.Skipf("a PostgreSQL server is needed: no %s, neither in the path nor where packages put it", name)
	return ""
}

// startPostgres makes a database and runs its server in a host, at 127.0.0.1 only.
func startPostgres(t *testing.T, h *netns.Host) *netns.Node {
	t.Helper()
	initdb, server := postgresTool(t, "initdb"), postgresTool(t, "postgres")
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skipf("PostgreSQL refuses to run as root, and there is no setpriv: %v", err)
	}
	who, err := user.Lookup(postgresUser)
	if err != nil {
		t.Skipf("PostgreSQL refuses to run as root: %v", err)
	}
	dir, err := netns.Folder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	uid, _ := strconv.Atoi(who.Uid)
	gid, _ := strconv.Atoi(who.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	as := []string{"--reuid", who.Uid, "--regid", who.Gid, "--clear-groups"}
	data := filepath.Join(dir, "data")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := h.Command(ctx, "setpriv", append(as, initdb, "-D", data, "-U", "shop", "--auth", "trust",
		"--locale", "C", "--encoding", "UTF8", "--no-sync")...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	db := h.Start(append(append([]string{"setpriv"}, as...), server, "-D", data, "-p", "5432", "-k", dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off")...)
	t.Cleanup(func() { // before it is killed, which would leave others of its processes for a moment
		db.Signal(syscall.SIGQUIT)
		db.Ended()
	})
	local := &session{T: t, host: h, psql: postgresTool(t, "psql"), port: "5432"}
	for late := time.Now().Add(startMax); ; {
		_, err := local.ask("select 1")
		if err == nil {
			return db
		}
		if time.Now().After(late) {
			t.Fatalf("the server does not start: %v\n%s", err, db.Report())
		}
	}
}

// session is psql in a host.
type session struct {
	*testing.T
	host *netns.Host
	psql string
	port string
}

// command returns psql; it reads SQL from standard input or from args.
func (s *session) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := s.host.Command(ctx, s.psql, append([]string{
		"-h", "127.0.0.1", "-p", s.port, "-U", "shop", "-d", "postgres", "-XqAt", "-v", "ON_ERROR_STOP=1",
	}, args...)...)
	cmd.Env = append(cmd.Env, "PGCONNECT_TIMEOUT=60")
	return cmd
}

// ask returns what psql prints for some SQL.
func (s *session) ask(sql string) (string, error) {
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	out, err := s.command(ctx, "-c", sql).Output()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, e.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

// tell fails the test unless psql prints want for some SQL.
func (s *session) tell(sql, want string) {
	s.Helper()
	if got, err := s.ask(sql); err != nil || got != want {
		s.Fatalf("%s = %.200q, %v; want %q", sql, got, err, want)
	}
}

// stay starts psql, which reads SQL from what it returns, and prints what it says to out.
func (s *session) stay() (sql io.WriteCloser, out *lines, ended <-chan error) {
	s.Helper()
	cmd := s.command(s.Context())
	sql, err := cmd.StdinPipe()
	if err != nil {
		s.Fatal(err)
	}
	out = &lines{more: make(chan struct{}, 1)}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	return sql, out, done
}

// say gives a session that stays some SQL and waits for the answer.
func (s *session) say(sql io.Writer, out *lines, text, want string) {
	s.Helper()
	if _, err := io.WriteString(sql, text+"\n"); err != nil {
		s.Fatal(err)
	}
	for late := time.After(time.Minute); !strings.Contains(out.String(), want); {
		select {
		case <-out.more:
		case <-late:
			s.Fatalf("psql printed %q, want %q for %s", out, want, text)
		}
	}
}

// lines is what a program printed.
type lines struct {
	mu   sync.Mutex // guards b
	b    bytes.Buffer
	more chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// tunneled starts espial forward or expose and waits until it listens.
func tunneled(h *netns.Host, args ...string) *netns.Node {
	n := h.Start(append([]string{command}, append(args, "--json")...)...)
	n.Wait(startMax, netns.Match{Kind: "listening"})
	return n
}

// streamsOf returns how many streams a node has open.
func streamsOf(t *testing.T, n *netns.Node) int {
	t.Helper()
	r := n.Host.Run("status", "--json", "--node", n.ID)
	var s struct{ Queues struct{ Streams int } }
	if err := json.Unmarshal([]byte(r.Out), &s); err != nil || r.Code != 0 {
		t.Fatalf("status: exit code %d, %v: %s%s", r.Code, err, r.Out, r.Err)
	}
	return s.Queues.Streams
}

// TestPostgresThroughATunnel reaches a real server by the name of a member, kills the node at its
// side and starts it again, cuts the network and heals it. Neither end of the tunnel is touched.
func TestPostgresThroughATunnel(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 2)
	psql := &session{T: t, host: s.Host(1), psql: postgresTool(t, "psql"), port: "5432"}
	startPostgres(t, s.Host(2))
	nodes := upAll(t, s)
	expose := tunneled(s.Host(2), "expose", "postgres", "127.0.0.1:5432", "--wait", "1m")
	forward := tunneled(s.Host(1), "forward", "5432", "postgres.node-2", "--wait", "1m")

	// What goes through it is what a database is asked for.
	psql.tell("create table stock (article int primary key, about text)", "")
	psql.tell("insert into stock select g, repeat('x', 1000) from generate_series(1, 10000) g", "")
	if got, err := psql.ask("select about from stock"); err != nil || len(got) != 10000*1001-1 {
		t.Fatalf("10,000 rows of 1,000 bytes are %d bytes, %v; want %d", len(got), err, 10000*1001-1)
	}
	var many sync.WaitGroup
	for range 20 {
		many.Go(func() {
			if got, err := psql.ask("select count(*) from stock, pg_sleep(0.5)"); err != nil || got != "10000" {
				t.Errorf("one of 20 sessions got %q, %v; want 10000", got, err)
			}
		})
	}
	many.Wait()

	// The node at the server's side is killed: who was in the middle hears so, and the server too.
	sql, out, ended := psql.stay()
	psql.say(sql, out, "begin; delete from stock; select 'deleted ' || count(*) from stock;", "deleted 0")
	nodes[1].Kill()
	expose.Wait(startMax, netns.Match{Kind: "waiting"})
	_, _ = io.WriteString(sql, "commit;\n")
	select {
	case err := <-ended:
		if err == nil {
			t.Errorf("psql in a transaction ended well when its server was out of reach; it printed %q", out)
		}
	case <-time.After(startMax):
		t.Fatalf("psql hangs when its server is out of reach; it printed %q", out)
	}
	forward.Wait(startMax, netns.Match{Kind: "closed"})
	forward.Mark()
	found := make(chan string, 1)
	go func() { // while there is no such member
		got, err := psql.ask("select count(*) from stock")
		found <- fmt.Sprint(got, err)
	}()
	forward.Wait(startMax, netns.Match{Kind: "waiting"})
	nodes[1] = s.Host(2).Up("--name", "node-2")
	if got := <-found; got != "10000<nil>" {
		t.Errorf("who waited for the node got %s, want the 10000 of before the transaction", got)
	}

	// The network breaks for a moment: who is connected notices nothing.
	netns.Whole(startMax, nodes...)
	sql, out, ended = psql.stay()
	psql.say(sql, out, "select 'before';", "before")
	s.Cut(s.Host(2))
	s.Hold(time.Second)
	s.Heal()
	psql.say(sql, out, "select 'after';", "after")
	_ = sql.Close()
	if err := <-ended; err != nil {
		t.Errorf("psql ended with %v after a short cut; it printed %q", err, out)
	}

	// It breaks for long: who connects hears so within --wait, and is served once it is healed.
	hasty := tunneled(s.Host(1), "forward", "5433", "postgres.node-2", "--wait", "1s")
	markAll(nodes)
	s.Cut(s.Host(2))
	nodes[0].Wait(patient(silentMax), failed(nodes[1]))
	impatient := *psql
	impatient.port = "5433"
	if got, err := impatient.ask("select 1"); err == nil {
		t.Errorf("a server beyond a cut answers %q", got)
	}
	hasty.Wait(startMax, netns.Match{Kind: "failed", Reason: "no such member"})
	s.Heal()
	netns.Whole(startMax, nodes...)
	psql.tell("select count(*) from stock", "10000")
	impatient.tell("select count(*) from stock", "10000")

	// Nothing is left behind.
	for _, n := range nodes {
		for late := time.Now().Add(startMax); streamsOf(t, n) > 0; {
			if time.Now().After(late) {
				t.Fatalf("%s has %d streams still\n%s\n%s", n.Name, streamsOf(t, n), forward.Report(), expose.Report())
			}
		}
	}
	for _, n := range []*netns.Node{forward, hasty, expose} {
		if open := n.Descriptors(); open > 16 {
			t.Errorf("%v has %d descriptors open and no connection", n.Name, open)
		}
		n.Signal(syscall.SIGINT)
		if code := n.Ended(); code != 0 {
			t.Errorf("an interrupt ended it with exit code %d\n%s", code, n.Report())
		}
	}
}
