package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/mailbox"
)

// joins adds a subscription of a group to everything.
func (n *node) joins(group string) *mailbox.Queue {
	n.t.Helper()
	q, err := n.Subscribe(">", mailbox.Options{Group: group})
	if err != nil {
		n.t.Fatalf("Subscribe: %v", err)
	}
	return q
}

// groups returns the names of the groups for a topic.
func groups(n *node, topic string) string {
	var names []string
	for _, g := range n.Groups(topic) {
		names = append(names, g.Name())
	}
	return strings.Join(names, " ")
}

// TestMembersHearOfGroups: those that are linked, those that link later, and what goes.
func TestMembersHearOfGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 1), newNode(t, 2, 1) // an event limit of one byte is none of theirs
		a.joins("early")
		w := link(t, a, b)
		w.carry()
		if got := groups(b, "any"); got != "early" {
			t.Errorf("after the link: %q", got)
		}
		late := a.joins("late")
		twin := a.joins("late")
		if _, err := a.Subscribe("orders.*", mailbox.Options{Group: "orders"}); err != nil {
			t.Fatal(err)
		}
		w.carry()
		if got := groups(b, "any"); got != "early late" {
			t.Errorf("after another subscription: %q", got)
		}
		if got := groups(b, "orders.placed"); got != "early late orders" {
			t.Errorf("of orders: %q", got)
		}
		late.Close()
		w.carry()
		if got := groups(b, "any"); got != "early late" {
			t.Errorf("after one of two ended: %q", got)
		}
		twin.Close()
		w.cut()
		w.again()
		w.carry()
		if got := groups(b, "any"); got != "early" {
			t.Errorf("after both ended while there was no link: %q", got)
		}
	})
}

// TestAGroupIsKnownAfterASessionEnded: what was to tell of it was given up with the session.
func TestAGroupIsKnownAfterASessionEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.run(t.Context())
		b.run(t.Context())
		w := link(t, a, b)
		w.cut()
		a.joins("workers")
		time.Sleep(time.Minute)
		synctest.Wait()
		w.again()
		w.carry()
		if got := groups(b, "any"); got != "workers" {
			t.Errorf("groups: %q", got)
		}
	})
}

// TestWhatAMemberSaidLastOfItsGroupsCounts, also where it said it twice in one frame.
func TestWhatAMemberSaidLastOfItsGroupsCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		w := link(t, a, b)
		a.direct(b, 1, 10, 16<<10)
		for _, group := range []string{"early", "late"} {
			a.joins(group)
			for _, raw := range w.frames(0) { // some of what is there, and nothing of groups
				if err := w.ends[1].pair.Receive(raw); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.carry()
		if got := groups(b, "any"); got != "early late" {
			t.Errorf("groups: %q", got)
		}
	})
}

// TestOneOfAGroupGetsAMessage, in turn, and nobody of the group what was broadcast.
func TestOneOfAGroupGetsAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := newNode(t, 1, 0), newNode(t, 2, 0), newNode(t, 3, 0)
		toB, toC := link(t, a, b), link(t, a, c)
		a.SetMembers([]*exchange.Pair{a.Pair(b.id, 1, "b"), a.Pair(c.id, 1, "c")})
		plain := b.subscribe(mailbox.Options{})
		q1, q2 := b.joins("workers"), b.joins("workers")
		q3, other := c.joins("workers"), c.joins("other")
		toB.carry()
		toC.carry()
		for i := range 4 {
			m := message("a", i, 8)
			if err := a.Broadcast(t.Context(), true, m, nil); err != nil {
				t.Fatal(err)
			}
			for _, g := range a.Groups("a") {
				if _, err := a.ToGroup(t.Context(), g, true, m, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		toB.carry()
		a.direct(b, 9, 9, 8)
		toB.carry()
		toC.carry()
		if got, want := read(t, plain), "a:0 a:1 a:2 a:3 d:9"; got != want {
			t.Errorf("the subscription of no group read %q, want %q", got, want)
		}
		if got, want := read(t, other), "a:0 a:1 a:2 a:3"; got != want {
			t.Errorf("the group of one read %q, want %q", got, want)
		}
		var all []string
		counts := map[string]int{}
		for name, q := range map[string]*mailbox.Queue{"b1": q1, "b2": q2, "c": q3} {
			for w := range strings.FieldsSeq(read(t, q)) {
				all = append(all, w)
				counts[name[:1]]++
			}
		}
		if len(all) != 5 || counts["b"] != 3 || counts["c"] != 2 {
			t.Errorf("the group read %q, and its members %v", all, counts)
		}
	})
}

