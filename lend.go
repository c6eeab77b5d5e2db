package espial

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"iter"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/espial-go/espial/internal/core"
)

// Object is a value of a member that it lent to another one: see [Lend]. It is sent as any value is,
// as a result or inside of one. The borrower gives it to [Bind]:
//
//	cart, err := espial.Bind[Cart](n, espial.Only(o.Member), o.Prefix)
type Object struct {
	Member NodeID `json:"member"` // whose value it is
	Prefix string `json:"prefix"` // under which it serves the value
}

// Limits of what a node lends.
const (
	lendIdle      = 10 * time.Minute
	lentPeerMax   = 256
	lentMax       = 1024
	lentPrefix    = "espial.object."
	releaseMethod = ".-release" // no name in Go, so that no object has it
)

var errLent = fmt.Errorf("%d objects are lent to the member, or %d to all", lentPeerMax, lentMax)

// Lend serves v as [ServeObject] does, for the one caller c and no longer than that needs it: a
// handler returns the Object, whose methods its caller then calls in turn. Nobody else can call it or
// sees it. It is released by [Object.Release], when the caller is no member any more or starts anew,
// when nobody called it for 10 minutes, and with the node; then v.Close is called, if v has such a
// method as an [io.Closer]. Calls that run then go on. At most 256 objects are lent to one member, and
// 1,024 to all; the error of one more, and those of ServeObject, are a [MethodError]. [ErrNoMember]
// says that the caller is gone.
func Lend(n *Node, c Caller, v any, opts ...ServeOption) (Object, error) {
	l := &loan{node: n, prefix: lentPrefix + rand.Text(), caller: c.ID, value: v}
	list, err := n.object(l.prefix, v)
	if err != nil {
		return Object{}, err
	}
	for i := range list {
		list[i].handle = l.using(list[i].handle)
	}
	list = append(list, service{method: l.prefix + releaseMethod, handle: l.letGo})
	for i := range list {
		list[i].hidden = true
	}
	n.loans.once.Do(func() {
		changes := n.Changes(context.Background()) // until the node ends
		n.loans.watching.Go(func() { n.loans.watch(n, changes) })
	})
	if err := n.loans.add(l); err != nil {
		return Object{}, err
	}
	stop, err := n.serve(append(slices.Clip(opts), To(Only(c.ID))), list...)
	if err != nil {
		n.loans.remove(l)
		return Object{}, err
	}
	n.loans.start(l, stop)
	return Object{Member: n.id, Prefix: l.prefix}, nil
}

// Release tells the member that lent the object to this node that it is needed no more. The error is
// as that of [Node.Call]: [ErrNoHandler] for an object that is released already.
func (o Object) Release(ctx context.Context, n *Node) error {
	return n.askBytes(ctx, o.Member, question{method: o.Prefix + releaseMethod}).Err
}

// loan is an object that is lent.
type loan struct {
	node        *Node
	prefix      string
	caller      NodeID
	incarnation uint64 // of the caller
	value       any

	// The mutex of the loans guards what follows.
	stop    func() // nil before it is served
	idle    *time.Timer
	running int // calls
	over    bool
}

// loans are the objects that a node lent.
type loans struct {
	watching sync.WaitGroup // nobody waits: it ends with the node
	once     sync.Once      // begins it

	mu       sync.Mutex // guards what follows
	all      map[*loan]struct{}
	byCaller map[NodeID]int
	closed   bool
}

// count returns how many there are.
func (ls *loans) count() uint64 {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return uint64(len(ls.all))
}

// add counts a loan, if there may be one more and its caller is there.
func (ls *loans) add(l *loan) error {
	members := l.node.eng.View().Members
	i := slices.IndexFunc(members, func(m core.Member) bool { return NodeID(m.Record.ID) == l.caller })
	if i < 0 {
		return ErrNoMember
	}
	l.incarnation = uint64(members[i].Record.Incarnation)
	ls.mu.Lock()
	defer ls.mu.Unlock()
	switch {
	case ls.closed:
		return ErrClosed
	case len(ls.all) >= lentMax || ls.byCaller[l.caller] >= lentPeerMax:
		return &MethodError{Method: l.prefix, Reason: errLent.Error()}
	case ls.all == nil:
		ls.all, ls.byCaller = map[*loan]struct{}{}, map[NodeID]int{}
	}
	ls.all[l] = struct{}{}
	ls.byCaller[l.caller]++
	return nil
}

