package espial_test

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/packet"
)

// attacker is a program on a host of its own that speaks TLS and frames by hand, as well
// or as badly as a test wants.
type attacker struct {
	*cluster
	ip  netip.Addr
	key *ident.Key
	inc ident.Incarnation
}

// attacker returns one with a new key, on host i.
func (c *cluster) attacker(i int) *attacker {
	c.Helper()
	key, err := ident.NewKey(rand.Reader)
	if err != nil {
		c.Fatal(err)
	}
	return &attacker{cluster: c, ip: ip(i), key: key, inc: 7}
}

// config is that of a well-behaved end of TLS.
func (a *attacker) config() *tls.Config {
	a.Helper()
	der, err := a.key.Certificate(nil)
	if err != nil {
		a.Fatal(err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: a.key.Signer()}},
		NextProtos:   []string{"espial/1"}, InsecureSkipVerify: true,
		ClientAuth: tls.RequireAnyClientCert,
	}
}

// raw opens a TCP connection to n.
func (a *attacker) raw(n *espial.Node) net.Conn {
	a.Helper()
	nc, err := a.net.Host(a.ip).Dial(a.Context(), n.Addrs()[0])
	if err != nil {
		a.Fatal(err)
	}
	return nc
}

// dial opens a connection to n up to the end of the handshake.
func (a *attacker) dial(n *espial.Node) *talk {
	a.Helper()
	t, err := a.tryDial(n, a.config())
	if err != nil {
		a.Fatal(err)
	}
	return t
}

// tryDial is dial with any configuration of TLS.
func (a *attacker) tryDial(n *espial.Node, c *tls.Config) (*talk, error) {
	t := &talk{a: a, conn: tls.Client(a.raw(n), c)}
	if err := t.conn.HandshakeContext(a.Context()); err != nil {
		return nil, errors.Join(err, t.conn.Close())
	}
	t.peer = ident.NodeID(n.ID())
	return t, nil
}

// accept takes the connections of those who dial the attacker, does the handshake and
// hands each to f, on a goroutine of its own, until the attacker's host goes down.
func (a *attacker) accept(f func(t *talk)) {
	a.Helper()
	ln, err := a.net.Host(a.ip).Listen(a.Context(), ":27272")
	if err != nil {
		a.Fatal(err)
	}
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				t := &talk{a: a, conn: tls.Server(nc, a.config())}
				defer t.conn.Close()
				if t.conn.HandshakeContext(a.Context()) == nil {
					f(t)
				}
			}()
		}
	}()
}

// hello is what a well-behaved node of the cluster says first.
func (a *attacker) hello() frame.Hello {
	return frame.Hello{Proto: frame.Proto, Cluster: packet.Tag("test"), Incarnation: a.inc, Name: "mallory"}
}

// record is a signed member record of the attacker.
func (a *attacker) record() frame.Record {
	a.Helper()
	r := frame.Record{Public: a.key.Public(), Incarnation: a.inc, Version: 1, Name: "mallory", Join: 99}
	if err := r.Sign(a.key.Sign); err != nil {
		a.Fatal(err)
	}
	return r
}

// talk is one connection of an attacker.
type talk struct {
	a    *attacker
	conn *tls.Conn
	peer ident.NodeID
	in   []byte
}

// say sends frames. That the peer closed already is for next to tell.
func (t *talk) say(fs ...frame.Frame) {
	var b []byte
	for _, f := range fs {
		b = f.Append(b)
	}
	_, _ = t.conn.Write(b)
}

// next returns the next frame of the peer, or how the connection ended.
func (t *talk) next() (frame.Raw, error) {
	for {
		raw, n, err := frame.Next(t.in)
		if !errors.Is(err, frame.ErrShort) {
			t.in = t.in[n:]
			return raw, err
		}
		buf := make([]byte, 16<<10)
		k, err := t.conn.Read(buf)
		t.in = append(t.in, buf[:k]...)
		if err != nil && k == 0 {
			return frame.Raw{}, err
		}
	}
}

// rest reads until the connection ends and returns the types of the frames that came.
func (t *talk) rest() (types []frame.Type, last frame.Frame) {
	for {
		raw, err := t.next()
		if err != nil {
			return types, last
		}
		types = append(types, raw.Type)
		if raw.Type != frame.TypeEvents {
			last, _ = frame.Decode(raw)
		}
	}
}

