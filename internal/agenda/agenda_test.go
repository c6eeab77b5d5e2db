package agenda_test

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/agenda"
)

// TestDueIsAStableSort: what is taken in turns, with more added in between, comes as a stable
// sort has it.
func TestDueIsAStableSort(t *testing.T) {
	type event struct{ at, serial int }
	rapid.Check(t, func(t *rapid.T) {
		a := agenda.New[int, event](cmp.Compare[int])
		var left []event
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			at := rapid.IntRange(0, 9).Draw(t, "at")
			if rapid.Bool().Draw(t, "add") {
				e := event{at, int(a.Added())}
				a.Add(at, e)
				left = append(left, e)
				slices.SortStableFunc(left, func(x, y event) int { return cmp.Compare(x.at, y.at) })
				continue
			}
			got, e, ok := a.Due(at)
			if want := len(left) > 0 && left[0].at <= at; ok != want {
				t.Fatalf("Due(%d) = %v, want %v; on the agenda: %v", at, ok, want, left)
			}
			if ok && (e != left[0] || got != e.at) {
				t.Fatalf("Due(%d) = %v at %d, want %v", at, e, got, left[0])
			}
			if ok {
				left = left[1:]
			}
		}
	})
}

func TestClear(t *testing.T) {
	a := agenda.New[int, string](cmp.Compare[int])
	a.Add(1, "x")
	a.Clear()
	if _, v, ok := a.Due(9); ok {
		t.Errorf("after Clear %q is due", v)
	}
	if a.Added() != 1 {
		t.Errorf("Added() = %d, want 1", a.Added())
	}
}
