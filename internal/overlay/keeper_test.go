package overlay_test

import (
	"testing"
	"time"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/overlay"
)

// two is a node on one ring with room for its two neighbours and no other.
var two = overlay.Config{MaxPeers: 2}

// three is one with room for a third.
var three = overlay.Config{MinPeers: 2, MaxPeers: 3}

func TestRings(t *testing.T) {
	tests := []struct {
		name     string
		maxPeers int
		want     uint8
	}{
		{"no limit is four rings", 0, 4},
		{"a ring needs two links", 6, 3},
		{"half a ring is none", 7, 3},
		{"more than four rings do not exist", 8, 4},
		{"nor with any limit", 1024, 4},
		{"nobody is on no ring", 1, 1},
		{"two links are one ring", 2, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := overlay.Rings(tt.maxPeers); got != tt.want {
				t.Errorf("Rings(%d) = %d, want %d", tt.maxPeers, got, tt.want)
			}
		})
	}
}

func TestNeighbours(t *testing.T) {
	t.Run("the next both ways are wanted", func(t *testing.T) {
		newScript(t, two, "jklnop").want("0 dial l", "0 dial n")
	})
	t.Run("the ring begins anew where it ends", func(t *testing.T) {
		newScript(t, two, "abc").want("0 dial a", "0 dial c")
	})
	t.Run("of two members each is the other's only neighbour", func(t *testing.T) {
		newScript(t, two, "a").want("0 dial a")
	})
	t.Run("alone there is nobody", func(t *testing.T) {
		s := newScript(t, two, "").want()
		if at, ok := s.k.Next(); ok {
			t.Errorf("Next = %v, want none", at)
		}
	})
	t.Run("one link is none: who may have one has two", func(t *testing.T) {
		s := newScript(t, overlay.Config{MaxPeers: 1}, "jklnop").want("0 dial l", "0 dial n")
		s.up("ln").admit("j").to(60_000).want("0 no to j")
	})
	t.Run("who is not in its own view wants nobody", func(t *testing.T) {
		newScript(t, two, "ln").up("ln").forget().leave("m").to(60_000).want()
	})
	t.Run("a dial is asked for once", func(t *testing.T) {
		newScript(t, two, "ln").forget().join("a", 1).to(5000).want()
	})
	t.Run("on ring 0 first, for it alone connects all", func(t *testing.T) {
		s := newRings(t, overlay.Config{MaxPeers: 8, FullMeshMax: 1}, "mmmm", "bnaa", "claa", "lbnb", "nabn", "aall", "zacc")
		s.want("0 dial l", "0 dial n", "0 dial b", "0 dial c", "0 dial a")
	})
	t.Run("who states fewer rings is on those alone", func(t *testing.T) {
		s := newRings(t, overlay.Config{MaxPeers: 4, FullMeshMax: 1}, "mm", "la", "nb", "b", "cl", "do")
		s.want("0 dial l", "0 dial n", "0 dial c", "0 dial d")
	})
}

