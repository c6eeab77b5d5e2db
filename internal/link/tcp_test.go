package link_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/link"
)

// loopback returns both ends of a TCP connection.
func loopback(t testing.TB) (dialed, accepted *net.TCPConn) {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var d net.Dialer
	nc, err := d.DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		other.Close()
	})
	dialed, _ = nc.(*net.TCPConn)
	accepted, _ = other.(*net.TCPConn)
	return dialed, accepted
}

// A goodbye on a real socket, while both ends send all they can, is not lost in a reset
// of the connection. It is given 100 ms, so a starved machine may need another try.
func TestGoodbyeOverTCP(t *testing.T) {
	const tries = 10
	for range tries {
		if errB := goodbye(t); byeOf(errB).Code == frame.CodeLeave {
			return
		}
	}
	t.Errorf("no BYE arrived in %d tries", tries)
}

// goodbye closes a busy link at one end and returns how it ended at the other.
func goodbye(t *testing.T) error {
	t.Helper()
	dialed, accepted := loopback(t)
	a, b := linked(t, dialed, accepted)
	r := run(t, a, b)
	data := [][]byte{encode(make([]byte, 16<<10))}
	r.atA.fill = func() [][]byte { return data }
	r.atB.fill = func() [][]byte { return data }
	var busy sync.WaitGroup
	busy.Add(2)
	first := func() func([]frame.Raw) {
		once := sync.OnceFunc(busy.Done)
		return func([]frame.Raw) { once() }
	}
	r.atA.receive, r.atB.receive = first(), first()
	a.Wake()
	b.Wake()
	busy.Wait()
	a.Close(frame.Bye{Code: frame.CodeLeave})
	errA, errB := r.wait()
	if errA != nil {
		t.Errorf("the end that closed returned %v, want nil", errA)
	}
	return errB
}

// pump is a handler that sends batches on request.
type pump struct {
	batch [][]byte
	left  int // batches to send; the writer's own
	start chan int
	sent  chan struct{} // if not nil, told when all have gone to TLS
}

func (p *pump) Receive([]frame.Raw) error { return nil }

func (p *pump) Fill(dst [][]byte, _ int) [][]byte {
	select {
	case n := <-p.start:
		p.left = n + 1
	default:
	}
	if p.left > 1 {
		p.left--
		return append(dst, p.batch...)
	}
	if p.left == 1 && p.sent != nil {
		p.left = 0
		p.sent <- struct{}{}
	}
	return dst
}

// sink counts messages, and walks their runs as a subscriber would.
type sink struct {
	want, got int
	done      chan struct{}
}

func (s *sink) Fill(dst [][]byte, _ int) [][]byte { return dst }

func (s *sink) Receive(frames []frame.Raw) error {
	for _, f := range frames {
		e, err := frame.DecodeEvents(f.Payload)
		if err != nil {
			return err
		}
		for run := e.Run; len(run) > 0; {
			_, run = frame.NextPayload(run)
			s.got++
		}
	}
	if s.got == s.want {
		s.got = 0
		s.done <- struct{}{}
	}
	return nil
}

// stage is a link over loopback TCP whose writer sends runs of 128-byte messages.
type stage struct {
	a    *link.Conn
	pump *pump
	sink *sink
}

// messages is what one batch of a stage has.
const messages = 4 * 100

func newStage(t testing.TB) *stage {
	t.Helper()
	dialed, accepted := loopback(t)
	a, b := linked(t, dialed, accepted)
	s := &stage{a: a, pump: newPump(), sink: &sink{done: make(chan struct{}, 1)}}
	var wg sync.WaitGroup
	wg.Go(func() { _ = a.Run(t.Context(), s.pump) })
	wg.Go(func() { _ = b.Run(t.Context(), s.sink) })
	t.Cleanup(func() {
		a.Close(frame.Bye{})
		wg.Wait()
	})
	return s
}

func newPump() *pump {
	run := frame.BeginEvents(nil, frame.Events{First: 1, Message: 1, Topic: []byte("orders.placed")})
	for range messages / 4 {
		run = frame.AppendPayload(run, make([]byte, 128))
	}
	frame.Seal(run)
	return &pump{batch: [][]byte{run, run, run, run}, start: make(chan int, 1)}
}

// send sends batches and returns when all of them have arrived.
func (s *stage) send(batches int) {
	s.sink.want = batches * messages
	s.pump.start <- batches
	s.a.Wake()
	<-s.sink.done
}

func TestWriterAllocatesNothing(t *testing.T) {
	if raceDetected {
		t.Skip("sync.Pool in crypto/tls forgets under the race detector")
	}
	dialed, accepted := loopback(t)
	a, _ := linked(t, dialed, accepted)
	p := newPump()
	p.sent = make(chan struct{}, 1)
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(io.Discard, accepted) }) // not even decrypted
	wg.Go(func() { _ = a.Run(t.Context(), p) })
	send := func() {
		p.start <- 50
		a.Wake()
		<-p.sent
	}
	send() // buffers grow
	if n := testing.AllocsPerRun(20, send); n != 0 {
		t.Errorf("sending 50 batches of %d messages allocates %v times, want 0", messages, n)
	}
	accepted.Close()
	a.Close(frame.Bye{})
	wg.Wait()
}

// crypto/tls allocates 24 bytes each time it reads from the socket, at most once a
// record. Nothing else may allocate.
func TestReaderAllocatesNothing(t *testing.T) {
	if raceDetected {
		t.Skip("sync.Pool in crypto/tls forgets under the race detector")
	}
	const batches = 50
	s := newStage(t)
	s.send(100) // buffers grow
	before := s.a.Records()
	s.send(batches)
	records := float64(s.a.Records() - before)
	if n := testing.AllocsPerRun(20, func() { s.send(batches) }); n > records {
		t.Errorf("%v records with %d messages allocate %v times", records, batches*messages, n)
	}
}

// BenchmarkLink moves 128-byte messages in runs over loopback TCP, both ends in one
// process; one iteration is one message.
func BenchmarkLink(b *testing.B) {
	s := newStage(b)
	s.send(100)
	b.ReportAllocs()
	b.SetBytes(128)
	b.ResetTimer()
	s.send(b.N/messages + 1)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkPingPong sends one small control frame there and back.
func BenchmarkPingPong(b *testing.B) {
	dialed, accepted := loopback(b)
	a, c := linked(b, dialed, accepted)
	probe := frame.Probe{Number: 1}.Append(nil)
	back := make(chan struct{}, 1)
	r := run(b, a, c)
	r.atA.receive = func([]frame.Raw) { back <- struct{}{} }
	r.atB.receive = func([]frame.Raw) { _ = c.Send(probe) }
	b.ReportAllocs()
	for b.Loop() {
		_ = a.Send(probe)
		<-back
	}
	a.Close(frame.Bye{})
	r.wait()
}
