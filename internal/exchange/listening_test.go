package exchange_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/exchange"
)

// TestMembersAreToldWhereToDial: when a session begins, and when it changes; and that a member
// listens on nothing is known, too.
func TestMembersAreToldWhereToDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.run(t.Context())
		b.run(t.Context())
		heard := func() string {
			services, told := a.Listening(b.id)
			return fmt.Sprint(strings.Join(services, " "), " ", told)
		}
		if got := heard(); got != " false" {
			t.Errorf("before there is a link a knows %q", got)
		}
		b.SetListening([]string{"api", "db"})
		w := connect(t, a, b)
		w.send(1) // OPEN
		w.send(0)
		if w.ends[0].pair.Ready() || !w.ends[1].pair.Ready() {
			t.Error("a is ready before it knows on what b listens, or b waits for a, which listens on nothing")
		}
		if services, told := b.Listening(a.id); len(services) != 0 || !told {
			t.Errorf("b knows %q of a, told %v; want that it listens on nothing", services, told)
		}
		for _, tt := range []struct {
			name string
			do   func()
			want string
		}{
			{"in the beginning", func() {}, "api db true"},
			{"one less", func() { b.SetListening([]string{"api"}) }, "api true"},
			{"over a new link", func() { w.cut(); w.again() }, "api true"},
			{"closed while the member was away at the other end", func() {
				b.SetMembers(nil)
				b.SetListening(nil)
				b.SetMembers([]*exchange.Pair{w.ends[1].pair})
			}, " true"},
			{"open again", func() { b.SetListening([]string{"web"}) }, "web true"},
			{"after 40 seconds without a link", func() {
				w.cut()
				time.Sleep(40 * time.Second)
				if got := heard(); got != " false" {
					t.Errorf("after the session has ended a knows %q", got)
				}
				w.again()
			}, "web true"},
		} {
			tt.do()
			w.carry()
			time.Sleep(1100 * time.Millisecond) // a sweep
			w.carry()
			if got := heard(); got != tt.want || !w.ends[0].pair.Ready() {
				t.Errorf("%s: a knows %q, ready %v; want %q", tt.name, got, w.ends[0].pair.Ready(), tt.want)
			}
		}
	})
}

// TestAListOfServicesHasALimit: the first 256 of the longest names.
func TestAListOfServicesHasALimit(t *testing.T) {
	a, b := newNode(t, 1, 0), newNode(t, 2, 0)
	var services []string
	for i := range 300 {
		services = append(services, fmt.Sprintf("%063d", i))
	}
	b.SetListening(services)
	link(t, a, b)
	if got, _ := a.Listening(b.id); !slices.Equal(got, services[:256]) {
		t.Errorf("a knows %d services, want the first 256", len(got))
	}
	if got, told := b.Listening(b.id); len(got) != 300 || !told {
		t.Errorf("b knows %d services of its own, told %v", len(got), told)
	}
}