// start notes that a loan is served, until stop is called. It may be over by now.
func (ls *loans) start(l *loan, stop func()) {
	ls.mu.Lock()
	l.stop, l.idle = stop, time.AfterFunc(lendIdle, func() { ls.expire(l) })
	over := l.over
	ls.mu.Unlock()
	if over {
		l.end()
	}
}

// remove forgets a loan, and reports whether it was one.
func (ls *loans) remove(l *loan) (served, ok bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if _, ok = ls.all[l]; !ok {
		return false, false
	}
	delete(ls.all, l)
	if ls.byCaller[l.caller]--; ls.byCaller[l.caller] == 0 {
		delete(ls.byCaller, l.caller)
	}
	l.over = true
	return l.stop != nil, true
}

// release ends a loan, once.
func (ls *loans) release(l *loan) {
	if served, ok := ls.remove(l); ok && served {
		l.end()
	}
}

// expire is the call of a loan's timer.
func (ls *loans) expire(l *loan) {
	ls.mu.Lock()
	busy := l.running > 0 // the end of the call sets the timer again
	ls.mu.Unlock()
	if !busy {
		ls.release(l)
	}
}

// watch releases what was lent to members that go, and everything when the node ends.
func (ls *loans) watch(n *Node, changes iter.Seq[Change]) {
	for c := range changes {
		if c.Kind == RemovedNode || c.Kind == Lagged {
			ls.releaseAll(func(l *loan) bool {
				return l.caller == c.Member.ID && l.incarnation == c.Member.Incarnation ||
					!n.lists(l.caller, l.incarnation)
			})
		}
	}
	ls.mu.Lock()
	ls.closed = true
	ls.mu.Unlock()
	ls.releaseAll(func(*loan) bool { return true })
}

// releaseAll releases those for which over holds, each on a goroutine of its own: a Close that hangs
// or ends its goroutine must not keep the others.
func (ls *loans) releaseAll(over func(*loan) bool) {
	ls.mu.Lock()
	list := slices.Collect(maps.Keys(ls.all))
	ls.mu.Unlock()
	for _, l := range list {
		if over(l) {
			ls.watching.Go(func() { ls.release(l) })
		}
	}
}

// lists reports whether that incarnation of a node is a member.
func (n *Node) lists(id NodeID, incarnation uint64) bool {
	return slices.ContainsFunc(n.eng.View().Members, func(m core.Member) bool {
		return NodeID(m.Record.ID) == id && uint64(m.Record.Incarnation) == incarnation
	})
}

// end ends a loan that is forgotten and was served.
func (l *loan) end() {
	l.idle.Stop()
	l.stop()
	if c, ok := l.value.(io.Closer); ok {
		l.close(c)
	}
}

// close closes the value, which may panic.
func (l *loan) close(c io.Closer) {
	defer func() {
		if v := recover(); v != nil {
			l.node.panics.Add(1)
			l.node.cfg.Logger.Error("a lent object panicked", "type", fmt.Sprintf("%T", c),
				"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	if err := c.Close(); err != nil {
		l.node.cfg.Logger.Warn("a lent object did not close", "type", fmt.Sprintf("%T", c), "err", err)
	}
}

// using returns h, during which the loan is not idle.
func (l *loan) using(h Handler) Handler {
	ls := &l.node.loans
	return func(ctx context.Context, c Caller, data []byte) ([]byte, error) {
		ls.mu.Lock()
		l.running++
		ls.mu.Unlock()
		defer func() {
			ls.mu.Lock()
			defer ls.mu.Unlock()
			if l.running--; l.running == 0 && !l.over && l.idle != nil {
				l.idle.Reset(lendIdle)
			}
		}()
		return h(ctx, c, data)
	}
}

// letGo is the handler by which the borrower releases the object.
func (l *loan) letGo(context.Context, Caller, []byte) ([]byte, error) {
	l.node.loans.release(l)
	return nil, nil
}