// TestAGroupGoesAroundWhoIsAway: who has no link gets nothing while others have one, and who
// is no member gets nothing at all.
func TestAGroupGoesAroundWhoIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := newNode(t, 1, 0), newNode(t, 2, 0), newNode(t, 3, 0)
		toB, toC := link(t, a, b), link(t, a, c)
		ab, ac := a.Pair(b.id, 1, "b"), a.Pair(c.id, 1, "c")
		a.SetMembers([]*exchange.Pair{ab, ac})
		qb, qc := b.joins("workers"), c.joins("workers")
		toB.carry()
		toC.carry()
		toB.cut()
		send := func(n int) (to []byte) {
			for i := range n {
				id, err := a.ToGroup(t.Context(), a.Groups("a")[0], true, message("a", i, 8), nil)
				if err != nil && !errors.Is(err, exchange.ErrNoMember) {
					t.Fatal(err)
				}
				to = append(to, id[0])
			}
			return to
		}
		if got := send(4); string(got) != "\x03\x03\x03\x03" {
			t.Errorf("while b is away: to %v", got)
		}
		toC.carry()
		if got := read(t, qc); got != "a:0 a:1 a:2 a:3" {
			t.Errorf("c read %q", got)
		}
		a.SetMembers([]*exchange.Pair{ab})
		if got := send(1); got[0] != 2 {
			t.Errorf("where only b is a member, which is away: to %v", got)
		}
		toB = link(t, a, b)
		toB.carry()
		if got := read(t, qb); got != "a:0" {
			t.Errorf("b read %q after its return", got)
		}
		a.SetMembers(nil)
		if got := send(1); got[0] != 0 {
			t.Errorf("where nobody is a member: to %v", got)
		}
	})
}

// TestAGroupWaitsForWhoHasRoomFirst, and for nobody who goes: what is published to a group
// reaches it as long as it has a member.
func TestAGroupWaitsForWhoHasRoomFirst(t *testing.T) {
	for _, goes := range []bool{false, true} {
		for other := range 2 { // to whom it was to go first is a matter of turn
			synctest.Test(t, func(t *testing.T) {
				a, b, c := newNode(t, 1, 0), newNode(t, 2, 0), newNode(t, 3, 0)
				wires := []*wire{link(t, a, b), link(t, a, c)}
				nodes := []*node{b, c}
				a.SetMembers([]*exchange.Pair{wires[0].ends[0].pair, wires[1].ends[0].pair})
				for i, n := range nodes {
					n.joins("workers")
					wires[i].carry()
					a.direct(n, 1, 4, 1000<<10)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				var wg sync.WaitGroup
				wg.Go(func() {
					began := time.Now()
					id, err := a.ToGroup(ctx, a.Groups("a")[0], true, message("a", 1, 1000<<10), nil)
					if took := time.Since(began); id != nodes[other].id || err != nil || took > 2*time.Second {
						t.Errorf("goes %v: to %v, %v, after %v, want to %v", goes, id, err, took, nodes[other].id)
					}
				})
				synctest.Wait()
				if goes {
					a.SetMembers([]*exchange.Pair{wires[other].ends[0].pair})
				}
				time.Sleep(10 * time.Millisecond)
				wires[other].carry()
				wires[other].carry()
				wg.Wait()
				if err := a.TryDirect(nodes[1-other].id, message("d", 5, 8), nil); err != nil && !goes {
					t.Errorf("room is still kept where it did not go: %v", err)
				}
			})
		}
	}
}

// TestAGroupThatIsAnnouncedBadlyIsNone, and costs the link nothing.
func TestAGroupThatIsAnnouncedBadlyIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		w := link(t, a, b)
		for _, payload := range [][]byte{
			{9},
			{1, 'g'},
			make([]byte, 20_000),
			frame.Interest{Group: "G", Pattern: ">"}.Append(nil),
			frame.Interest{Group: "g", Pattern: "a*"}.Append(nil),
			frame.Interest{Group: "g", Pattern: "lagged"}.Append(nil),
			frame.Interest{Group: "", Pattern: ">"}.Append(nil),
			frame.Interest{Group: "g", Pattern: ">", Except: "b a..c"}.Append(nil),
		} {
			m := message(frame.TopicInterests, "", 0)
			m.Payload = payload
			if err := a.Direct(t.Context(), b.id, m, nil); err != nil {
				t.Fatal(err)
			}
			w.carry()
			for _, topic := range []string{"a", "lagged", "ab"} {
				if got := groups(b, topic); got != "" {
					t.Errorf("%x: groups %q for %s", payload[:min(9, len(payload))], got, topic)
				}
			}
		}
	})
}

