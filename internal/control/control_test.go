package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/espial-go/espial/internal/control"
)

// handler makes a function a control.Handler.
type handler func(ctx context.Context, r control.Request, send func(any) error) error

func (h handler) Handle(ctx context.Context, r control.Request, send func(any) error) error {
	return h(ctx, r, send)
}

// greeter answers the verb hello like a node of the given name.
func greeter(name string) handler {
	return func(_ context.Context, r control.Request, send func(any) error) error {
		if r.Verb != "hello" {
			return &control.Error{Code: control.CodeVerb, Text: "unknown verb " + r.Verb}
		}
		return send(control.Hello{ID: "id-of-" + name, Name: name, Cluster: "test", Version: "1"})
	}
}

// home gives the test a folder for sockets of its own, with a path short enough.
func home(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("TMPDIR", dir)
	return dir
}

// serve starts a server on the socket name and ends it with the test or with stop.
func serve(t *testing.T, name string, h control.Handler) (s *control.Server, stop func()) {
	t.Helper()
	s, err := control.Listen(t.Context(), control.Folders(), name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, h) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve returned %v, want nil", err)
		}
	}
	t.Cleanup(stop)
	return s, stop
}

func TestCallGivesEveryPieceAndThenTheEnd(t *testing.T) {
	home(t)
	s, _ := serve(t, "a", handler(func(_ context.Context, r control.Request, send func(any) error) error {
		var n int
		if err := json.Unmarshal(r.Args, &n); err != nil {
			return err
		}
		for i := range n {
			if err := send(fmt.Sprintf("<%d>", i)); err != nil {
				return err
			}
		}
		return nil
	}))
	var got []string
	err := control.Node{Path: s.Path()}.Call(t.Context(), "count", 3, func(b json.RawMessage) error {
		got = append(got, string(b))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`"<0>"`, `"<1>"`, `"<2>"`}, got); diff != "" {
		t.Errorf("pieces (-want +got):\n%s", diff)
	}
}

func TestErrorsKeepTheirCode(t *testing.T) {
	home(t)
	for _, c := range []struct {
		name string
		err  error
		want control.Error
	}{
		{"an error with a code", &control.Error{Code: "no_member", Text: "x"}, control.Error{Code: "no_member", Text: "x"}},
		{
			"a wrapped error with a code", fmt.Errorf("w: %w", &control.Error{Code: "full", Text: "x"}),
			control.Error{Code: "full", Text: "x"},
		},
		{"any other error", errors.New("odd"), control.Error{Code: control.CodeFailed, Text: "odd"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := serve(t, "a", handler(func(context.Context, control.Request, func(any) error) error { return c.err }))
			err := control.Node{Path: s.Path()}.Call(t.Context(), "x", nil, nil)
			got, ok := errors.AsType[*control.Error](err)
			if !ok || *got != c.want {
				t.Errorf("Call returned %v, want %v", err, &c.want)
			}
		})
	}
}

func TestACallerThatGoesAwayEndsItsRequest(t *testing.T) {
	home(t)
	ended := make(chan error, 1)
	s, _ := serve(t, "a", handler(func(ctx context.Context, _ control.Request, send func(any) error) error {
		if err := send("started"); err != nil {
			return err
		}
		<-ctx.Done()
		ended <- send("late")
		return ctx.Err()
	}))
	enough := errors.New("enough")
	err := control.Node{Path: s.Path()}.Call(t.Context(), "x", nil, func(json.RawMessage) error { return enough })
	if !errors.Is(err, enough) {
		t.Errorf("Call returned %v, want the error of its callback", err)
	}
	if err := <-ended; err == nil {
		t.Error("send to a client that is gone returned nil")
	}

	ctx, cancel := context.WithCancel(t.Context())
	err = control.Node{Path: s.Path()}.Call(ctx, "x", nil, func(json.RawMessage) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Call returned %v, want context.Canceled", err)
	}
	<-ended
}

