package espial_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// untouched fails the test unless n, which was watched since it was alone, reported
// nothing of any node and heard no event.
func untouched(c *cluster, n *espial.Node, h *history, e *ear) {
	c.Helper()
	for i, ch := range h.all() {
		// A node alone leads itself after a while; that is all.
		if own := ch.Member.ID == n.ID(); i == 0 && ch.Kind != espial.Listening || i > 0 && !own {
			c.Errorf("the node reported%v\nwant nothing of anybody", h)
		}
	}
	if got := e.heard(); len(got) > 0 {
		c.Errorf("the node heard %q, want nothing", got)
	}
	if s := n.Status(); s.Members != 1 || s.Peers != 0 {
		c.Errorf("%d members and %d peers, want the node alone", s.Members, s.Peers)
	}
}

// D01: one byte in two seconds does not keep a connection open: it is closed 5 s after it
// came, wherever the handshake stands.
func TestSlowHandshakeIsCutOffAfterFiveSeconds(t *testing.T) {
	empty(t, func(c *cluster) {
		n := c.start(espial.Config{})
		nc := c.attacker(1).raw(n)
		began := time.Now()
		go func() {
			for _, b := range []byte{22, 3, 1, 0, 200, 1} { // the front of a ClientHello
				if _, err := nc.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(2 * time.Second)
			}
		}()
		_ = gone(nc)
		if took := time.Since(began); took < 4900*time.Millisecond || took > 5100*time.Millisecond {
			c.Errorf("closed after %v, want 5s", took)
		}
		time.Sleep(10 * time.Second)
	})
}

// D02: a stranger who opens connections and says nothing gets 8 of them, all strangers
// together 112; with a hundred hosts at it, a legitimate node still joins at once.
func TestIdleConnectionsLeaveRoomForANode(t *testing.T) {
	empty(t, func(c *cluster) {
		n := c.start(espial.Config{})
		synctest.Wait()
		before := heapInUse()
		flood := c.attacker(250)
		var one, others atomic.Int64
		for range 1000 {
			go hold(flood.raw(n), &one)
			time.Sleep(time.Millisecond)
		}
		for i := range 100 {
			go hold(c.attacker(20+i).raw(n), &others)
		}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if one.Load() != 8 || others.Load() != 100 {
			c.Errorf("%d connections of one host are open and %d of a hundred, want 8 and 100", one.Load(), others.Load())
		}
		if grown := heapInUse() - before; grown > 64<<20 {
			c.Errorf("the connections cost %d bytes, want at most 64 MiB", grown)
		}
		began := time.Now()
		c.start(espial.Config{})
		c.meet(2)
		if took := time.Since(began); took > time.Second {
			c.Errorf("a node joined after %v, want within 1s", took)
		}
		for i := range 100 {
			go hold(c.attacker(120+i).raw(n), &others)
		}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if got := one.Load() + others.Load(); got != 112 {
			c.Errorf("%d connections are open in all, want 112", got)
		}
		if got := n.Status().Dropped["half_open"]; got != 992+96 {
			c.Errorf("%d connections were refused for want of room, want %d", got, 992+96)
		}
		time.Sleep(10 * time.Second)
	})
}

// hold keeps a connection open and counts it while the other end does.
func hold(nc net.Conn, open *atomic.Int64) {
	defer nc.Close()
	open.Add(1)
	_ = gone(nc)
	open.Add(-1)
}