func TestRepair(t *testing.T) {
	t.Run("who cannot be reached is passed over at once and tried again, ever less", func(t *testing.T) {
		s := newScript(t, two, "klno").up("l").forget()
		s.failed("n").want("0 dial o").up("o")
		s.to(1000).want("1000 dial n").failed("n").to(2999).want()
		s.to(3000).want("3000 dial n").failed("n").to(7000).want("7000 dial n")
		s.failed("n").to(15_000).failed("n").to(31_000).failed("n").to(47_000).forget()
		s.failed("n").to(62_999).want().to(63_000).want("63000 dial n")
	})
	t.Run("one after the other until somebody answers", func(t *testing.T) {
		newScript(t, two, "klnopq").up("l").forget().failed("nop").want("0 dial o", "0 dial p", "0 dial q")
	})
	t.Run("when all fail all are tried again", func(t *testing.T) {
		newScript(t, two, "ln").failed("ln").forget().to(1000).want("1000 dial l", "1000 dial n")
	})
	t.Run("a link that breaks is tried at once, with who comes behind", func(t *testing.T) {
		s := newScript(t, two, "klno").up("ln").forget().to(20_000)
		s.down("n", overlay.Lost).want("20000 dial n", "20000 dial o")
	})
	t.Run("one that breaks again at once is not", func(t *testing.T) {
		s := newScript(t, two, "klno").up("ln").forget().to(20_000)
		s.down("n", overlay.Lost).up("o").failed("n").to(21_000).up("n").to(22_000).forget()
		s.down("n", overlay.Lost).want("22000 dial o").to(24_000).want("24000 dial n")
	})
	t.Run("a link that lasts for a while forgives", func(t *testing.T) {
		s := newScript(t, two, "klno").up("l").failed("n").up("o").to(1000).failed("n").to(3000).up("n").to(13_000)
		s.forget().down("n", overlay.Full).want("13000 dial o").to(14_000).want("14000 dial n")
	})
	t.Run("what was found of who is needed no more is forgotten", func(t *testing.T) {
		s := newScript(t, two, "klpq").up("l").failed("p").up("q").join("n", 1).up("n").forget()
		s.to(5000).leave("n").down("n", overlay.Lost).want("5000 dial p")
	})
	t.Run("who is back takes its place again, and who was in it stays for a while", func(t *testing.T) {
		s := newScript(t, three, "klno").up("ln").to(20_000).forget()
		s.down("n", overlay.Lost).up("on").forget()
		s.to(21_999).want().to(22_000).want("22000 close o unused").to(60_000).want()
	})
	t.Run("without room for both who was in it goes at once", func(t *testing.T) {
		s := newScript(t, two, "klno").up("ln").to(20_000).down("n", overlay.Lost).up("o").forget()
		s.up("n").want("20000 close o full").to(60_000).want()
	})
	t.Run("who said no because it is full is asked again after a second", func(t *testing.T) {
		s := newScript(t, two, "klno").up("ln").forget().down("n", overlay.Full)
		s.want("0 dial o").to(1000).want("1000 dial n")
	})
	t.Run("who thinks that a link is for nothing is told otherwise at once", func(t *testing.T) {
		newScript(t, two, "klno").guest("ln").forget().down("n", overlay.Unused).want("0 dial n")
	})
	t.Run("a dial of which nothing is heard has failed", func(t *testing.T) {
		s := newScript(t, two, "lno").up("l").forget().to(9999).want()
		s.to(10_000).want("10000 dial o").to(11_000).want("11000 dial n")
	})
	t.Run("a failure while there is a link says nothing", func(t *testing.T) {
		newScript(t, two, "lno").up("ln").forget().failed("n").want()
	})
	t.Run("a member that is gone is not tried any more", func(t *testing.T) {
		s := newScript(t, two, "klno").up("l").failed("n").up("o").forget()
		s.leave("n").to(60_000).want()
	})
	t.Run("one that comes back is tried at once", func(t *testing.T) {
		s := newScript(t, two, "klno").up("l").failed("n").up("o").leave("n").forget()
		s.to(500).join("n", 1).want("500 dial n")
	})
	t.Run("who knocks is there, whatever was found before", func(t *testing.T) {
		s := newScript(t, two, "klno").up("l").failed("n").up("o").forget()
		s.admit("n").want("0 yes to n").guest("n").want("0 close o full")
	})
}

