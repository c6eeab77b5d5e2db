package espial_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/control"
)

// listening lets a client listen at a node and returns the numbers of the streams that come.
func listening(t *testing.T, c control.Node, service string, most int) <-chan uint64 {
	t.Helper()
	streams, ready := make(chan uint64, 100), make(chan struct{})
	go func() {
		err := c.Call(t.Context(), "listen", map[string]any{"service": service, "max": most},
			func(b json.RawMessage) error {
				if string(b) == "null" {
					close(ready)
					return nil
				}
				var far struct {
					Stream uint64
					Member espial.Sender
				}
				err := json.Unmarshal(b, &far)
				if far.Member.Name != "web" {
					err = errors.New("the stream is from nobody: " + string(b))
				}
				streams <- far.Stream
				return err
			})
		if e, ok := errors.AsType[*control.Error](err); t.Context().Err() == nil && (!ok || e.Code != control.CodeClosed) {
			t.Errorf("listen ended with %v", err)
		}
	}()
	<-ready
	return streams
}

// open opens a stream by a verb.
func open(t *testing.T, c control.Node, verb string, args map[string]any) *control.Stream {
	t.Helper()
	var far struct{ Member espial.Sender }
	s, err := c.Open(t.Context(), verb, args, &far)
	if err != nil || far.Member.Name != "web" {
		t.Fatalf("%s %v = %v with %+v, want a stream with web", verb, args, err, far)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestClientsDialAndListen(t *testing.T) {
	n, c := controlled(t, espial.Config{})
	streams := listening(t, c, "api", 1)
	near := open(t, c, "dial", map[string]any{"to": "api.web"})
	far := open(t, c, "accept", map[string]any{"stream": <-streams})
	for i, ends := range [][2]*control.Stream{{near, far}, {far, near}} {
		if _, err := ends[0].Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if err := ends[0].CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(ends[1]); string(got) != "hello" || err != nil {
			t.Fatalf("direction %d brought %q, %v; want hello and the end", i, got, err)
		}
	}

	// One at a time: the next one waited until that one was over. It breaks off, and so does the other end.
	near = open(t, c, "dial", map[string]any{"to": "api.*"})
	far = open(t, c, "accept", map[string]any{"stream": <-streams})
	near.Abort(errors.New("enough"))
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, control.ErrBroken) || !strings.Contains(err.Error(), "broken off") {
		t.Errorf("the other end of a stream that broke off reads %v, want why", err)
	}

	// The node ends, and with it every stream.
	near = open(t, c, "dial", map[string]any{"to": "api.web"})
	<-streams
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, control.ErrBroken) {
		t.Errorf("a stream of a node that ended reads %v, want ErrBroken", err)
	}
}

func TestWhatNoStreamCanBe(t *testing.T) {
	n, c := controlled(t, espial.Config{})
	ln, err := n.Listen("taken")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, tt := range []struct {
		name, verb string
		args       any
		code       string
	}{
		{"nobody listens", "dial", map[string]any{"to": "api.web"}, "no_service"},
		{"nobody is meant", "dial", map[string]any{"to": "api.ghost"}, "no_member"},
		{"no target", "dial", map[string]any{"to": "api.a b"}, "target"},
		{"no address", "dial", map[string]any{"to": "api"}, control.CodeFailed},
		{"no arguments", "dial", "api.web", control.CodeRequest},
		{"the service is taken", "listen", map[string]any{"service": "taken", "max": 1}, "in_use"},
		{"no service", "listen", map[string]any{"service": "a b", "max": 1}, control.CodeFailed},
		{"no places", "listen", map[string]any{"service": "api"}, control.CodeRequest},
		{"too many places", "listen", map[string]any{"service": "api", "max": 1025}, control.CodeRequest},
		{"no such stream", "accept", map[string]any{"stream": 7}, "no_stream"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.Open(t.Context(), tt.verb, tt.args, nil)
			if e, ok := errors.AsType[*control.Error](err); !ok || e.Code != tt.code {
				t.Errorf("%s %v = %v, want the code %s", tt.verb, tt.args, err, tt.code)
			}
		})
	}
}