// heapInUse returns the bytes of live objects.
func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// D04: an announced length costs nothing before the bytes come, before HELLO and after
// ACCEPT; one beyond the limit ends the connection. (A length has three bytes: 4 GiB
// cannot be announced.)
func TestAnnouncedLengthsCostNoMemory(t *testing.T) {
	within, beyond := []byte{byte(frame.TypeHello), 0, 0xff, 0xff}, []byte{byte(frame.TypeHello), 0xff, 0xff, 0xff}
	empty(t, func(c *cluster) {
		n := c.start(espial.Config{})
		var talks []*talk
		for i := range 80 {
			talks = append(talks, c.attacker(100+i).dial(n))
		}
		for i := range 20 {
			talks = append(talks, c.attacker(200+i).join(n).talk)
		}
		time.Sleep(100 * time.Millisecond) // the node ends the handshake after the dialer
		synctest.Wait()
		before := heapInUse()
		for _, t := range talks {
			_, _ = t.conn.Write(within)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if grown := heapInUse() - before; grown > 512<<10 {
			c.Errorf("100 announced lengths of 64 KiB cost %d bytes, want at most 512 KiB", grown)
		}
		stranger, member := c.attacker(98).dial(n), c.attacker(99).join(n)
		began := time.Now()
		_, _ = stranger.conn.Write(beyond)
		_ = gone(stranger.conn)
		_, _ = member.conn.Write(beyond)
		<-member.done
		if took := time.Since(began); took > 500*time.Millisecond {
			c.Errorf("16 MiB were announced twice and the connections ended after %v", took)
		}
	})
}

// lies are configurations of TLS that a node must refuse.
func lies(a *attacker) map[string]*tls.Config {
	with := func(change func(c *tls.Config)) *tls.Config {
		c := a.config()
		change(c)
		return c
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		a.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, p521.Public(), p521)
	if err != nil {
		a.Fatal(err)
	}
	return map[string]*tls.Config{
		"no certificate": with(func(c *tls.Config) { c.Certificates = nil }),
		"two certificates": with(func(c *tls.Config) {
			c.Certificates[0].Certificate = append(c.Certificates[0].Certificate, c.Certificates[0].Certificate[0])
		}),
		"a truncated certificate": with(func(c *tls.Config) {
			c.Certificates[0].Certificate[0] = c.Certificates[0].Certificate[0][:100]
		}),
		"a P-521 key": with(func(c *tls.Config) {
			c.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: p521}}
		}),
		"TLS 1.2":          with(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }),
		"another protocol": with(func(c *tls.Config) { c.NextProtos = []string{"h2"} }),
	}
}

// D09, D10: who shows no certificate, or one that is none, or an older TLS, is refused by
// the handshake: the filter does not run and nobody hears of him.
func TestHandshakeThatIsNotOursComesToNothing(t *testing.T) {
	empty(t, func(c *cluster) {
		var asked atomic.Int64
		n := c.start(espial.Config{Admit: func(context.Context, espial.Verified, espial.Claimed) error {
			asked.Add(1)
			return nil
		}})
		h, e := c.watch(n), c.listen(n, ">")
		a := c.attacker(1)
		var failed uint64
		for name, config := range lies(a) {
			t, err := a.tryDial(n, config)
			if err == nil {
				t.say(a.hello())
				if types, _ := t.rest(); len(types) > 0 {
					c.Errorf("with %s the node answered %v, want nothing", name, types)
				}
			}
			synctest.Wait()
			failed++
			if got := n.Status().Dropped["handshakes"]; got != failed {
				c.Errorf("with %s %d handshakes failed, want %d", name, got, failed)
			}
		}
		if asked.Load() != 0 {
			c.Errorf("the filter was asked %d times, want never", asked.Load())
		}
		untouched(c, n, h, e)
	})
}

// thief shows one key and signs with another.
type thief struct {
	crypto.Signer
	shown crypto.PublicKey
}

func (th thief) Public() crypto.PublicKey { return th.shown }

// E24: a member's certificate without its key opens nothing: the filter is not asked and
// the member is not touched.
func TestStolenCertificateIsNoKey(t *testing.T) {
	empty(t, func(c *cluster) {
		var asked atomic.Int64
		n := c.start(espial.Config{Admit: func(context.Context, espial.Verified, espial.Claimed) error {
			asked.Add(1)
			return nil
		}})
		honest := c.attacker(1)
		member := honest.join(n)
		h := c.watch(n)
		asked.Store(0)
		a := c.attacker(2)
		a.inc = 9
		config := honest.config()
		_, other, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			c.Fatal(err)
		}
		config.Certificates[0].PrivateKey = thief{other, honest.key.Signer().Public()}
		if t, err := a.tryDial(n, config); err == nil { // in TLS 1.3 a client is done first
			t.say(a.hello())
			if types, _ := t.rest(); len(types) > 0 {
				c.Errorf("the node answered %v, want nothing", types)
			}
		}
		time.Sleep(5 * time.Second)
		if asked.Load() != 0 {
			c.Errorf("the filter was asked %d times, want never", asked.Load())
		}
		if _, closed := member.closed(); closed || h.count(espial.RemovedNode, espial.SuspectedNode) > 0 {
			c.Errorf("the member suffered:%v", h)
		}
	})
}

