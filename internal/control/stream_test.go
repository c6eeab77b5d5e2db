package control_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/control"
)

// taker hands the stream of each request over, and ends the request when over is closed.
func taker(streams chan<- *control.Stream, over <-chan struct{}) handler {
	return func(ctx context.Context, r control.Request, _ func(any) error) error {
		s, err := r.Take(map[string]string{"verb": r.Verb})
		if err != nil {
			return err
		}
		streams <- s
		select {
		case <-over:
		case <-ctx.Done():
			s.Abort(errors.New("the node ends"))
		}
		return nil
	}
}

// stream returns the ends of a stream, the client's first, and how to end its server.
func stream(t *testing.T) (client, server *control.Stream, stop func()) {
	t.Helper()
	home(t)
	streams, over := make(chan *control.Stream, 1), make(chan struct{})
	s, stop := serve(t, "a", taker(streams, over))
	t.Cleanup(func() { close(over) })
	var facts struct{ Verb string }
	client, err := control.Node{Path: s.Path()}.Open(t.Context(), "dial", nil, &facts)
	if err != nil || facts.Verb != "dial" {
		t.Fatalf("Open = %v with the facts %+v, want those of dial", err, facts)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client, <-streams, stop
}

func TestAStreamCarriesBothDirectionsAndTheirEnds(t *testing.T) {
	client, server, _ := stream(t)
	question, answer := bytes.Repeat([]byte("question "), 1<<16), bytes.Repeat([]byte("answer "), 1<<16)
	go func() {
		_, _ = client.Write(question)
		_ = client.CloseWrite()
	}()
	got, err := io.ReadAll(server)
	if err != nil || !bytes.Equal(got, question) {
		t.Fatalf("the node read %d bytes, %v; want the %d of the question", len(got), err, len(question))
	}
	go func() {
		_, _ = server.Write(answer)
		_ = server.Close()
	}()
	if got, err = io.ReadAll(client); err != nil || !bytes.Equal(got, answer) {
		t.Fatalf("the client read %d bytes, %v; want the %d of the answer", len(got), err, len(answer))
	}
	if n, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after the end the client reads %d bytes, %v; want io.EOF again", n, err)
	}
	if _, err := client.Write([]byte("more")); err == nil {
		t.Error("Write after CloseWrite returned nil, want an error")
	}
}

// TestAStreamThatWasCutShortHasNoEnd: what is half must not be taken for whole.
func TestAStreamThatWasCutShortHasNoEnd(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(server *control.Stream, stop func())
		want string // in the error of the client
	}{
		{
			"the node breaks it off and says why",
			func(server *control.Stream, _ func()) { server.Abort(errors.New("ann left")) }, "broke off: ann left",
		},
		{
			"the reason is a novel",
			func(server *control.Stream, _ func()) { server.Abort(errors.New(strings.Repeat("x", 5000))) },
			strings.Repeat("x", 1024),
		},
		{"the node ends", func(_ *control.Stream, stop func()) { stop() }, "broke off: the node ends"},
		{
			"the node is killed", // its socket ends, and it says nothing
			func(server *control.Stream, _ func()) { control.Cut(server) }, "broke off",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, server, stop := stream(t)
			if _, err := server.Write([]byte("half")); err != nil {
				t.Fatal(err)
			}
			tt.end(server, stop)
			got, err := io.ReadAll(client)
			if string(got) != "half" || !errors.Is(err, control.ErrBroken) || !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("the client read %q, %v; want \"half\" and an ErrBroken that ends with %q", got, err, tt.want)
			}
		})
	}
}

// TestAnEndThatIsGoneIsSeen: also by who has read all, and has nothing to write for now.
func TestAnEndThatIsGoneIsSeen(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(client, server *control.Stream)
		want error
	}{
		{"it is killed", func(_, server *control.Stream) { control.Cut(server) }, control.ErrBroken},
		{"it breaks off", func(_, server *control.Stream) { server.Abort(errors.New("enough")) }, control.ErrBroken},
		{"both had ended", func(client, server *control.Stream) {
			_, _ = client.CloseWrite(), server.Close()
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, server, _ := stream(t)
			if err := server.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if n, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Fatalf("the client read %d bytes, %v; want the end", n, err)
			}
			tt.end(client, server)
			if err := client.Watch(); !errors.Is(err, tt.want) {
				t.Errorf("Watch = %v, want %v", err, tt.want)
			}
		})
	}
}

// TestAReaderThatStallsHoldsNobody: neither Abort nor Close waits for who reads nothing.
func TestAReaderThatStallsHoldsNobody(t *testing.T) {
	client, server, _ := stream(t)
	wrote := make(chan error, 1)
	go func() {
		_, err := server.Write(make([]byte, 64<<20))
		wrote <- err
	}()
	_, _ = client.Read(make([]byte, 1)) // it has begun
	begin := time.Now()
	server.Abort(errors.New("enough"))
	if err := <-wrote; err == nil {
		t.Error("Write returned nil, want that it was ended")
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("Abort took %v, want 100 ms", took)
	}
	if _, err := io.Copy(io.Discard, client); !errors.Is(err, control.ErrBroken) {
		t.Errorf("the client read up to %v, want ErrBroken", err)
	}
}

// TestStreamsTakeNoPlaceOfRequests: the node is asked while it has more streams than requests can be.
func TestStreamsTakeNoPlaceOfRequests(t *testing.T) {
	home(t)
	streams, over := make(chan *control.Stream, 100), make(chan struct{})
	s, _ := serve(t, "a", taker(streams, over))
	defer close(over)
	for i := range 100 {
		client, err := control.Node{Path: s.Path()}.Open(t.Context(), "dial", nil, nil)
		if err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
		t.Cleanup(func() { _ = client.Close() })
	}
}

func TestOpenTellsWhyThereIsNoStream(t *testing.T) {
	home(t)
	s, _ := serve(t, "a", handler(func(_ context.Context, r control.Request, send func(any) error) error {
		if r.Verb == "refuse" {
			return &control.Error{Code: "no_service", Text: "no such service"}
		}
		return send("no stream")
	}))
	for verb, want := range map[string]string{
		"refuse": "no such service (no_service)", "other": "control: the answer to other has no stream",
	} {
		if _, err := (control.Node{Path: s.Path()}).Open(t.Context(), verb, nil, nil); fmt.Sprint(err) != want {
			t.Errorf("Open of %s = %v, want %s", verb, err, want)
		}
	}
}