func TestAnEndingServerTellsItsClients(t *testing.T) {
	home(t)
	waiting := make(chan struct{})
	s, stop := serve(t, "a", handler(func(ctx context.Context, _ control.Request, _ func(any) error) error {
		close(waiting)
		<-ctx.Done()
		return ctx.Err()
	}))
	answered := make(chan error, 1)
	go func() { answered <- control.Node{Path: s.Path()}.Call(t.Context(), "x", nil, nil) }()
	<-waiting
	stop()
	if e, ok := errors.AsType[*control.Error](<-answered); !ok || e.Code != control.CodeClosed {
		t.Errorf("Call returned %v, want the code %q", e, control.CodeClosed)
	}
	if _, err := os.Lstat(s.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestAServerThatDiesIsGone(t *testing.T) {
	dir := home(t)
	ln, err := net.Listen("unix", filepath.Join(dir, "x.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, c := range []struct{ name, answer string }{
		{"before it answers", ""},
		{"in the middle of a line", `{"data":1}` + "\n" + `{"da`},
		{"before the last line", `{"data":1}` + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			go func() {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Read(make([]byte, 1024))
				_, _ = conn.Write([]byte(c.answer))
				conn.Close()
			}()
			err := control.Node{Path: ln.Addr().String()}.Call(t.Context(), "x", nil,
				func(json.RawMessage) error { return nil })
			if !errors.Is(err, control.ErrGone) {
				t.Errorf("Call returned %v, want ErrGone", err)
			}
		})
	}
}

func TestBadRequestsAreAnswered(t *testing.T) {
	home(t)
	s, _ := serve(t, "a", greeter("ann"))
	for _, c := range []struct{ name, in, want string }{
		{"an empty line", "\n", control.CodeRequest},
		{"no JSON", "members\n", control.CodeRequest},
		{"an array", "[]\n", control.CodeRequest},
		{"no verb", "{}\n", control.CodeRequest},
		{"a verb with a dot", `{"verb":"a.b"}` + "\n", control.CodeRequest},
		{"a verb that is too long", `{"verb":"` + strings.Repeat("v", 33) + `"}` + "\n", control.CodeRequest},
		{"a verb that nobody knows", `{"verb":"frobnicate"}` + "\n", control.CodeVerb},
		{
			"a line of one byte over the limit",
			`{"verb":"x","args":"` + strings.Repeat("y", control.LineMaxDefault-22) + `"}` + "\n", control.CodeRequest,
		},
		{
			"a line of the limit",
			`{"verb":"x","args":"` + strings.Repeat("y", control.LineMaxDefault-23) + `"}` + "\n", control.CodeVerb,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("unix", s.Path())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			// The server may hang up before it has read all of a line that is too long.
			_, _ = conn.Write([]byte(c.in))
			var got struct{ Error control.Error }
			if err := json.NewDecoder(conn).Decode(&got); err != nil {
				t.Fatal(err)
			}
			if got.Error.Code != c.want {
				t.Errorf("%.60q is answered with %+v, want the code %q", c.in, got.Error, c.want)
			}
		})
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	home(t)
	hold := make(chan struct{})
	s, _ := serve(t, "a", handler(func(ctx context.Context, _ control.Request, send func(any) error) error {
		if err := send("in"); err != nil {
			return err
		}
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return nil
	}))
	in, out := make(chan struct{}), make(chan error)
	call := func() {
		out <- control.Node{Path: s.Path()}.Call(t.Context(), "x", nil,
			func(json.RawMessage) error { in <- struct{}{}; return nil })
	}
	for range 32 {
		go call()
		<-in
	}
	go call()
	if e, ok := errors.AsType[*control.Error](<-out); !ok || e.Code != control.CodeBusy {
		t.Errorf("the 33rd connection got %v, want the code %q", e, control.CodeBusy)
	}
	close(hold)
	for range 32 {
		if err := <-out; err != nil {
			t.Errorf("a connection within the limit got %v", err)
		}
	}
}

func TestNodesFindsWhoAnswersAndRemovesWhatIsStale(t *testing.T) {
	dir := home(t)
	serve(t, "b", greeter("bob"))
	serve(t, "a", greeter("ann"))
	s, stop := serve(t, "c", greeter("old"))
	// A killed process leaves its socket behind.
	old := filepath.Join(dir, "espial", "dead.sock")
	leave(t, old, -1)
	young := filepath.Join(dir, "espial", "young.sock")
	leave(t, young, 0)
	stop()

	nodes, err := control.Nodes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name+" "+n.ID+" "+n.Cluster)
	}
	if diff := cmp.Diff([]string{"ann id-of-ann test", "bob id-of-bob test"}, names); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	for path, want := range map[string]bool{old: false, young: true, s.Path(): false} {
		if _, err := os.Lstat(path); (err == nil) != want {
			t.Errorf("%s: exists is %v, want %v", filepath.Base(path), err == nil, want)
		}
	}
}

func TestNodesNamesWhoDoesNotAnswer(t *testing.T) {
	home(t)
	serve(t, "a", greeter("ann"))
	frozen, _ := serve(t, "b", handler(func(ctx context.Context, _ control.Request, _ func(any) error) error {
		<-ctx.Done()
		return nil
	}))
	nodes, err := control.Nodes(t.Context())
	if len(nodes) != 1 || nodes[0].Name != "ann" {
		t.Errorf("nodes: got %v, want ann alone", nodes)
	}
	silent, ok := errors.AsType[*control.SilentError](err)
	if !ok || silent.Name != "b" || silent.Path != frozen.Path() {
		t.Errorf("the error is %v, want one about b at %s", err, frozen.Path())
	}
}

func TestNodesIsEmptyWhereNothingEverRan(t *testing.T) {
	home(t)
	nodes, err := control.Nodes(t.Context())
	if len(nodes) != 0 || err != nil {
		t.Errorf("Nodes returned %v, %v, want nothing", nodes, err)
	}
}

func ignore(json.RawMessage) error { return nil }
