package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type handlerFunc func(ctx context.Context, r Request, send func(any) error) error

func (h handlerFunc) Handle(ctx context.Context, r Request, send func(any) error) error {
	return h(ctx, r, send)
}

// start serves one end of a pipe and returns the other, and a channel that is closed when
// the connection is over.
func start(ctx context.Context, h Handler) (client net.Conn, over chan struct{}) {
	client, server := net.Pipe()
	over = make(chan struct{})
	go func() {
		defer close(over)
		newConn(server, LineMaxDefault, nil).serve(ctx, h)
	}()
	return client, over
}

func TestAClientHasFiveSecondsToAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, over := start(t.Context(), nil)
		begin := time.Now()
		_, _ = client.Write([]byte(`{"verb":`))
		line, err := bufio.NewReader(client).ReadString('\n')
		if !strings.Contains(line, `"code":"bad_request"`) || !strings.Contains(line, "within 5s") {
			t.Errorf("the answer is %q, %v, want one that says what was too slow", line, err)
		}
		if got := time.Since(begin); got != 5*time.Second {
			t.Errorf("it came after %v, want 5s", got)
		}
		<-over
	})
}

func TestAClientThatStopsReadingIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan error, 1)
		client, over := start(t.Context(), handlerFunc(func(ctx context.Context, _ Request, send func(any) error) error {
			got <- send("nobody reads this")
			return ctx.Err()
		}))
		begin := time.Now()
		if _, err := client.Write([]byte(`{"verb":"x"}` + "\n")); err != nil {
			t.Fatal(err)
		}
		if err := <-got; err == nil {
			t.Error("send returned nil, want an error")
		}
		if d := time.Since(begin); d != stallMax {
			t.Errorf("send gave up after %v, want %v", d, stallMax)
		}
		<-over
		if d := time.Since(begin); d != stallMax {
			t.Errorf("the connection was over after %v, want it cut at once", d)
		}
	})
}

func TestAnEndingNodeWaitsForNoClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		client, over := start(ctx, handlerFunc(func(_ context.Context, _ Request, send func(any) error) error {
			return send("nobody reads this")
		}))
		if _, err := client.Write([]byte(`{"verb":"x"}` + "\n")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		begin := time.Now()
		cancel()
		<-over
		if d := time.Since(begin); d > 2*farewellWait {
			t.Errorf("the connection was over %v after the node ended, want at most %v", d, 2*farewellWait)
		}
	})
}

func TestAnEndingNodeWaitsForNoRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		early, one := start(ctx, nil)
		synctest.Wait()
		begin := time.Now()
		cancel()
		late, two := start(ctx, nil)
		<-one
		<-two
		if d := time.Since(begin); d > 2*farewellWait {
			t.Errorf("the connections were over %v after the node ended, want at most %v", d, 2*farewellWait)
		}
		early.Close()
		late.Close()
	})
}

func TestMoreThanOneRequestEndsTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, over := start(t.Context(), handlerFunc(func(ctx context.Context, _ Request, _ func(any) error) error {
			<-ctx.Done()
			return ctx.Err()
		}))
		go func() { _, _ = client.Write([]byte(`{"verb":"x"}` + "\n" + `{"verb":"x"}` + "\n")) }()
		line, err := bufio.NewReader(client).ReadString('\n')
		if err != nil || !strings.Contains(line, `"error"`) {
			t.Errorf("the answer is %q, %v, want an error", line, err)
		}
		<-over
	})
}

func TestWhatCannotBeEncodedIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, over := start(t.Context(), handlerFunc(func(_ context.Context, _ Request, send func(any) error) error {
			return send(func() {})
		}))
		_, _ = client.Write([]byte(`{"verb":"x"}` + "\n"))
		line, err := bufio.NewReader(client).ReadString('\n')
		if err != nil || !strings.Contains(line, `"code":"failed"`) {
			t.Errorf("the answer is %q, %v, want the code failed", line, err)
		}
		<-over
	})
}

// FuzzRequest feeds any line to the decoder: it never panics, refuses with its own code,
// and reads back what it accepted.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		`{"verb":"members"}`, `{"verb":"pub","args":{"topic":"a.b","data":"eA=="}}`, `{"verb":"sub","args":null}`,
		`{}`, `[]`, `{"verb":1}`, `{"verb":"x"`, `{"verb":"x"}{}`, `{"VERB":"x"}`, "\x00", `{"verb":"A"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := decodeRequest(line)
		if err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.Code != CodeRequest {
				t.Fatalf("decodeRequest(%q) returned %v, want the code %q", line, err, CodeRequest)
			}
			return
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("decodeRequest(%q) returned %+v, which does not encode: %v", line, r, err)
		}
		again, err := decodeRequest(b)
		if err != nil {
			t.Fatalf("decodeRequest(%q) returned %v for its own encoding", b, err)
		}
		if c, err := json.Marshal(again); err != nil || !bytes.Equal(b, c) {
			t.Fatalf("decodeRequest(%q) encodes to %q and then to %q, %v", line, b, c, err)
		}
	})
}
