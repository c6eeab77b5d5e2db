package mux_test

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/memnet"
	"github.com/espial-go/espial/internal/mux"
)

// What was written to a stream that was closed arrives, although the session closes right
// behind it.
func TestCloseSendsWhatIsQueued(t *testing.T) {
	inPair(t, func(p *pair) {
		a, b := p.open(p.listen("api"), "api")
		const size = 200 << 10 // within the first window
		if _, err := a.Write(make([]byte, size)); err != nil {
			p.Fatal(err)
		}
		a.Close()
		p.a.Close(mux.CodeLeave)
		if got, err := readAll(b); len(got) != size || err != nil {
			p.Errorf("read %d bytes, %v; want %d and their end", len(got), err, size)
		}
	})
}

// A session ends within 100 ms, also if the other end takes nothing any more.
func TestCloseDoesNotWaitForWhoDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		dialed, accepted := connections(t, n)
		defer accepted.Close()
		s, err := mux.New(dialed, mux.Config{Dialed: true, Services: &mux.Services{}})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { s.Run(t.Context()) })
		for range 100 { // more than the connection and yamux hold
			wg.Go(func() { s.Open(t.Context(), "api") })
		}
		time.Sleep(time.Second)
		began := time.Now()
		s.Close(mux.CodeLeave)
		wg.Wait()
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("the session ended after %v, want 100 ms", took)
		}
	})
}

// After Close nothing can be opened, at either end, and what is open ends with the code.
func TestCloseEndsEverything(t *testing.T) {
	inPair(t, func(p *pair) {
		a, b := p.open(p.listen("api"), "api")
		p.a.Close(mux.CodeLeave)
		p.a.Close(mux.CodeFull) // changes nothing
		if _, err := b.Read(make([]byte, 1)); codeOf(err) != mux.CodeLeave {
			p.Errorf("Read = %v, want a reset with %v", err, mux.CodeLeave)
		}
		if _, err := a.Read(make([]byte, 1)); codeOf(err) != mux.CodeLeave {
			p.Errorf("Read = %v, want a reset with %v", err, mux.CodeLeave)
		}
		for name, s := range map[string]*mux.Session{"this end": p.a, "the other end": p.b} {
			if _, err := s.Open(p.Context(), "api"); !errors.Is(err, mux.ErrEnded) || s.Usable() {
				p.Errorf("%s: Open = %v, want %v", name, err, mux.ErrEnded)
			}
		}
		p.wg.Wait()
	})
}

func TestIdleSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dialed, accepted := connections(t, memnet.New(1))
		p := join(t, dialed, accepted, 30*time.Second)
		defer p.stop()
		a, b := p.open(p.listen("api"), "api")
		time.Sleep(time.Hour) // it has a stream
		if !p.a.Usable() {
			t.Error("a session with a stream ended")
		}
		a.Close()
		b.Close()
		time.Sleep(29 * time.Second)
		if !p.a.Usable() {
			t.Error("the session ended after 29 s without a stream")
		}
		began := time.Now()
		p.wg.Wait()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("it took %v more to end, want 1 s", took)
		}
	})
}

// A session that is retired carries its streams to their end and takes no new ones.
func TestRetire(t *testing.T) {
	inPair(t, func(p *pair) {
		a, b := p.open(p.listen("api"), "api")
		p.a.Retire()
		if _, err := p.a.Open(p.Context(), "api"); !errors.Is(err, mux.ErrEnded) || p.a.Usable() {
			p.Errorf("Open = %v, want %v", err, mux.ErrEnded)
		}
		if _, err := a.Write([]byte("x")); err != nil {
			p.Errorf("Write = %v", err)
		}
		a.Close()
		if got, err := readAll(b); got != "x" || err != nil {
			p.Errorf("read %q, %v", got, err)
		}
		b.Close()
		p.wg.Wait()
	})
}

// A peer that is silent without closing is given up, so that nobody reads for ever.
func TestASilentPeerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		dialed, accepted := connections(t, n)
		p := join(t, dialed, accepted, 0)
		defer p.stop()
		a, _ := p.open(p.listen("api"), "api")
		n.Pause(addr(t, accepted))
		defer n.Resume(addr(t, accepted))
		began := time.Now()
		_, err := a.Read(make([]byte, 1))
		if took := time.Since(began); codeOf(err) != mux.CodeLost || took > 30*time.Second {
			t.Errorf("Read = %v after %v, want a reset with %v within 30 s", err, took, mux.CodeLost)
		}
	})
}

// 300 streams whose readers stall hold up nobody: one beside them is as quick as alone.
func TestStalledReadersStallTheirOwnStreamsOnly(t *testing.T) {
	const stalled, size = 300, 16 << 20
	transfer := func(p *pair, ln net.Listener) time.Duration {
		a, b := p.open(ln, "api")
		defer b.Close()
		began := time.Now()
		go func() {
			a.Write(make([]byte, size))
			a.Close()
		}()
		if n, err := io.Copy(io.Discard, b); n != size || err != nil {
			p.Fatalf("%d bytes, %v; want %d", n, err, size)
		}
		return time.Since(began)
	}
	inPair(t, func(p *pair) {
		ln := p.listen("api")
		alone := transfer(p, ln)
		for range stalled {
			a, _ := p.open(ln, "api")
			go a.Write(make([]byte, 1<<20)) // four windows; the end of the session ends it
		}
		time.Sleep(time.Second)
		beside := transfer(p, ln)
		p.Logf("%v alone, %v beside %d stalled streams", alone, beside, stalled)
		if beside > alone*10/9 {
			p.Errorf("%v beside stalled streams, %v alone; want 0.9 of the speed", beside, alone)
		}
	})
}

// sizes notes how long each write to a connection is.
type sizes struct {
	net.Conn
	mu  sync.Mutex // guards all
	all []int
}

func (s *sizes) Write(b []byte) (int, error) {
	s.mu.Lock()
	s.all = append(s.all, len(b))
	s.mu.Unlock()
	return s.Conn.Write(b)
}

// A block of 64 KiB is one message: the rest of a few bytes that it would leave costs nearly as
// much as a large one.
func TestABlockIsOneMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const blocks, block, header = 3, 64 << 10, 12
		dialed, accepted := connections(t, memnet.New(1))
		sent := &sizes{Conn: dialed}
		p := join(t, sent, accepted, 0)
		defer p.stop()
		a, b := p.open(p.listen("api"), "api")
		sent.mu.Lock()
		sent.all = nil
		sent.mu.Unlock()
		for range blocks {
			if _, err := a.Write(make([]byte, block)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.ReadFull(b, make([]byte, blocks*block)); err != nil {
			t.Fatal(err)
		}
		sent.mu.Lock()
		defer sent.mu.Unlock()
		if want := []int{block + header, block + header, block + header}; !slices.Equal(sent.all, want) {
			t.Errorf("%d blocks of %d bytes were written as %v, want %v", blocks, block, sent.all, want)
		}
	})
}
