package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/espial-go/espial/internal/admission"
	"github.com/espial-go/espial/internal/frame"
)

// Limits of admission.
const (
	// admissionBytesMax bounds what is read before both ends said ACCEPT: a HELLO with
	// all of its metadata, and the short frames around it.
	admissionBytesMax = frame.HelloMax + 4<<10

	// admissionRecordsMax bounds in how many records of TLS that may come. Byte by byte,
	// with a KeyUpdate before each, it would cost as much as 300 handshakes.
	admissionRecordsMax = 64

	// JudgeTimeout bounds the user's filter.
	JudgeTimeout = 2 * time.Second

	// lingerTimeout is how long a refusing end waits for the peer to read the REJECT
	// before it closes: an early reset would destroy it on the way.
	lingerTimeout = 500 * time.Millisecond
)

// RefusedError reports that one end did not want the link.
type RefusedError struct {
	Refusal admission.Refuse
	Hello   frame.Hello // the peer's; zero if it did not come
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("link: refused by %s: %s (%q)", e.Refusal.By, e.Refusal.Code, e.Refusal.Reason)
}

// Policy is what admission asks of the node.
type Policy struct {
	Config admission.Config

	// Judge is the filter. It runs on a goroutine of its own; a panic, or no answer
	// within [JudgeTimeout], refuses.
	Judge func(ctx context.Context, v admission.Verified, c admission.Claimed) admission.Verdict

	// Arbitrate rules whether this is to be the link of the pair. heard is when the
	// peer's HELLO was read.
	Arbitrate func(ctx context.Context, peer frame.Hello, heard time.Time) admission.Ruling

	// Refused is told of a refusal at once. Admit itself returns later: when the peer
	// had time to read the REJECT, and when a filter that was too late has ended. May
	// be nil.
	Refused func(*RefusedError)
}

// Admit runs admission. Unless it returns an error, both ends said ACCEPT, and Run is
// next. A [RefusedError] tells who refused; every other error is a breach of the
// protocol or a broken connection. After an error the connection is closed.
func (c *Conn) Admit(ctx context.Context, p Policy) (admission.Up, error) {
	stop := context.AfterFunc(ctx, func() {
		_ = c.raw.Close() // wakes the read below
	})
	defer stop()
	a := admit{c: c, p: p, first: c.raw.taken, m: admission.New(p.Config, admission.Facts{
		Verified: admission.Verified{ID: c.peer, Remote: c.Remote(), Cipher: c.Cipher()},
		Dialed:   c.Dialed(), AES: c.AES(),
	})}
	defer a.wait(ctx)
	up, err := a.run(ctx)
	if err == nil {
		err = c.broken(nil) // closed at this moment
	}
	if err == nil {
		c.mu.Lock()
		c.stage = admitted
		c.mu.Unlock()
		return up, nil
	}
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		if p.Refused != nil {
			p.Refused(refused)
		}
		if refused.Refusal.By == admission.Self {
			c.linger()
		}
	}
	return up, errors.Join(err, ignoreClosed(c.raw.Close()))
}

// linger lets the peer read the REJECT.
func (c *Conn) linger() {
	cw, ok := c.raw.Conn.(interface{ CloseWrite() error })
	if !ok || cw.CloseWrite() != nil || c.raw.SetReadDeadline(time.Now().Add(lingerTimeout)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c.raw, admissionBytesMax) // until the peer closes
}

// admit is admission under way.
type admit struct {
	c     *Conn
	p     Policy
	m     *admission.Machine
	hello frame.Hello
	heard time.Time // when hello was read
	read  int       // bytes
	first uint64    // records that came before
	up    *admission.Up
	late  <-chan admission.Verdict // of a filter that did not answer in time
}

// run carries out what the machine says and feeds it what arrives, until the end.
func (a *admit) run(ctx context.Context) (admission.Up, error) {
	err := a.carry(ctx, a.m.Start())
	for err == nil && a.up == nil {
		var f frame.Frame
		var bad error
		if f, bad, err = a.next(); err != nil {
			break
		}
		if bad != nil {
			err = a.carry(ctx, a.m.Undecodable(bad))
			continue
		}
		if h, ok := f.(frame.Hello); ok {
			a.hello, a.heard = h, time.Now()
			a.c.helloAt = a.heard
		}
		err = a.carry(ctx, a.m.Receive(f))
	}
	if err != nil {
		return admission.Up{}, err
	}
	return *a.up, nil
}

// next reads one frame. bad says that it does not decode; err that nothing more comes.
func (a *admit) next() (f frame.Frame, bad, err error) {
	for {
		raw, n, err := frame.Next(a.c.in)
		switch {
		case err == nil:
			f, bad = frame.Decode(raw)
			a.c.in = a.c.in[n:]
			return f, bad, nil
		case !errors.Is(err, frame.ErrShort):
			return nil, err, nil
		case a.read >= admissionBytesMax:
			return nil, nil, fmt.Errorf("%w: more than %d bytes", admission.ErrBreach, admissionBytesMax)
		case a.c.raw.taken-a.first >= admissionRecordsMax:
			return nil, nil, fmt.Errorf("%w: more than %d records", admission.ErrBreach, admissionRecordsMax)
		}
		a.c.in = slices.Grow(a.c.in, 1<<10)
		n, err = a.c.read(a.c.in[len(a.c.in):cap(a.c.in)])
		a.c.in = a.c.in[:len(a.c.in)+n]
		a.read += n
		if err != nil && n == 0 {
			return nil, nil, fmt.Errorf("link: admission: %w", err)
		}
	}
}

// carry carries out actions.
func (a *admit) carry(ctx context.Context, acts []admission.Action) error {
	for len(acts) > 0 {
		act := acts[0]
		acts = acts[1:]
		switch act := act.(type) {
		case admission.Send:
			if _, err := a.c.tls.Write(act.Frame.Append(nil)); err != nil {
				return fmt.Errorf("link: admission: %w", err)
			}
		case admission.Ask:
			acts = append(acts, a.m.Judged(a.judge(ctx, act))...)
		case admission.Arbitrate:
			acts = append(acts, a.m.Arbitrated(a.p.Arbitrate(ctx, act.Hello, a.heard))...)
		case admission.Up:
			a.up = &act
		case admission.Refuse:
			return &RefusedError{Refusal: act, Hello: a.hello}
		case admission.Breach:
			return act.Err
		}
	}
	return nil
}

// judge runs the filter, which is the user's code: it may hang or panic.
func (a *admit) judge(ctx context.Context, ask admission.Ask) admission.Verdict {
	if a.p.Judge == nil {
		return admission.Verdict{Admit: true}
	}
	ctx, cancel := context.WithTimeout(ctx, JudgeTimeout)
	defer cancel()
	answer := make(chan admission.Verdict, 1)
	var filter sync.WaitGroup // wait waits for its end by the channel, and not for ever
	filter.Go(func() {
		defer close(answer)
		defer func() {
			if recover() != nil {
				answer <- admission.Verdict{Reason: "the filter panicked"}
			}
		}()
		answer <- a.p.Judge(ctx, ask.Verified, ask.Claimed)
	})
	select {
	case v := <-answer:
		return v
	case <-ctx.Done():
		a.late = answer
		return admission.Verdict{Reason: "the filter did not answer in time"}
	}
}

// wait waits for a filter that was too late, until the node ends. The connection is
// closed by then, but its place among those under way is not free: so a filter that
// hangs cannot pile up goroutines.
func (a *admit) wait(ctx context.Context) {
	if a.late == nil {
		return
	}
	select {
	case <-a.late:
	case <-ctx.Done():
	}
}
