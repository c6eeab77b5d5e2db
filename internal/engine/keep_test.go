package engine_test

import (
	"errors"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/council"
	"github.com/espial-go/espial/internal/engine"
	"github.com/espial-go/espial/internal/ident"
)

// slowDisk is a disk that does what a test says.
type slowDisk struct {
	takes time.Duration // a write
	hangs chan struct{} // a write waits for it, unless it is nil

	mu    sync.Mutex // guards what follows
	full  bool
	kept  map[string]council.Mark
	tries int
}

func (d *slowDisk) keep(marks map[string]council.Mark) error {
	d.mu.Lock()
	d.tries++
	d.mu.Unlock()
	time.Sleep(d.takes)
	if d.hangs != nil {
		<-d.hangs
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return errors.New("no room")
	}
	maps.Copy(d.kept, marks)
	return nil
}

// mend makes room on the disk.
func (d *slowDisk) mend() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = false
}

// state returns the term on disk and the number of attempts.
func (d *slowDisk) state() (term ident.Term, tries int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.kept[""].Term, d.tries
}

// on gives a node the disk, and its default election a mode.
func (d *slowDisk) on(m council.Mode) func(*engine.Config) {
	d.kept = map[string]council.Mark{}
	return func(c *engine.Config) {
		c.Mode = m
		c.Kept, c.Keep = map[string]council.Mark{}, d.keep
	}
}

// leads reports whether a node leads the default election.
func (n *node) leads() bool { t, _ := n.Held(""); return t != nil }

// A disk that hangs keeps a node from voting, and from nothing else.
func TestADiskThatHangsStopsNobody(t *testing.T) {
	for _, tt := range []struct {
		name string
		mode council.Mode
		want bool // it leads meanwhile
	}{{"available", council.Mode{}, true}, {"quorum", council.Mode{Quorum: 1}, false}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				d := &slowDisk{hangs: make(chan struct{})}
				n := c.start(d.on(tt.mode))
				time.Sleep(time.Minute)
				if n.leads() != tt.want {
					t.Errorf("leads: %t, want %t, while the disk hangs", n.leads(), tt.want)
				}
				if _, tries := d.state(); n.Status().Members != 1 || tries != 1 {
					t.Errorf("%+v after %d writes, want one member and one write", n.Status(), tries)
				}
				close(d.hangs)
				time.Sleep(2 * time.Second)
				if term, _ := d.state(); !n.leads() || term == 0 {
					t.Errorf("leads: %t, on disk: term %d; want that all is well", n.leads(), term)
				}
				c.close()
			})
		})
	}
}

// In the Available mode a node leads when its term is on disk, or a little later without.
func TestAReignBeginsOnDisk(t *testing.T) {
	for _, tt := range []struct {
		takes, after time.Duration // a write; a reign begins so long after it could
		want         ident.Term    // on disk by then
	}{
		{0, 0, 1},
		{40 * time.Millisecond, 40 * time.Millisecond, 1},
		{time.Second, 50 * time.Millisecond, 0},
	} {
		t.Run(tt.takes.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				d := &slowDisk{takes: tt.takes}
				n := c.start(d.on(council.Mode{}))
				began, founded := time.Now(), 2*time.Second
				for !n.leads() && time.Since(began) < 5*time.Second {
					time.Sleep(time.Millisecond)
				}
				term, _ := d.state()
				if got := time.Since(began) - founded; got < tt.after || got > tt.after+time.Millisecond || term != tt.want {
					t.Errorf("it leads %v after it could, with term %d on disk; want %v and %d", got, term, tt.after, tt.want)
				}
				c.close()
			})
		})
	}
}

// A disk that is full is tried once a second, and told of once.
func TestADiskThatIsFullIsToldOfOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		d := &slowDisk{full: true}
		n := c.start(d.on(council.Mode{Quorum: 1}))
		feed := n.Changes(t.Context())
		defer feed.Close()
		time.Sleep(time.Minute + 500*time.Millisecond)
		says := n.Status().DiskError
		if _, tries := d.state(); says != "no room" || n.leads() || tries != 61 {
			t.Errorf("%q, leads: %t, after %d attempts; want no room, no, and 61", says, n.leads(), tries)
		}
		d.mend()
		time.Sleep(2 * time.Second)
		says = n.Status().DiskError
		if _, tries := d.state(); says != "" || !n.leads() || tries != 62 {
			t.Errorf("%q, leads: %t, after %d attempts; want nothing, yes, and 62", says, n.leads(), tries)
		}
		c.close()
		var told []engine.Note
		batch, _, _ := feed.Next(t.Context())
		for _, ch := range batch {
			if ch.Note == engine.NoteDiskDown || ch.Note == engine.NoteDiskUp {
				told = append(told, ch.Note)
			}
			if ch.Note == engine.NoteDiskDown && ch.Reason != "no room" {
				t.Errorf("the reason is %q", ch.Reason)
			}
		}
		if len(told) != 2 || told[0] != engine.NoteDiskDown || told[1] != engine.NoteDiskUp {
			t.Errorf("told %v, want down and up", told)
		}
	})
}

// A node that ends leaves its last term, even if the disk took nothing just before.
func TestTheLastTermIsWrittenAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		d := &slowDisk{full: true}
		n := c.start(d.on(council.Mode{}))
		time.Sleep(2500 * time.Millisecond)
		if term, _ := d.state(); !n.leads() || term != 0 {
			t.Fatalf("leads: %t, on disk: term %d; want a leader without a disk", n.leads(), term)
		}
		d.mend()
		c.close()
		if term, _ := d.state(); term != 1 {
			t.Errorf("on disk: term %d, want 1", term)
		}
	})
}
