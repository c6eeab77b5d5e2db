package espial

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net"
	"sync"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mux"
)

// openingMax bounds the streams that one loop over [Node.Streams] has under way: being opened, or
// open and not handed to it yet.
const openingMax = 32

// StreamError reports a stream that [Node.Streams] has not opened.
type StreamError struct {
	Service string // what was to be dialled
	Member  Sender // to whom; zero where nobody is meant, or the service or the target cannot be
	Err     error  // why: see [Node.Dial]
}

// Error says which stream, and why.
func (e *StreamError) Error() string {
	s := fmt.Sprintf("espial: stream to %q", e.Service)
	if e.Member != (Sender{}) {
		s += " of " + cmp.Or(e.Member.Name, "a former member") + " (" + e.Member.ID.Short() + ")"
	}
	return s + ": " + trimmed(e.Err)
}

// Unwrap returns why.
func (e *StreamError) Unwrap() error { return e.Err }

// Streams opens a stream to a service of every member that to means now, this node included, and
// yields one stream or one [StreamError] of each in the order in which they come, as [Node.Dial]
// has them; a member that does not listen on the service is [ErrNoService], without a word on the
// network if it has said so and is not the only one meant. What to says of one of them is chosen
// among those that listen, and what it says of confirmations has no meaning here. 32 streams at
// most are on their way at a time: being opened, or open and not taken by the loop.
//
// With [Persist] the loop goes on and yields a stream to every member that to comes to mean and
// that listens: now, when it appears or comes back, and when it begins to listen.
//
// A stream that the loop was handed is its own to close: neither the end of the loop nor that of
// ctx does. What was opened and not handed over is closed.
func (n *Node) Streams(
	ctx context.Context, to Target, service string, opts ...DialOption,
) iter.Seq2[net.Conn, error] {
	d := newDialing(opts)
	return func(yield func(net.Conn, error) bool) {
		err := checkService(service)
		if err == nil {
			err = to.check()
		}
		if err != nil {
			yield(nil, &StreamError{Service: service, Err: err})
			return
		}
		f := newFan(ctx, n, service, d)
		defer f.close()
		if d.persist {
			f.persist(&to, yield)
		} else {
			f.once(&to, yield)
		}
	}
}

// fan opens streams to many members, some at a time.
type fan struct {
	n       *Node
	service string
	dialing dialing

	ctx     context.Context
	cancel  context.CancelFunc
	over    chan struct{} // closed when the loop has ended
	slots   chan struct{} // holds a token for each stream on its way to the loop
	results chan fanned
	workers sync.WaitGroup
}

// fanned is a stream that was opened, or an error.
type fanned struct {
	id  ident.NodeID
	tie *tie // nil without Persist
	nc  net.Conn
	st  *mux.Stream // below nc
	err error
}

func newFan(ctx context.Context, n *Node, service string, d dialing) *fan {
	f := &fan{
		n: n, service: service, dialing: d, over: make(chan struct{}),
		slots: make(chan struct{}, openingMax), results: make(chan fanned),
	}
	f.ctx, f.cancel = context.WithCancel(ctx)
	return f
}

// close ends what is under way.
func (f *fan) close() {
	close(f.over)
	f.cancel()
	f.workers.Wait()
}

// open opens a stream to a member and puts what comes of it into results.
func (f *fan) open(id ident.NodeID, t *tie) {
	f.workers.Go(func() {
		r := fanned{id: id, tie: t}
		select {
		case f.slots <- struct{}{}:
			defer func() { <-f.slots }()
			r.nc, r.st, r.err = f.n.open(f.ctx, id, f.service, f.dialing)
		case <-f.ctx.Done():
			r.err = context.Cause(f.ctx)
		}
		f.put(r)
	})
}

// put hands a result to the loop, or closes it if there is no loop any more.
func (f *fan) put(r fanned) {
	select {
	case f.results <- r:
	case <-f.over:
		if r.nc != nil {
			_ = r.nc.Close() // nobody has it
		}
	}
}

// yielded yields a result.
func (f *fan) yielded(r fanned, yield func(net.Conn, error) bool) bool {
	if r.err != nil {
		return yield(nil, &StreamError{Service: f.service, Member: f.n.sender(NodeID(r.id)), Err: r.err})
	}
	return yield(r.nc, nil)
}

// once opens a stream to each member that t means now.
func (f *fan) once(t *Target, yield func(net.Conn, error) bool) {
	ids := f.n.meant(t)
	if len(ids) == 0 {
		yield(nil, &StreamError{Service: f.service, Err: f.n.nobody(t)})
		return
	}
	listening, silent, deaf := f.n.listening(ids, f.service)
	if t.one != chooseEvery {
		if len(listening) == 0 {
			listening = ids
		}
		listening, silent, deaf = f.n.choose(t, listening), nil, nil
	} else if len(ids) == 1 {
		listening, silent, deaf = ids, nil, nil // it knows better
	}
	asked := append(listening, silent...)
	for _, id := range asked {
		f.open(id, nil)
	}
	for _, id := range deaf {
		if !f.yielded(fanned{id: id, err: ErrNoService}, yield) {
			return
		}
	}
	for range asked {
		if !f.yielded(<-f.results, yield) {
			return
		}
	}
}
