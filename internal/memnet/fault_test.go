package memnet_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/memnet"
)

func TestACutLongerThanTheUserTimeoutFailsTheWriter(t *testing.T) {
	tests := []struct {
		name    string
		cut     func(n *memnet.Network)
		arrives bool // what a writes reaches b
	}{
		{"a partition", func(n *memnet.Network) { n.Partition([]netip.Addr{ipA}) }, false},
		{"bytes cut", func(n *memnet.Network) { n.CutOneWay(ipA, ipB) }, false},
		{"acknowledgements cut", func(n *memnet.Network) { n.CutOneWay(ipB, ipA) }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
				n.SetUserTimeout(3 * time.Second)
				a, b, _ := dial(t, n, ipA, ipB)
				tt.cut(n)
				time.Sleep(time.Minute) // Without unsent bytes nothing fails.
				start := time.Now()
				write(t, a, "x")
				_, err := a.Read(make([]byte, 1))
				wantErr(t, "Read at the writer", err, syscall.ETIMEDOUT)
				wantTimeout(t, "Read at the writer", err)
				want := 3 * time.Second
				if tt.arrives {
					want += time.Millisecond
				}
				took(t, "the failure", start, want)
				_, err = a.Write([]byte("x"))
				wantErr(t, "Write", err, syscall.ETIMEDOUT)

				if tt.arrives { // So does the reset.
					if got, err := io.ReadAll(b); string(got) != "x" {
						t.Errorf("b read %q, error %v, want x", got, err)
					}
					return
				}
				n.Heal()
				write(t, b, "nobody is there") // b learns it by writing.
				_, err = b.Read(make([]byte, 1))
				wantErr(t, "Read at the peer", err, syscall.ECONNRESET)
			})
		})
	}
}

func TestWithoutAUserTimeoutACutIsEndured(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		n.SetUserTimeout(0)
		a, b, _ := dial(t, n, ipA, ipB)
		n.Partition([]netip.Addr{ipB})
		write(t, a, "patience")
		time.Sleep(time.Hour)
		n.Heal()
		start := time.Now()
		if got := read(t, b, 8); got != "patience" {
			t.Errorf("read %q, want patience", got)
		}
		if d := time.Since(start); d > 2*time.Minute {
			t.Errorf("the retransmission came %v after the heal, want at most 2 min", d)
		}
	})
}

func TestAnAcknowledgementAfterTheHealStopsTheUserTimeout(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		a, b, _ := dial(t, n, ipA, ipB)
		n.CutOneWay(ipB, ipA)
		write(t, a, "x")
		time.Sleep(4 * time.Second)
		n.Heal()
		time.Sleep(4 * time.Second)
		write(t, a, "y")
		if got := read(t, b, 2); got != "xy" {
			t.Errorf("read %q, want xy", got)
		}
	})
}

func TestAOneWayCutLeavesTheOtherDirection(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		a, b, _ := dial(t, n, ipA, ipB)
		n.CutOneWay(ipA, ipB)
		start := time.Now()
		write(t, b, "heard")
		if got := read(t, a, 5); got != "heard" {
			t.Errorf("read %q, want heard", got)
		}
		took(t, "the open direction", start, time.Millisecond)
		write(t, a, "unheard")
		if err := b.SetReadDeadline(start.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err := b.Read(make([]byte, 1))
		wantErr(t, "Read of the cut direction", err, os.ErrDeadlineExceeded)
	})
}

func TestAPartitionSeparatesGroupsAndTheRest(t *testing.T) {
	ipD := netip.MustParseAddr("10.0.0.4")
	reach := func(t *testing.T, n *memnet.Network, from, to netip.Addr) bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		_, err := n.Host(from).Dial(ctx, netip.AddrPortFrom(to, 80).String())
		return err == nil
	}
	inBubble(t, 0, func(t *testing.T, n *memnet.Network) {
		hosts := []netip.Addr{ipA, ipB, ipC, ipD}
		for _, ip := range hosts {
			if _, err := n.Host(ip).Listen(t.Context(), ":80"); err != nil {
				t.Fatal(err)
			}
		}
		n.Partition([]netip.Addr{ipC}) // Replaced by the next one.
		n.Partition([]netip.Addr{ipA, ipB})
		for _, from := range hosts {
			for _, to := range hosts {
				want := (from == ipA || from == ipB) == (to == ipA || to == ipB)
				if got := reach(t, n, from, to); got != want {
					t.Errorf("%v reaches %v: %v, want %v", from, to, got, want)
				}
			}
		}
		n.Heal()
		if !reach(t, n, ipA, ipC) {
			t.Error("after the heal a does not reach c")
		}
	})
}

func TestResetSparesOtherPairs(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		a, c, _ := dial(t, n, ipA, ipC)
		n.Reset(ipA, ipB)
		write(t, a, "x")
		if got := read(t, c, 1); got != "x" {
			t.Errorf("read %q, want x", got)
		}
	})
}

func TestAKilledProcessIsSeenAsResetsAndRefusals(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		a, b, ln := dial(t, n, ipA, ipB)
		start := time.Now()
		n.Down(ipB)
		_, err := b.Read(make([]byte, 1))
		wantErr(t, "Read at the killed process", err, net.ErrClosed)
		_, err = ln.Accept()
		wantErr(t, "Accept at the killed process", err, net.ErrClosed)
		_, err = a.Read(make([]byte, 1))
		wantErr(t, "Read at the peer", err, syscall.ECONNRESET)
		took(t, "the reset", start, time.Millisecond)
		_, err = n.Host(ipA).Dial(t.Context(), ln.Addr().String())
		wantErr(t, "Dial to the killed process", err, syscall.ECONNREFUSED)
		_, err = n.Host(ipB).Dial(t.Context(), "10.0.0.1:80")
		wantErr(t, "Dial by the killed process", err, syscall.ENETDOWN)
		n.Up(ipB)
		dial(t, n, ipA, ipB)
	})
}

