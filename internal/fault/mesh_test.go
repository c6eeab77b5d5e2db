package fault_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/fault"
	"github.com/espial-go/espial/internal/ident"
)

// news is what one node knows of the records and the suspicions of others, where they are
// passed on from neighbour to neighbour.
type news struct {
	version  uint64 // of this node's own record
	versions map[int]uint64
	seen     map[statement]bool
	raised   int // suspicions that began here
	cleared  int // suspicions of others that ended here
}

// statement is a suspicion that is passed on.
type statement struct {
	of, by  int
	version uint64 // of the record that it speaks of
	refused bool
}

// rings returns who watches whom among n nodes: the neighbours on four rings.
func rings(seed uint64, n int) [][]int {
	r := rand.New(rand.NewPCG(seed, 1<<32))
	watchers := make([][]int, n)
	for range 4 {
		ring := r.Perm(n)
		for i, a := range ring {
			b := ring[(i+1)%n]
			watchers[a] = append(watchers[a], b)
			watchers[b] = append(watchers[b], a)
		}
	}
	for i := range watchers {
		slices.Sort(watchers[i])
		watchers[i] = slices.Compact(watchers[i])
	}
	return watchers
}

func (w *network) linked(a, b int) bool {
	return w.watchers == nil || slices.Contains(w.watchers[a], b)
}

// watch tells the detector whom it watches.
func (n *node) watch() {
	n.news.versions, n.news.seen = map[int]uint64{}, map[statement]bool{}
	if n.net.watchers == nil {
		return
	}
	ids := []ident.NodeID{}
	for _, p := range n.net.watchers[n.n] {
		ids = append(ids, idOf(p))
	}
	n.d.Watch(n.net.now, ids)
}

// pass gives something to all neighbours but one.
func (n *node) pass(except int, receive func(*node)) {
	for _, p := range n.net.watchers[n.n] {
		if p != except {
			n.send(p, receive)
		}
	}
}

// accuse begins to pass a suspicion on.
func (n *node) accuse(a fault.Tell) {
	of := nodeOf(a.ID)
	n.news.raised++
	n.heed(n.n, statement{of: of, by: n.n, version: n.news.versions[of], refused: a.Refused})
}

// heed takes a suspicion that neighbour from passes on. Older ones are refuted.
func (n *node) heed(from int, s statement) {
	version := n.news.versions[s.of]
	if s.of == n.n {
		version = n.news.version
	}
	if n.news.seen[s] || s.version != version {
		return
	}
	n.news.seen[s] = true
	n.pass(from, func(to *node) { to.heed(n.n, s) })
	if s.by != n.n {
		watches := slices.Contains(n.net.watchers[s.of], s.by)
		n.d.Suspected(n.net.now, idOf(s.by), idOf(s.of), incOf(idOf(s.of)), s.refused && watches)
	}
}

// refute gives the own record a higher version.
func (n *node) refute() {
	n.news.version++
	version := n.news.version
	n.pass(n.n, func(to *node) { to.learn(n.n, n.n, version) })
}

// learn takes a record that neighbour from passes on.
func (n *node) learn(from, of int, version uint64) {
	if of == n.n || version <= n.news.versions[of] {
		return
	}
	n.news.versions[of] = version
	n.pass(from, func(to *node) { to.learn(n.n, of, version) })
	n.d.Refuted(n.net.now, idOf(of))
}

// meshSize is how many nodes a mesh has. There is not one goroutine to race with.
var meshSize = map[bool]int{false: 200, true: 50}[raceEnabled]

// others returns all nodes of a mesh but those named.
func others(not ...int) []int {
	return slices.DeleteFunc(numbers(0, meshSize), func(i int) bool { return slices.Contains(not, i) })
}

// inMesh runs a test of a partial mesh with some seeds.
func inMesh(t *testing.T, count int, f func(t *testing.T, w *network)) {
	t.Helper()
	seeds(t, count, func(t *testing.T, seed uint64) {
		f(t, newMesh(seed, meshSize, rings(seed, meshSize)))
	})
}

func TestKilledInAMesh(t *testing.T) {
	inMesh(t, 2, func(t *testing.T, w *network) {
		w.kill(0)
		w.run(5 * time.Second)
		expect(t, w, others(0), []int{0}, 100*time.Millisecond, 200*time.Millisecond)
	})
}

func TestAThirdKilledTogetherInAMesh(t *testing.T) {
	inMesh(t, 2, func(t *testing.T, w *network) {
		for n := range meshSize / 3 {
			w.kill(n)
		}
		w.run(10 * time.Second)
		expect(t, w, numbers(meshSize/3, meshSize), numbers(0, meshSize/3), time.Second, 5*time.Second)
	})
}

func TestLostInAMesh(t *testing.T) {
	inMesh(t, 2, func(t *testing.T, w *network) {
		w.cut = func(a, b int) bool { return a == 0 || b == 0 }
		w.run(10 * time.Second)
		all := w.verdicts
		w.verdicts = slices.DeleteFunc(slices.Clone(all), func(v verdict) bool { return v.by == 0 })
		expect(t, w, others(0), []int{0}, time.Second, 3*time.Second)
		w.verdicts = slices.DeleteFunc(slices.Clone(all), func(v verdict) bool { return v.by != 0 })
		expect(t, w, []int{0}, others(0), time.Second, 3*time.Second)
	})
}

func TestPauseRemovesNobodyFromAMesh(t *testing.T) {
	inMesh(t, 2, func(t *testing.T, w *network) {
		w.nodes[0].until = w.now.Add(1500 * time.Millisecond)
		w.run(8 * time.Second)
		expect(t, w, nil, nil, 0, 0)
		for _, v := range w.verdicts {
			if v.by == 0 {
				t.Errorf("%v, but it was the one that was paused", v)
			}
		}
	})
}

func TestLiarRemovesNobodyFromAMesh(t *testing.T) {
	for _, of := range []string{"a neighbour", "a stranger"} {
		inMesh(t, 1, func(t *testing.T, w *network) {
			liar := w.nodes[0]
			target := w.watchers[0][0]
			if of == "a stranger" {
				target = slices.IndexFunc(w.watchers, func(by []int) bool { return !slices.Contains(by, 0) })
			}
			for range 30 {
				for _, refused := range []bool{true, false} {
					liar.accuse(tellOf(target, refused))
				}
				w.run(time.Second)
			}
			if len(w.verdicts) > 0 {
				t.Errorf("%s: %v, want nothing", of, w.verdicts)
			}
		})
	}
}

// The two ends of a link that broke for them alone ask the others less and less often.
func TestABrokenLinkInAMeshIsNoStorm(t *testing.T) {
	inMesh(t, 1, func(t *testing.T, w *network) {
		a, b := 0, w.watchers[0][0]
		w.cut = func(from, to int) bool { return from == a && to == b || from == b && to == a }
		w.nodes[a].down(b)
		w.nodes[b].down(a)
		for minute, most := range []int{14, 4} {
			for _, n := range w.nodes {
				n.news.raised = 0
			}
			w.run(time.Minute)
			raised := 0
			for _, n := range w.nodes {
				raised += n.news.raised
			}
			t.Logf("minute %d: %d suspicions", minute, raised)
			if raised > most {
				t.Errorf("minute %d: %d suspicions, want at most %d", minute, raised, most)
			}
		}
		expect(t, w, nil, nil, 0, 0)
	})
}
