package exchange_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// known returns what a knows of the methods of b, as words.
func known(a, b *node) string {
	var words []string
	for _, m := range a.Methods(b.id) {
		words = append(words, fmt.Sprintf("%s(%s)%s", m.Name, m.Argument, m.Result))
		if !a.Serves(b.id, m.Name) {
			words = append(words, "and Serves says no")
		}
	}
	return strings.Join(words, " ")
}

// TestMembersAreToldWhatIsServed: when a session begins, before anything is called, and when it
// changes; and each hears of what is for it.
func TestMembersAreToldWhatIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.run(t.Context())
		b.run(t.Context())
		open := false
		serve := func(s exchange.Service) (stop func()) {
			stop, err := b.Serve(s)
			if err != nil {
				t.Fatal(err)
			}
			return stop
		}
		stop := serve(exchange.Service{Method: "z", About: frame.Method{Argument: "int", Result: "string"}})
		serve(exchange.Service{Method: "later", Serves: func(id ident.NodeID) bool { return open || id != a.id }})
		w := connect(t, a, b)
		w.send(1) // OPEN
		w.send(0)
		if w.ends[0].pair.Ready() {
			t.Error("a is ready before it knows what b serves")
		}
		for _, tt := range []struct {
			name string
			do   func()
			want string
		}{
			{"in the beginning", func() {}, "z(int)string"},
			{"one more", func() { serve(exchange.Service{Method: "a"}) }, "a() z(int)string"},
			{"one is stopped", stop, "a()"},
			{"one is for this member now", func() { open = true }, "a() later()"},
			{"over a new link", func() { w.cut(); w.again() }, "a() later()"},
			{"when the member was away", func() {
				a.SetMembers(nil)
				a.SetMembers([]*exchange.Pair{w.ends[0].pair})
			}, "a() later()"},
			{"when it was away at the other end", func() {
				b.SetMembers(nil)
				b.SetMembers([]*exchange.Pair{w.ends[1].pair})
			}, "a() later()"},
			{"after 40 seconds without a link", func() {
				w.cut()
				time.Sleep(40 * time.Second)
				if got := known(a, b); got != "" {
					t.Errorf("after the session has ended a knows %q", got)
				}
				w.again()
			}, "a() later()"},
			{"when all is stopped", b.Unserve, ""},
		} {
			tt.do()
			w.carry()
			time.Sleep(1100 * time.Millisecond) // a sweep
			w.carry()
			if got := known(a, b); got != tt.want || !w.ends[0].pair.Ready() {
				t.Errorf("%s: a knows %q, ready %v; want %q", tt.name, got, w.ends[0].pair.Ready(), tt.want)
			}
		}
	})
}

// TestAListOfMethodsHasALimit: what has no room is served all the same.
func TestAListOfMethodsHasALimit(t *testing.T) {
	a, b := newNode(t, 1, 0), newNode(t, 2, 0)
	for i := range 100 {
		about := frame.Method{About: strings.Repeat("x", frame.AboutMax)}
		if _, err := b.Serve(exchange.Service{Method: fmt.Sprintf("m%02d", i), About: about}); err != nil {
			t.Fatal(err)
		}
	}
	link(t, a, b)
	if n := len(a.Methods(b.id)); n < 60 || n > frame.MethodsMax/frame.AboutMax {
		t.Errorf("a knows %d methods", n)
	}
}