func TestAResetInFlightIsLostInACut(t *testing.T) {
	tests := []struct {
		name   string
		killed bool
	}{
		{"of a killed process", true},
		{"of an end that was closed long ago", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
				a, b, _ := dial(t, n, ipA, ipB)
				if tt.killed {
					n.Down(ipB)
				} else {
					b.Close()
					time.Sleep(time.Second)
					_, _ = a.Write([]byte("x"))
					time.Sleep(time.Millisecond + 1)
				}
				n.CutOneWay(ipB, ipA)
				time.Sleep(time.Second)
				n.Heal()
				if _, err := a.Write([]byte("x")); err != nil {
					t.Errorf("Write: error %v, want none before the next reset", err)
				}
				time.Sleep(2*time.Millisecond + 1)
				_, err := a.Write([]byte("x"))
				wantErr(t, "Write one round trip later", err, syscall.ECONNRESET)
			})
		})
	}
}

func TestAWriterWhomNoResetReachesTimesOut(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		a, b, _ := dial(t, n, ipA, ipB)
		b.Close()
		time.Sleep(time.Second)
		n.CutOneWay(ipB, ipA)
		write(t, a, "x")
		time.Sleep(memnet.UserTimeoutDefault + time.Second)
		_, err := a.Write([]byte("x"))
		wantErr(t, "Write", err, syscall.ETIMEDOUT)
	})
}

func TestAPausedProcessThatIsKilledStartsUnpaused(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, n *memnet.Network) {
		n.Host(ipB)
		n.Pause(ipA)
		time.AfterFunc(time.Second, func() { n.Down(ipA) })
		start := time.Now()
		_, err := n.Host(ipA).Dial(t.Context(), "10.0.0.2:80")
		wantErr(t, "Dial by the process that is killed", err, syscall.ENETDOWN)
		took(t, "that", start, time.Second)
		n.Up(ipA)
		dial(t, n, ipA, ipB)
	})
}

func TestAKilledProcessThatIsCutOffIsNotSeen(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		a, _, _ := dial(t, n, ipA, ipB)
		n.Partition([]netip.Addr{ipB})
		n.Down(ipB)
		n.Heal()
		if err := a.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		_, err := a.Read(make([]byte, 1))
		wantErr(t, "Read without writing", err, os.ErrDeadlineExceeded)
		write(t, a, "x")
		_, err = a.Write([]byte("x"))
		if err != nil {
			t.Errorf("Write before the reset can be here: %v", err)
		}
		time.Sleep(2*time.Millisecond + 1)
		_, err = a.Write([]byte("x"))
		wantErr(t, "Write one round trip later", err, syscall.ECONNRESET)
	})
}

func TestAPausedProcessDoesNothingWhileItsKernelGoesOn(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		n.SetBuffer(1000)
		a, b, ln := dial(t, n, ipA, ipB)
		write(t, b, "written before")
		start := time.Now()
		n.Pause(ipB)
		time.AfterFunc(time.Minute, func() { n.Resume(ipB) })
		if got := read(t, a, 14); got != "written before" {
			t.Errorf("read %q, want what was written before the pause", got)
		}
		if _, err := n.Host(ipA).Dial(t.Context(), ln.Addr().String()); err != nil {
			t.Errorf("the kernel of a paused process answers dials: %v", err)
		}
		write(t, a, string(make([]byte, 1000)))
		if err := a.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err := a.Write([]byte("x"))
		wantErr(t, "Write into full buffers", err, os.ErrDeadlineExceeded)

		done := make(chan string, 4)
		for what, f := range map[string]func(){
			"read":   func() { read(t, b, 1000) },
			"write":  func() { write(t, b, "x") },
			"accept": func() { _, _ = ln.Accept() },
			"dial":   func() { _, _ = n.Host(ipB).Dial(t.Context(), "10.0.0.1:1") },
		} {
			go func() { f(); done <- what }()
		}
		for range 4 {
			want := time.Minute
			what := <-done
			if what == "dial" {
				want += 2 * time.Millisecond
			}
			took(t, what, start, want)
		}
	})
}

func TestAClosedSocketOfAPausedProcessIsNotStuck(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		_, b, _ := dial(t, n, ipA, ipB)
		n.Pause(ipB)
		time.AfterFunc(time.Second, func() { b.Close() })
		_, err := b.Read(make([]byte, 1))
		wantErr(t, "Read", err, net.ErrClosed)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = n.Host(ipB).Dial(ctx, "10.0.0.1:1")
		wantErr(t, "Dial", err, context.DeadlineExceeded)
	})
}

func TestAPairMayHaveItsOwnLatency(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		n.SetPairLatency(ipC, ipA, time.Second, 0)
		a, b, _ := dial(t, n, ipA, ipB)
		a2, c, _ := dial(t, n, ipA, ipC)
		start := time.Now()
		write(t, a, "x")
		write(t, a2, "x")
		read(t, b, 1)
		took(t, "the network's latency", start, time.Millisecond)
		read(t, c, 1)
		took(t, "the pair's latency", start, time.Second)
	})
}