// want returns the next frame, which must be of type f.
func (t *talk) want(f frame.Type) frame.Frame {
	t.a.Helper()
	raw, err := t.next()
	if err != nil || raw.Type != f {
		t.a.Fatalf("the node sent %v, %v; want %v", raw.Type, err, f)
	}
	out, err := frame.Decode(raw)
	if err != nil {
		t.a.Fatal(err)
	}
	return out
}

// insider is an attacker that was admitted. It keeps its links alive by answering
// probes; the rest is up to the test.
type insider struct {
	*talk
	done chan struct{} // closed when the link ended

	mu  sync.Mutex // guards what follows
	got []frame.Type
	bye frame.Bye
	end error
}

// admitted dials n until both ends said ACCEPT: a link with nothing on it yet.
func (a *attacker) admitted(n *espial.Node) *talk {
	a.Helper()
	t := a.dial(n)
	t.say(a.hello())
	t.want(frame.TypeHello)
	if a.key.ID().Compare(t.peer) < 0 {
		t.want(frame.TypeAccept)
		t.say(frame.Accept{Serial: 1, Join: 50})
	} else {
		t.say(frame.Accept{})
		t.want(frame.TypeAccept)
	}
	return t
}

// join makes the attacker a member at n, over a link that it dialled.
func (a *attacker) join(n *espial.Node) *insider {
	a.Helper()
	t := a.admitted(n)
	in := &insider{talk: t, done: make(chan struct{})}
	t.say(frame.Records{List: [][]byte{a.record().Raw}}, opening())
	go in.serve()
	time.Sleep(10 * time.Millisecond) // the way of the record
	return in
}

// opening begins a session with nothing sent and nothing received.
func opening() frame.Open {
	var o frame.Open
	for i := range o.Lanes {
		o.Lanes[i] = frame.OpenLane{First: 1, Message: 1, Window: 4 << 20}
	}
	return o
}

// serve answers probes until the link ends.
func (in *insider) serve() {
	defer close(in.done)
	defer in.conn.Close()
	for {
		raw, err := in.next()
		in.mu.Lock()
		if err != nil {
			in.end = err
			in.mu.Unlock()
			return
		}
		in.got = append(in.got, raw.Type)
		in.mu.Unlock()
		if raw.Type == frame.TypeEvents {
			continue
		}
		f, err := frame.Decode(raw)
		if err != nil {
			in.a.Errorf("the node sent %v that does not decode: %v", raw.Type, err)
		}
		switch f := f.(type) {
		case frame.Probe:
			in.say(frame.Ack(f))
		case frame.Bye:
			in.mu.Lock()
			in.bye = f
			in.mu.Unlock()
		}
	}
}

// closed reports whether the node closed the link, and with which code.
func (in *insider) closed() (frame.Bye, bool) {
	synctest.Wait()
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.bye, in.end != nil
}

// events is a frame of EVENTS with consecutive messages on one lane.
func events(lane frame.Lane, first int, topic string, payloads ...string) []byte {
	b := frame.BeginEvents(nil, frame.Events{
		Lane: lane, First: ident.Seq(first), Message: ident.Seq(first), Topic: []byte(topic),
	})
	for _, p := range payloads {
		b = frame.AppendPayload(b, []byte(p))
	}
	frame.Seal(b)
	return b
}

// ear collects the events that a node hands to its subscriptions.
type ear struct {
	mu  sync.Mutex // guards what follows
	got []string
}

// listen subscribes to a pattern at n and notes every event and every loss.
func (c *cluster) listen(n *espial.Node, pattern string, opts ...espial.SubscribeOption) *ear {
	e := &ear{}
	events := n.Subscribe(c.Context(), pattern, opts...)
	go func() {
		for ev, err := range events {
			text := fmt.Sprintf("%s %s", ev.Topic, ev.Data)
			if err != nil {
				text = err.Error()
			}
			e.mu.Lock()
			e.got = append(e.got, text)
			e.mu.Unlock()
		}
	}()
	return e
}

// heard returns what came so far.
func (e *ear) heard() []string {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.got)
}

// gone reports whether the peer closed nc: nothing more can be read.
func gone(nc io.Reader) error {
	_, err := io.Copy(io.Discard, nc)
	return err
}
