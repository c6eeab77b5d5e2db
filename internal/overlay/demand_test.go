package overlay_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/overlay"
)

// demand runs a table of links on demand and notes what it says.
type demand struct {
	overlay.Demand
	now time.Duration
	log []string
}

// to lets time pass until so many milliseconds.
func (d *demand) to(ms int) *demand {
	end := time.Duration(ms) * time.Millisecond
	for at, ok := d.Next(); ok && !at.After(start.Add(end)); at, ok = d.Next() {
		d.now = at.Sub(start)
		for _, id := range d.Tick(at) {
			d.log = append(d.log, fmt.Sprintf("%d close %s", d.now.Milliseconds(), letter(id)))
		}
	}
	d.now = end
	return d
}

func (d *demand) use(letters string) *demand {
	for _, c := range letters {
		instead, ok := d.Use(start.Add(d.now), name(string(c)))
		switch {
		case !ok:
			d.log = append(d.log, fmt.Sprintf("%d no to %c", d.now.Milliseconds(), c))
		case !instead.IsZero():
			d.log = append(d.log, fmt.Sprintf("%d %c instead of %s", d.now.Milliseconds(), c, letter(instead)))
		}
	}
	return d
}

func (d *demand) drop(letters string) *demand {
	for _, c := range letters {
		d.Drop(name(string(c)))
	}
	return d
}

// all are as many letters as there are places.
const all = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"

func TestDemand(t *testing.T) {
	tests := []struct {
		name string
		do   func(d *demand)
		len  int
		want string
	}{
		{"a link is closed 10 s after it was used", func(d *demand) { d.use("a").to(9999) }, 1, ""},
		{"and not before", func(d *demand) { d.use("a").to(20_000) }, 0, "10000 close a"},
		{
			"a use begins the time anew", func(d *demand) { d.use("ab").to(5000).use("a").to(20_000) }, 0,
			"10000 close b, 15000 close a",
		},
		{
			"one that went down is not closed", func(d *demand) { d.use("ab").drop("ax").to(20_000) }, 0,
			"10000 close b",
		},
		{
			"32 have a place, the next does not while all are in use", func(d *demand) { d.use(all).to(999).use("a") }, 32,
			"999 no to a",
		},
		{
			"the one used longest ago gives way", func(d *demand) { d.use(all).to(500).use("A").to(1000).use("a") }, 32,
			"1000 a instead of B",
		},
		{
			"one after the other", func(d *demand) { d.use(all).to(1000).use("abc") }, 32,
			"1000 a instead of A, 1000 b instead of B, 1000 c instead of C",
		},
		{"who has a place needs no other", func(d *demand) { d.use(all).use("5A") }, 32, ""},
		{"a place that was given back is free", func(d *demand) { d.use(all).drop("K").use("ab") }, 32, "0 no to b"},
		{"nobody is closed where nobody is", func(d *demand) { d.to(60_000) }, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var d demand
			tt.do(&d)
			if got := strings.Join(d.log, ", "); got != tt.want || d.Len() != tt.len {
				t.Errorf("got %q and %d places taken, want %q and %d", got, d.Len(), tt.want, tt.len)
			}
		})
	}
}

func TestDemandSaysWhenThereIsAPlace(t *testing.T) {
	var d demand
	if at := d.Spare(); !at.IsZero() {
		t.Errorf("Spare of an empty table = %v, want none to wait for", at)
	}
	d.use(all)
	if got := d.Spare().Sub(start); got != overlay.DemandHold {
		t.Errorf("Spare of a full table = %v, want %v", got, overlay.DemandHold)
	}
	if d.to(1000).use("a"); len(d.log) != 1 || d.log[0] != "1000 a instead of A" {
		t.Errorf("at that time got %v, want a place", d.log)
	}
}

func TestDemandAllocatesNothing(t *testing.T) {
	var d demand
	d.use(all)
	now := start
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(40 * time.Millisecond)
		d.Use(now, name("A"))
		d.Next()
	}); n != 0 {
		t.Errorf("Use and Next allocate %v times, want 0", n)
	}
}