// early is what a stranger may try before it is its turn.
func early() map[string]func(a *attacker, node ident.NodeID) []byte {
	return map[string]func(a *attacker, node ident.NodeID) []byte{
		"EVENTS": func(*attacker, ident.NodeID) []byte {
			return events(frame.Broadcast, 1, "orders.placed", "boo")
		},
		"OPEN and EVENTS": func(*attacker, ident.NodeID) []byte {
			return append(opening().Append(nil), events(frame.Direct, 1, "orders.placed", "boo")...)
		},
		"RECORDS": func(a *attacker, _ ident.NodeID) []byte {
			return frame.Records{List: [][]byte{a.record().Raw}}.Append(nil)
		},
		"the ACCEPT of its role": func(a *attacker, node ident.NodeID) []byte {
			return ruling(a.key.ID().Compare(node) < 0)
		},
		"the ACCEPT of the other role": func(a *attacker, node ident.NodeID) []byte {
			return ruling(a.key.ID().Compare(node) > 0)
		},
		"PROBE": func(*attacker, ident.NodeID) []byte { return frame.Probe{Number: 1}.Append(nil) },
		"SUSPECT": func(a *attacker, _ ident.NodeID) []byte {
			return frame.Suspect{Target: a.key.ID(), Incarnation: 1, Refused: true}.Append(nil)
		},
		"BYE":                                   func(*attacker, ident.NodeID) []byte { return frame.Bye{Code: frame.CodeLeave}.Append(nil) },
		"a multicast key of a later protocol":   func(*attacker, ident.NodeID) []byte { return []byte{56, 0, 0, 0} },
		"an optional frame of a later protocol": func(*attacker, ident.NodeID) []byte { return []byte{200, 0, 0, 0} },
	}
}

// ruling is the ACCEPT of the arbiter of a pair, or of the other end.
func ruling(arbiter bool) []byte {
	if arbiter {
		return frame.Accept{Serial: 1, Join: 1}.Append(nil)
	}
	return frame.Accept{}.Append(nil)
}

// D13, E02: whatever comes before both ACCEPTs and is not its turn ends the connection at
// once, though the filter admits; no event reaches a subscription, no record the list.
func TestNothingCountsBeforeBothAccepts(t *testing.T) {
	for name, frames := range early() {
		for _, after := range []bool{false, true} {
			if after && name == "the ACCEPT of its role" {
				continue // it may come so early
			}
			place := " before HELLO"
			if after {
				place = " after HELLO"
			}
			t.Run(name+place, func(t *testing.T) {
				empty(t, func(c *cluster) {
					n := c.start(espial.Config{})
					h, e := c.watch(n), c.listen(n, ">")
					a := c.attacker(1)
					talk := a.dial(n)
					var b []byte
					var legal []frame.Type
					if after {
						b, legal = a.hello().Append(nil), []frame.Type{frame.TypeHello, frame.TypeAccept}
					}
					began := time.Now()
					_, _ = talk.conn.Write(append(b, frames(a, talk.peer)...))
					types, _ := talk.rest()
					if took := time.Since(began); took > time.Second {
						c.Errorf("closed after %v, want at once", took)
					}
					for _, got := range types {
						if !slices.Contains(legal, got) {
							c.Errorf("the node said %v, want %v at most", types, legal)
						}
					}
					untouched(c, n, h, e)
				})
			})
		}
	}
}

// D13, the other role: a node that dials is not fooled either.
func TestDialedStrangerCannotSpeakBeforeAccept(t *testing.T) {
	empty(t, func(c *cluster) {
		a := c.attacker(1)
		var mu sync.Mutex
		var heard []frame.Type
		a.accept(func(t *talk) {
			began := time.Now()
			_, _ = t.conn.Write(append(a.hello().Append(nil), events(frame.Broadcast, 1, "orders.placed", "boo")...))
			types, _ := t.rest()
			if took := time.Since(began); took > time.Second {
				c.Errorf("closed after %v, want at once", took)
			}
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, types...)
		})
		n := c.start(espial.Config{Seeds: []string{seed(1)}})
		h, e := c.watch(n), c.listen(n, ">")
		time.Sleep(5 * time.Second)
		mu.Lock()
		dials := len(heard)
		if slices.ContainsFunc(heard, func(t frame.Type) bool { return t != frame.TypeHello && t != frame.TypeAccept }) {
			c.Errorf("the node said %v, want HELLO and ACCEPT at most", heard)
		}
		mu.Unlock()
		if dials == 0 {
			c.Error("the node never dialled: the test proves nothing")
		}
		untouched(c, n, h, e)
		c.net.Down(a.ip)
	})
}

