package tunnel_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/tunnel"
)

// bound is how long a test waits for what takes no time.
const bound = 30 * time.Second

// pair returns the two ends of a TCP connection.
func pair(ctx context.Context, t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	near, far = nc.(*net.TCPConn), other.(*net.TCPConn)
	for _, c := range []net.Conn{near, far} {
		_ = c.SetDeadline(time.Now().Add(bound))
		t.Cleanup(func() { _ = c.Close() })
	}
	return near, far
}

// result is what Join returned.
type result struct {
	sent, received int64
	err            error
}

// join joins two connections and returns the far ends of them.
func join(ctx context.Context, t *testing.T) (client, server *net.TCPConn, done chan result) {
	t.Helper()
	client, a := pair(ctx, t)
	b, server := pair(ctx, t)
	done = make(chan result, 1)
	go func() {
		sent, received, err := tunnel.Join(ctx, a, b)
		done <- result{sent, received, err}
	}()
	return client, server, done
}

// end returns what Join returned.
func end(t *testing.T, done chan result) result {
	t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(bound):
		t.Fatal("Join does not return")
		return result{}
	}
}

// TestJoinPassesBothDirectionsAndTheirEnds: the server answers only when it has seen the end of the
// question, and the client has ended its half by then.
func TestJoinPassesBothDirectionsAndTheirEnds(t *testing.T) {
	client, server, done := join(t.Context(), t)
	question, answer := bytes.Repeat([]byte("question "), 1<<17), bytes.Repeat([]byte("answer "), 1<<17)
	go func() {
		_, _ = client.Write(question)
		_ = client.CloseWrite()
	}()
	got, err := io.ReadAll(server)
	if err != nil || !bytes.Equal(got, question) {
		t.Fatalf("the server read %d bytes, %v; want the %d of the question, and their end", len(got), err, len(question))
	}
	go func() {
		_, _ = server.Write(answer)
		_ = server.Close()
	}()
	if got, err = io.ReadAll(client); err != nil || !bytes.Equal(got, answer) {
		t.Fatalf("the client read %d bytes, %v; want the %d of the answer, and their end", len(got), err, len(answer))
	}
	want := result{sent: int64(len(question)), received: int64(len(answer))}
	if r := end(t, done); r != want {
		t.Errorf("Join returned %+v, want %+v", r, want)
	}
}

// TestWhatBreaksOffAtOneEndBreaksOffAtTheOther: no end of file, which would be taken for all.
func TestWhatBreaksOffAtOneEndBreaksOffAtTheOther(t *testing.T) {
	client, server, done := join(t.Context(), t)
	if _, err := client.Write([]byte("half of")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(server, make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
	_ = client.SetLinger(0)
	_ = client.Close()
	if n, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server read %d bytes, %v; want ECONNRESET", n, err)
	}
	if r := end(t, done); !errors.Is(r.err, syscall.ECONNRESET) {
		t.Errorf("Join returned %+v, want ECONNRESET", r)
	}
}

// lateReason is an end that cannot be written to, and of which the reason is read a moment later.
type lateReason struct {
	wrote chan struct{}
	why   error
}

func (l *lateReason) Write([]byte) (int, error) {
	close(l.wrote)
	return 0, syscall.EPIPE
}

func (l *lateReason) Read([]byte) (int, error) {
	<-l.wrote
	return 0, l.why
}

func (l *lateReason) Close() error { return nil }

func TestTheReasonGoesBeforeTheBrokenPipe(t *testing.T) {
	client, a := pair(t.Context(), t)
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	why := errors.New("ann left")
	_, _, err := tunnel.Join(t.Context(), a, &lateReason{make(chan struct{}), why})
	if !errors.Is(err, why) {
		t.Errorf("Join returned %v, want %v", err, why)
	}
}

// ended is an end that has brought its last byte, and then is lost.
type ended struct {
	lateReason
	lost chan error
}

func (e *ended) Read([]byte) (int, error) { return 0, io.EOF }

func (e *ended) Watch() error { return <-e.lost }

func TestAnEndThatIsLostAfterItsLastByte(t *testing.T) {
	client, a := pair(t.Context(), t)
	why := errors.New("killed")
	b := &ended{lost: make(chan error, 1)}
	done := make(chan error, 1)
	go func() {
		_, _, err := tunnel.Join(t.Context(), a, b)
		done <- err
	}()
	if n, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("the client read %d bytes, %v; want the end", n, err)
	}
	b.lost <- why // and the client sends nothing
	if err := <-done; !errors.Is(err, why) {
		t.Errorf("Join returned %v, want %v", err, why)
	}
}

func TestTheEndOfTheContextBreaksBothOff(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	client, server, done := join(ctx, t)
	why := errors.New("enough")
	cancel(why)
	for name, c := range map[string]net.Conn{"client": client, "server": server} {
		if n, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the %s read %d bytes, %v; want ECONNRESET", name, n, err)
		}
	}
	if r := end(t, done); !errors.Is(r.err, why) {
		t.Errorf("Join returned %+v, want %v", r, why)
	}
}

// TestAReaderThatStallsStopsTheWriter: what is under way is bounded, however much is written.
func TestAReaderThatStallsStopsTheWriter(t *testing.T) {
	client, server, done := join(t.Context(), t)
	_ = client.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	const much = 256 << 20
	sent, err := client.Write(make([]byte, much))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Write took %d bytes of which nobody read one, %v; want it to wait", sent, err)
	}
	_ = client.CloseWrite()
	if n, err := io.Copy(io.Discard, server); err != nil || n != int64(sent) {
		t.Errorf("the server read %d bytes, %v; want the %d that were written", n, err, sent)
	}
	_ = server.Close()
	if r := end(t, done); r.err != nil {
		t.Errorf("Join returned %+v, want no error", r)
	}
}
