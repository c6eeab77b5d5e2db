package memnet_test

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/memnet"
)

func TestWriteWaitsForRoom(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		n.SetBuffer(1000)
		a, b, _ := dial(t, n, ipA, ipB)
		start := time.Now()
		write(t, a, strings.Repeat("x", 1000))
		took(t, "filling the buffer", start, 0)
		time.AfterFunc(time.Minute, func() { _, _ = b.Read(make([]byte, 10)) })
		write(t, a, strings.Repeat("y", 10))
		took(t, "the write that needs room", start, time.Minute)
		if err := a.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		k, err := a.Write([]byte("z"))
		wantErr(t, "Write past its deadline", err, os.ErrDeadlineExceeded)
		wantTimeout(t, "Write past its deadline", err)
		if k != 0 {
			t.Errorf("Write past its deadline: %d bytes, want 0", k)
		}
		took(t, "the write with a deadline", start, time.Minute+time.Second)
		if err := a.SetWriteDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { a.Close() })
		_, err = a.Write([]byte("z"))
		wantErr(t, "Write when closed meanwhile", err, net.ErrClosed)
		took(t, "the write that Close ends", start, time.Minute+2*time.Second)
	})
}

func TestALargerBufferWakesTheWriter(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, n *memnet.Network) {
		n.SetBuffer(10)
		a, _, _ := dial(t, n, ipA, ipB)
		time.AfterFunc(time.Second, func() { n.SetBuffer(20) })
		start := time.Now()
		write(t, a, strings.Repeat("x", 20))
		took(t, "Write", start, time.Second)
	})
}

func TestAReadDeadlineCanBeMovedWhileReading(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, n *memnet.Network) {
		a, _, _ := dial(t, n, ipA, ipB)
		start := time.Now()
		if err := a.SetDeadline(start.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second/2, func() { _ = a.SetReadDeadline(start.Add(time.Minute)) })
		_, err := a.Read(make([]byte, 1))
		wantErr(t, "Read", err, os.ErrDeadlineExceeded)
		took(t, "Read", start, time.Minute)
	})
}

func TestAHalfClosedConnectionStillReads(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		a, b, _ := dial(t, n, ipA, ipB)
		write(t, a, "question")
		if err := a.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_, err := a.Write([]byte("x"))
		wantErr(t, "Write after CloseWrite", err, syscall.EPIPE)
		if got, err := io.ReadAll(b); string(got) != "question" || err != nil {
			t.Errorf("read %q, error %v, want the question and no error", got, err)
		}
		write(t, b, "answer")
		if got := read(t, a, 6); got != "answer" {
			t.Errorf("read %q, want the answer", got)
		}
	})
}

func TestClosingWithUnreadBytesResetsThePeer(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		a, b, _ := dial(t, n, ipA, ipB)
		write(t, b, "never read")
		write(t, a, "goodbye")
		time.Sleep(time.Millisecond + 1)
		a.Close()
		if got := read(t, b, 7); got != "goodbye" {
			t.Errorf("read %q, want what arrived before the reset", got)
		}
		_, err := b.Read(make([]byte, 1))
		wantErr(t, "Read", err, syscall.ECONNRESET)
	})
}

func TestWritingToAClosedPeerEndsInAReset(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		a, b, _ := dial(t, n, ipA, ipB)
		a.Close()
		wantErr(t, "the second Close", a.Close(), net.ErrClosed)
		_, err := b.Read(make([]byte, 1))
		wantErr(t, "Read", err, io.EOF)
		write(t, b, "too late")
		time.Sleep(2*time.Millisecond + 1)
		_, err = b.Write([]byte("x"))
		wantErr(t, "Write one round trip later", err, syscall.ECONNRESET)
	})
}

func TestConcurrentWritesDoNotMix(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, n *memnet.Network) {
		n.SetBuffer(100)
		a, b, _ := dial(t, n, ipA, ipB)
		const size = 5000 // many times the buffer
		var wg sync.WaitGroup
		for s := range strings.SplitSeq("abcdefgh", "") {
			wg.Go(func() { _, _ = io.WriteString(a, strings.Repeat(s, size)) })
		}
		synctest.Wait() // All of them wait for room now.
		var order []byte
		for range 8 {
			got := read(t, b, size)
			if strings.Trim(got, got[:1]) != "" {
				t.Errorf("one write's bytes hold others' as well")
			}
			order = append(order, got[0])
		}
		wg.Wait()
		if slices.Sort(order); string(order) != "abcdefgh" {
			t.Errorf("the writes of %q arrived, want each of abcdefgh once", order)
		}
	})
}

// TestStreamsKeepTheirOrder sends numbered bytes through everything that may delay them.
func TestStreamsKeepTheirOrder(t *testing.T) {
	for seed := range uint64(20) {
		inBubble(t, 0, func(t *testing.T, _ *memnet.Network) {
			n := memnet.New(seed)
			n.SetLatency(0, 20*time.Millisecond)
			a, b, _ := dial(t, n, ipA, ipB)
			n.SetUserTimeout(0)
			n.SetLoss(0.2)
			want := make([]byte, 100_000)
			for i := range want {
				want[i] = byte(i ^ i>>8)
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				defer a.Close()
				for i := 0; i < len(want); i += 1000 {
					if _, err := a.Write(want[i : i+1000]); err != nil {
						t.Errorf("seed %d: %v", seed, err)
					}
					time.Sleep(time.Millisecond)
				}
			})
			wg.Go(func() {
				for range 10 {
					for _, f := range []func(){
						func() { n.Partition([]netip.Addr{ipA}) }, n.Heal,
						func() { n.Pause(ipB) }, func() { n.CutOneWay(ipA, ipB) }, func() { n.Resume(ipB) }, n.Heal,
						func() { n.CutOneWay(ipB, ipA) }, n.Heal,
					} {
						time.Sleep(3 * time.Millisecond)
						f()
					}
				}
			})
			got, err := io.ReadAll(b)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("seed %d: read %d bytes, error %v, want the %d written in order", seed, len(got), err, len(want))
			}
			wg.Wait()
		})
	}
}

func TestLossDelaysAStreamByRetransmissions(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		a, b, _ := dial(t, n, ipA, ipB)
		start := time.Now()
		n.SetLoss(1)
		write(t, a, "lost until nobody counts any more, ")
		n.SetLoss(0)
		write(t, a, "behind")
		read(t, b, 1)
		// 0.2 s + 0.4 s + ... + 102.4 s, the last one below the largest time.
		took(t, "the delivery", start, 204_601*time.Millisecond)
		if got := read(t, b, 40); !strings.HasSuffix(got, "behind") {
			t.Errorf("read %q, want what was written behind at its end", got)
		}
	})
}

func TestStatsAndTapSeeWhatIsWritten(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		a, b, _ := dial(t, n, ipA, ipB)
		type seen struct{ from, to, text string }
		var got []seen
		n.Tap(func(from, to netip.AddrPort, b []byte) {
			got = append(got, seen{from.String(), to.String(), string(b)})
		})
		write(t, a, "ping")
		write(t, b, "pong!")
		n.Tap(nil)
		write(t, a, "unseen")
		want := []seen{
			{a.LocalAddr().String(), b.LocalAddr().String(), "ping"},
			{b.LocalAddr().String(), a.LocalAddr().String(), "pong!"},
		}
		if !slices.Equal(got, want) {
			t.Errorf("the tap saw %v, want %v", got, want)
		}
		if got, want := n.Stats(), (memnet.Stats{Conns: 1, Bytes: 15}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}