func TestViewChanges(t *testing.T) {
	t.Run("who joins between takes the place of the neighbour", func(t *testing.T) {
		s := newScript(t, three, "klop").up("lo").forget()
		s.join("n", 1).want("0 dial n").up("n").to(2000).want("2000 close o unused")
	})
	t.Run("what the other end dialled is the other end's to close", func(t *testing.T) {
		s := newScript(t, three, "klop").up("l").guest("o").forget()
		s.join("n", 1).up("n").forget().to(60_000).want()
	})
	t.Run("a link that takes the place of another one is the same", func(t *testing.T) {
		s := newScript(t, three, "klop").up("lo").guest("o").forget()
		s.join("n", 1).up("n").to(60_000).want("0 dial n", "2000 close o unused")
	})
	t.Run("what is needed again in time stays", func(t *testing.T) {
		s := newScript(t, three, "klop").up("lo").forget()
		s.join("n", 1).up("n").forget().to(1500).leave("n").to(2500).join("n", 1).to(4499).want()
		s.to(4500).want("4500 close o unused")
	})
	t.Run("a link with somebody who is not a member yet is left alone", func(t *testing.T) {
		newScript(t, three, "jklnop").up("lnz").forget().to(60_000).want()
	})
	t.Run("who states other rings is elsewhere at once", func(t *testing.T) {
		s := newRings(t, overlay.Config{MaxPeers: 4, MinPeers: 1, FullMeshMax: 1}, "mm", "la", "nb", "bn", "cl", "do")
		s.want("0 dial l", "0 dial n", "0 dial b", "0 dial c")
		s.look(s.view.With([]overlay.Member{{ID: name("bn"), Rings: 1}}, nil)).want("0 dial d")
	})
}

func TestAdmit(t *testing.T) {
	five := overlay.Config{MinPeers: 2, MaxPeers: 5}
	// begin returns a node whose neighbours on the only ring are l and n.
	begin := func(t *testing.T) *script {
		return newScript(t, five, "").look(overlay.NewView(list("abcdlmno", 1))).forget()
	}
	t.Run("a guest is welcome while there is room", func(t *testing.T) {
		begin(t).up("ln").admit("a").want("0 yes to a")
	})
	t.Run("a guest is refused where there is none, also by guests", func(t *testing.T) {
		begin(t).up("ln").guest("abc").admit("d").want("0 no to d")
	})
	t.Run("a handshake under way takes a place", func(t *testing.T) {
		begin(t).up("ln").admit("abcd").want("0 yes to a", "0 yes to b", "0 yes to c", "0 no to d")
	})
	t.Run("a handshake that comes to nothing gives it back", func(t *testing.T) {
		begin(t).up("ln").admit("abc").failed("b").forget().admit("d").want("0 yes to d")
	})
	t.Run("as does one of which nothing is heard", func(t *testing.T) {
		s := begin(t).up("ln").admit("abc").to(9999).admit("d").to(10_000).admit("d")
		s.want("0 yes to a", "0 yes to b", "0 yes to c", "9999 no to d", "10000 yes to d")
	})
	t.Run("a neighbour is welcome always, and the youngest guest makes room", func(t *testing.T) {
		s := begin(t).up("l").guest("a").to(1).guest("c").to(2).guest("b").to(3).guest("d").to(2000)
		s.admit("n").want("2000 yes to n").guest("n").want("2000 close d full")
	})
	t.Run("of guests of one moment the one with the highest ID makes room", func(t *testing.T) {
		begin(t).up("l").guest("cdab").admit("n").guest("n").want("0 yes to n", "0 close d full")
	})
	t.Run("what is for nothing makes room before any guest", func(t *testing.T) {
		s := begin(t).leave("n").up("lo").guest("abc").join("n", 1).forget()
		s.admit("n").guest("n").want("0 yes to n", "0 close o full")
	})
	t.Run("what is for nothing makes room for a guest", func(t *testing.T) {
		s := begin(t).leave("n").up("lo").guest("abc").join("n", 1).forget()
		s.admit("d").guest("d").want("0 yes to d", "0 close o full")
	})
	t.Run("the pair that is linked may always renew", func(t *testing.T) {
		begin(t).up("ln").guest("abc").admit("a").guest("a").to(60_000).want("0 yes to a")
	})
	t.Run("nobody is linked with itself", func(t *testing.T) { begin(t).admit("m").up("m").want("0 no to m") })
	t.Run("the zero ID is nobody", func(t *testing.T) {
		k := overlay.New(five)
		if k.Admit(start, ident.NodeID{}) {
			t.Error("the zero ID was admitted")
		}
		k.Up(start, ident.NodeID{}, true)
		k.Pin(ident.NodeID{})
		k.Down(start, name("a"), overlay.Lost)
		k.Failed(start, name("a"))
		if p := k.Peers(); len(p) != 0 {
			t.Errorf("peers = %v, want none", p)
		}
	})
}