// D14: where the filter refuses, not one event leaves either side, though both publish.
func TestRefusedLinkCarriesNoEvent(t *testing.T) {
	empty(t, func(c *cluster) {
		a := c.attacker(1)
		refused := make(chan []frame.Type, 100)
		a.accept(func(t *talk) { // the filter of the other side says no
			t.want(frame.TypeHello)
			t.say(frame.Reject{Code: frame.CodeFilter})
			types, _ := t.rest()
			refused <- types
		})
		n := c.start(espial.Config{
			Seeds: []string{seed(1)},
			Admit: func(context.Context, espial.Verified, espial.Claimed) error { return context.Canceled },
		})
		stop := time.Now().Add(3 * time.Second)
		go func() {
			for time.Now().Before(stop) {
				if err := n.Publish(c.Context(), "orders.placed", []byte("secret")); err != nil {
					c.Error(err)
				}
				time.Sleep(time.Millisecond)
			}
		}()
		if got := <-refused; len(got) > 0 {
			c.Errorf("the refused node sent %v behind its HELLO, want nothing", got)
		}
		own := c.attacker(2).dial(n) // and the filter of this side
		own.say(own.a.hello())
		if types, last := own.rest(); len(types) != 1 || types[0] != frame.TypeReject {
			c.Errorf("the refusing node sent %v, %+v; want REJECT alone", types, last)
		}
		time.Sleep(4 * time.Second)
		c.net.Down(a.ip)
	})
}

// D20: the bytes of a recorded session, sent again, open nothing.
func TestReplayedSessionFails(t *testing.T) {
	empty(t, func(c *cluster) {
		var mu sync.Mutex
		var recorded []byte
		n := c.start(espial.Config{Multicast: espial.Multicast{Off: true}})
		c.net.Tap(func(from, _ netip.AddrPort, b []byte) {
			mu.Lock()
			defer mu.Unlock()
			if from.Addr() == ip(1) {
				recorded = append(recorded, b...)
			}
		})
		victim := c.start(espial.Config{Seeds: n.Addrs(), Multicast: espial.Multicast{Off: true}})
		c.meet(2)
		e := c.listen(n, ">")
		if err := victim.Publish(c.Context(), "orders.placed", []byte("once")); err != nil {
			c.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := victim.Close(); err != nil {
			c.Fatal(err)
		}
		c.net.Tap(nil)
		time.Sleep(time.Second)
		h := c.watch(n)
		mu.Lock()
		bytes := slices.Clone(recorded)
		mu.Unlock()
		nc := c.attacker(3).raw(n)
		if _, err := nc.Write(bytes); err != nil {
			c.Fatal(err)
		}
		_ = gone(nc)
		if len(bytes) < 2000 || h.count(espial.AddedNode, espial.NodeAccepted) > 0 || len(e.heard()) != 1 {
			c.Errorf("%d bytes of a session were replayed: changes%v\nevents %q", len(bytes), h, e.heard())
		}
	})
}

// E09: a name outside the grammar is refused at HELLO, with the code that says so, and
// reaches neither the filter nor a change.
func TestNamesOutsideTheGrammarAreRefused(t *testing.T) {
	bad := []string{
		"", "ctrl\x01", "new\nline", "\x1b[2J", "bidi\u202e", "pаypal" /* Cyrillic а */, strings.Repeat("x", 62) + ".", "*", "../up",
		"Upper", "a b", "-front", "end-", "a.b", "\xff\xfe",
	}
	empty(t, func(c *cluster) {
		n := c.start(espial.Config{Admit: func(_ context.Context, _ espial.Verified, cl espial.Claimed) error {
			c.Errorf("the filter was asked about %q", cl.Name)
			return nil
		}})
		for i, name := range bad {
			a := c.attacker(10 + i)
			hello := a.hello()
			hello.Name = name
			talk := a.dial(n)
			talk.say(hello)
			_, last := talk.rest()
			if r, ok := last.(frame.Reject); !ok || r.Code != frame.CodeName {
				c.Errorf("name %q: the node said %+v, want REJECT name", name, last)
			}
		}
		if s := n.Status(); s.Members != 1 {
			c.Errorf("%d members, want the node alone", s.Members)
		}
	})
}