// TestWhoseSessionEndedHasNoGroups, and costs those who publish no look-up.
func TestWhoseSessionEndedHasNoGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.run(t.Context()) // and b does not look after its sessions
		w := link(t, a, b)
		b.joins("workers")
		w.carry()
		if got := groups(a, "any"); got != "workers" {
			t.Errorf("groups: %q", got)
		}
		w.cut()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := groups(a, "any"); got != "" {
			t.Errorf("after the session ended: %q", got)
		}
		w.again()
		w.carry()
		if got := groups(a, "any"); got != "workers" {
			t.Errorf("after it began anew: %q", got)
		}
	})
}

// TestAMemberHasSoManyGroups: what is published to all goes to each, and a member that names
// thousands would make that expensive.
func TestAMemberHasSoManyGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		w := link(t, a, b)
		for i := range 64 {
			for range 2 {
				b.joins(fmt.Sprint("g", i))
			}
		}
		if _, err := b.Subscribe(">", mailbox.Options{Group: "more"}); !errors.Is(err, exchange.ErrTooManyGroups) {
			t.Errorf("one group too many: %v", err)
		}
		w.carry()
		if got := len(a.Groups("any")); got != 64 {
			t.Errorf("%d groups are known, want 64", got)
		}
		m := message(frame.TopicInterests, "", 0)
		m.Payload = nil
		for i := range 1000 {
			m.Payload = frame.Interest{Group: fmt.Sprint("h", i), Pattern: ">"}.Append(m.Payload)
		}
		if err := b.Direct(t.Context(), a.id, m, nil); err != nil {
			t.Fatal(err)
		}
		w.carry()
		if got := len(a.Groups("any")); got != 64 {
			t.Errorf("of 1,000 groups of a member %d are known, want 64", got)
		}
	})
}

func TestSubscriptionsOfGroupsHaveALimit(t *testing.T) {
	a := newNode(t, 1, 0)
	size := 0 // of what members are told of those that were taken
	for i := range 10_000 {
		pattern := fmt.Sprintf("%s.%d", strings.Repeat("a", 60), i)
		_, err := a.Subscribe(pattern, mailbox.Options{Group: "g"})
		more := len(frame.Interest{Group: "g", Pattern: pattern}.Append(nil))
		if errors.Is(err, exchange.ErrTooManyGroups) {
			if size > 16<<10 || size+more <= 16<<10 {
				t.Errorf("%d bytes were taken, and no %d more, want 16 KiB", size, more)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		size += more
	}
	t.Error("10,000 subscriptions of groups were taken")
}
