package flow_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/flow"
)

// listener hands out the far ends of connections whose near ends the test has.
type listener struct {
	conns chan net.Conn
	once  sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	nc, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return nc, nil
}

func (l *listener) Close() error   { l.once.Do(func() { close(l.conns) }); return nil }
func (l *listener) Addr() net.Addr { return addr("desk") }

type addr string

func (a addr) Network() string { return "test" }
func (a addr) String() string  { return string(a) }

// from is a connection whose other end is the member peer.
type from struct {
	net.Conn

	peer addr
}

func (f from) RemoteAddr() net.Addr { return f.peer }

// desk is a desk that serves, and what became of its offers.
type desk struct {
	flow.Desk

	t    *testing.T
	ln   *listener
	done atomic.Int64
}

func open(t *testing.T) *desk {
	d := &desk{t: t, ln: &listener{conns: make(chan net.Conn)}}
	var wg sync.WaitGroup
	wg.Go(func() { d.Serve(d.ln) })
	t.Cleanup(func() {
		d.ln.Close()
		wg.Wait()
	})
	return d
}

// offer offers ten values to a member.
func (d *desk) offer(ctx context.Context, peer string) (flow.Number, error) {
	ctx, cancel := context.WithCancel(ctx)
	n, err := d.Offer(flow.Offer{Peer: peer, Ctx: ctx, Cancel: cancel, Done: func() { d.done.Add(1) }, Write: func(w *flow.Writer) {
		for i := range 10 {
			if w.Value([]byte{byte(i)}) != nil {
				return
			}
		}
		w.Finish(flow.End, "")
	}})
	if err != nil {
		cancel()
	}
	return n, err
}

// take reads a flow as a member, up to so many values, and returns how it ended.
func (d *desk) take(peer string, n flow.Number, values int) (read int, end string) {
	near, far := net.Pipe()
	defer near.Close()
	d.ln.conns <- from{far, addr(peer)}
	near.Write(n[:])
	r := flow.NewReader(near, 10)
	for read < values {
		item, err := r.Next()
		switch {
		case err != nil:
			return read, err.Error()
		case item.Kind != flow.Value:
			return read, fmt.Sprintf("kind %d", item.Kind)
		case len(item.Data) != 1 || item.Data[0] != byte(read):
			d.t.Errorf("value %d is %v", read, item.Data)
		}
		read++
	}
	return read, "broken off"
}

// TestATicketIsGoodOnce: for the member that it was made for, within 30 s, while its flow lasts.
func TestATicketIsGoodOnce(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps func(d *desk, n flow.Number, cancel context.CancelFunc)
		read  int
		end   string
	}{
		{"at once", func(*desk, flow.Number, context.CancelFunc) {}, 10, "kind 2"},
		{"within 30 s", func(*desk, flow.Number, context.CancelFunc) { time.Sleep(29 * time.Second) }, 10, "kind 2"},
		{"later", func(*desk, flow.Number, context.CancelFunc) { time.Sleep(31 * time.Second) }, 0, "kind 5"},
		{"again", func(d *desk, n flow.Number, _ context.CancelFunc) { d.take("ann", n, 3) }, 0, "kind 5"},
		{"after another one tried", func(d *desk, n flow.Number, _ context.CancelFunc) {
			if read, end := d.take("eve", n, 20); read != 0 || end != "kind 5" {
				d.t.Errorf("another member reads %d values, then %s", read, end)
			}
		}, 10, "kind 2"},
		{"when its flow has ended", func(_ *desk, _ flow.Number, cancel context.CancelFunc) { cancel() }, 0, "kind 5"},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := open(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			n, err := d.offer(ctx, "ann")
			if err != nil {
				t.Fatal(err)
			}
			tt.steps(d, n, cancel)
			synctest.Wait()
			if read, end := d.take("ann", n, 20); read != tt.read || end != tt.end {
				t.Errorf("%s: %d values, then %s; want %d, %s", tt.name, read, end, tt.read, tt.end)
			}
			synctest.Wait()
			if d.done.Load() != 1 || d.Waiting() != 0 {
				t.Errorf("%s: done %d times, %d wait; want once, none", tt.name, d.done.Load(), d.Waiting())
			}
		})
	}
}

func TestFlowsThatWaitAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		for i := range flow.DeskMax + 1 {
			_, err := d.offer(t.Context(), fmt.Sprint(i/flow.PeerMax))
			if full := i >= flow.DeskMax; errors.Is(err, flow.ErrFull) != full {
				t.Fatalf("offer %d: %v", i, err)
			}
		}
		time.Sleep(flow.TakeWithin + time.Second)
		if d.Waiting() != 0 || d.done.Load() != flow.DeskMax {
			t.Errorf("%d wait after 30 s, %d are done", d.Waiting(), d.done.Load())
		}
		for i := range flow.PeerMax + 1 {
			if _, err := d.offer(t.Context(), "ann"); errors.Is(err, flow.ErrFull) != (i == flow.PeerMax) {
				t.Fatalf("offer %d to one member: %v", i, err)
			}
		}
		d.ln.Close()
		synctest.Wait()
		if _, err := d.offer(t.Context(), "bob"); !errors.Is(err, flow.ErrClosed) || d.Waiting() != 0 {
			t.Errorf("an offer to a desk that is closed: %v; %d wait", err, d.Waiting())
		}
	})
}

func TestWhoShowsNothingIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		near, far := net.Pipe()
		d.ln.conns <- from{far, "ann"}
		began := time.Now()
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %v, want the end after 5 s", err, time.Since(began))
		}
	})
}

// TestItems: what a reader makes of what it gets.
func TestItems(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for _, tt := range []struct {
		name, in, want string
	}{
		{"a value and the end", "\x01\x02ab\x02\x00", "1:ab 2: unexpected EOF"},
		{"a value of nothing", "\x01\x00", "1: unexpected EOF"},
		{"an error", "\x03\x02no", "3:no unexpected EOF"},
		{"a kind of a later version", "\x63\x01x", "99:x unexpected EOF"},
		{"a stream that ends in a length", "\x01\x80", "unexpected EOF"},
		{"a stream that ends in a value", "\x01\x05ab", "unexpected EOF"},
		{"a value above the limit", "\x01\xe8\x07" + long, "flow: value too large: 1000 bytes, limit 600"},
		{"an announced length", "\x01\xff\xff\xff\xff\x7f", "flow: value too large: 34359738367 bytes, limit 600"},
		{"an error that is too long", "\x03\xe8\x07" + long, "flow: value too large: a last item of 1000 bytes"},
	} {
		r := flow.NewReader(strings.NewReader(tt.in), 600)
		var got []string
		for {
			item, err := r.Next()
			if err != nil {
				got = append(got, err.Error())
				break
			}
			got = append(got, fmt.Sprintf("%d:%s", item.Kind, item.Data))
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: %q: %s, want %s", tt.name, tt.in[:min(len(tt.in), 20)], s, tt.want)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("\x01\x02ab\x02\x00"))
	f.Add([]byte("\x01\xff\xff\xff\xff\x7f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := flow.NewReader(bytes.NewReader(b), 1<<20)
		read := 0
		for {
			item, err := r.Next()
			if err != nil {
				break
			}
			read += len(item.Data)
		}
		if read > len(b) {
			t.Errorf("%d bytes come to %d", len(b), read)
		}
	})
}

func FuzzTicket(f *testing.F) {
	f.Add(flow.Ticket{Codec: 1, Number: flow.Number{1}, Type: "int"}.Append(nil))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if ticket, ok := flow.DecodeTicket(b); ok && !bytes.Equal(ticket.Append(nil), b) {
			t.Errorf("%q comes back as %q", b, ticket.Append(nil))
		}
	})
}