// TestNewcomers: without them a cluster of nodes that all have as many links as they may
// would take nobody in.
func TestNewcomers(t *testing.T) {
	t.Run("who is no member yet takes the place of a guest, and is one when it is", func(t *testing.T) {
		s := newScript(t, overlay.Config{MaxPeers: 5}, "abcdklnop").up("ln").guest("abc").forget()
		s.admit("z").guest("z").want("0 yes to z", "0 close c full")
		s.join("z", 2).to(60_000).admit("d").want("60000 no to d")
	})
	t.Run("or of a neighbour on another ring, which returns", func(t *testing.T) {
		s := newRings(t, overlay.Config{MaxPeers: 4, FullMeshMax: 1}, "mm", "la", "nb", "cl", "dn", "ez").up("lncd").forget()
		s.admit("z").guest("z").want("0 yes to z", "0 close d full")
		s.join("z", 1).to(999).want().to(1000).want("1000 dial d").up("d").want("1000 close z full")
	})
	t.Run("but of none on ring 0", func(t *testing.T) {
		newScript(t, three, "jklnop").up("ln").admit("z").guest("z").admit("y").forget().
			admit("y").want("0 no to y")
	})
	t.Run("unless there is no other, and one at a time", func(t *testing.T) {
		s := newScript(t, two, "jklnop").up("ln").forget()
		s.admit("zy").guest("z").want("0 yes to z", "0 no to y", "0 close n full")
		s.join("z", 1).to(1000).want("1000 dial n").up("n").want("1000 close z full")
	})
}

// TestStill: a caller that dials by itself hears of what is to be closed alone.
func TestStill(t *testing.T) {
	s := newScript(t, three, "").forget()
	s.k.Still(true)
	s.join("jklnop", 1).up("ln").guest("kj").admit("z").guest("z").
		want("0 close k full", "0 yes to z", "0 close j full")
	s.down("l", overlay.Lost).want()
	s.k.Still(false)
	s.tick().want("0 dial l")
}

func TestWants(t *testing.T) {
	s := newScript(t, two, "jklnop").up("l").failed("n")
	for who, want := range map[string]bool{"l": true, "n": true, "o": true, "p": false, "m": false, "z": false} {
		if got := s.k.Wants(name(who)); got != want {
			t.Errorf("Wants(%s) = %t, want %t", who, got, want)
		}
	}
}

func TestPin(t *testing.T) {
	t.Run("a pinned member is a peer wherever it is", func(t *testing.T) {
		s := newScript(t, three, "jklnop").up("ln").forget()
		s.each("p", s.k.Pin).want("0 dial p").up("p").to(60_000).want()
	})
	t.Run("it is tried again for as long as it is a member", func(t *testing.T) {
		s := newScript(t, three, "jklnop").up("ln").forget()
		s.each("p", s.k.Pin).failed("p").to(1000).want("0 dial p", "1000 dial p").failed("p")
		s.leave("p").to(60_000).want().join("p", 1).want("60000 dial p")
	})
	t.Run("it counts toward MaxPeers", func(t *testing.T) {
		s := newScript(t, three, "jklnop").up("ln")
		s.each("p", s.k.Pin).up("p").forget().admit("k").want("0 no to k")
	})
	t.Run("it gives way to the neighbours on ring 0", func(t *testing.T) {
		s := newScript(t, two, "jklnop").forget()
		s.each("p", s.k.Pin).up("p").admit("ln").up("ln").want("0 yes to l", "0 yes to n", "0 close p full")
	})
	t.Run("and to no other ring", func(t *testing.T) {
		s := newRings(t, overlay.Config{MaxPeers: 4, FullMeshMax: 1}, "mm", "la", "nb", "cl", "dn", "ez")
		s.up("lncd").forget().each("e", s.k.Pin).want("0 dial e").up("e").want("0 close d full")
	})
	t.Run("unpinned it is for nothing", func(t *testing.T) {
		s := newScript(t, three, "jklnop").up("ln")
		s.each("p", s.k.Pin).up("p").to(5000).forget()
		s.each("p", s.k.Unpin).to(60_000).want("7000 close p unused")
	})
	t.Run("one that is linked and not a member yet does not give way to guests", func(t *testing.T) {
		s := newScript(t, three, "jklnop")
		s.each("z", s.k.Pin).up("z").guest("j").up("ln").forget().to(60_000).want()
		if p := s.k.Peers(); len(p) != 3 || p[2] != name("z") {
			t.Errorf("peers = %v, want l, n and z", p)
		}
	})
}

func TestMinPeers(t *testing.T) {
	four := overlay.Config{MinPeers: 4, MaxPeers: 5}
	begin := func(t *testing.T, c overlay.Config) *script {
		return newScript(t, c, "").look(overlay.NewView(list("fghijklmnopqrs", 1)))
	}
	t.Run("further successors fill up", func(t *testing.T) {
		begin(t, four).want("0 dial l", "0 dial n", "0 dial o", "0 dial p")
	})
	t.Run("up to the limit of links", func(t *testing.T) {
		begin(t, overlay.Config{MinPeers: 9, MaxPeers: 3}).want("0 dial l", "0 dial n", "0 dial o")
	})
	t.Run("as far as there are members", func(t *testing.T) {
		newScript(t, four, "").look(overlay.NewView(list("lmno", 1))).want("0 dial l", "0 dial n", "0 dial o")
	})
	t.Run("the default is three", func(t *testing.T) {
		begin(t, overlay.Config{}).want("0 dial l", "0 dial n", "0 dial o")
	})
	t.Run("who chose this node counts", func(t *testing.T) {
		newScript(t, four, "").guest("ij").look(overlay.NewView(list("ijlmnop", 1))).want("0 dial l", "0 dial n")
	})
	t.Run("what was chosen stays when others come", func(t *testing.T) {
		begin(t, four).up("lnop").forget().guest("i").to(60_000).want()
	})
	t.Run("what rings or the user ask for takes its place", func(t *testing.T) {
		s := begin(t, four).up("lnop").forget()
		s.each("gh", s.k.Pin).up("gh").to(60_000).want("0 dial g", "0 dial h", "0 close p full", "2000 close o unused")
	})
	t.Run("a guest that goes is replaced", func(t *testing.T) {
		s := begin(t, four).up("lno").guest("i").failed("p").forget()
		s.down("i", overlay.Lost).want("0 dial q")
	})
	t.Run("when four in a row have failed it rests until one of them is due", func(t *testing.T) {
		s := begin(t, overlay.Config{MinPeers: 3, MaxPeers: 3}).up("ln").forget()
		s.failed("opqr").want("0 dial p", "0 dial q", "0 dial r").to(999).want()
		s.to(1000).want("1000 dial o", "1000 dial p", "1000 dial q", "1000 dial r")
	})
}

// TestSteadyStateAllocatesNothing: the owner asks after every input.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	all := crowd(1000)
	k := overlay.New(overlay.Config{Self: all[7].ID})
	k.View(overlay.NewView(all))
	for _, a := range k.Tick(start) {
		if d, ok := a.(overlay.Dial); ok {
			k.Up(start, d.ID, true)
		}
	}
	now := start.Add(time.Minute)
	k.Tick(now)
	k.Graph()
	peer := k.Peers()[0]
	for what, f := range map[string]func(){
		"nothing":            func() {},
		"Admit of a peer":    func() { k.Admit(now, peer) },
		"a link that renews": func() { k.Up(now, peer, true) },
		"a late failure":     func() { k.Failed(now, peer) },
		"the graph":          func() { k.Graph().Neighbours(0) },
	} {
		if n := testing.AllocsPerRun(100, func() { f(); k.Tick(now); k.Next() }); n != 0 {
			t.Errorf("%s, Tick and Next allocate %v times, want 0", what, n)
		}
	}
}
