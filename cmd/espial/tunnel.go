package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/control"
	"github.com/espial-go/espial/internal/term"
	"github.com/espial-go/espial/internal/tunnel"
)

const (
	tunnelsMax  = 1024             // connections of one espial forward or expose
	serviceWait = 10 * time.Second // of espial forward for a service that cannot be reached now
	programWait = time.Second      // of espial expose for a program that cannot be reached now
)

// porter carries the connections of espial forward and espial expose.
type porter struct {
	gate    *gate
	service string // as it was given: SERVICE, or SERVICE.PEER
	place   string // where the local program is, or connects to
	max     int
	wait    time.Duration
	json    bool
	w       io.Writer
	fail    context.CancelCauseFunc // ends the command

	busy errgroup.Group // connections under way

	mu   sync.Mutex // guards what follows, and the lines of w
	last int
}

// flags adds the flags of a porter.
func (p *porter) flags(fs *pflag.FlagSet, wait time.Duration, what string) {
	fs.IntVar(&p.max, "max", tunnelsMax, "carry `N` connections at a time; further ones wait")
	fs.DurationVar(&p.wait, "wait", wait, "`TIME` to wait for "+what+", before a\nconnection is given up")
}

// check says what is wrong with the flags.
func (p *porter) check() error {
	switch {
	case p.max < 1 || p.max > tunnelsMax:
		return usagef("--max: is %d, must be between 1 and %d", p.max, tunnelsMax)
	case p.wait <= 0:
		return usagef("--wait: must be above zero")
	}
	return nil
}

// run runs a command until it fails, or ctx ends, which is how it is meant to end; then every
// connection is broken off.
func (p *porter) run(ctx context.Context, q *question, n *control.Node, command attempt) error {
	work, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	g, err := newGate(work, q, n)
	if err != nil {
		return unlessInterrupted(ctx, err)
	}
	defer g.close()
	p.gate, p.fail = g, fail
	p.busy.SetLimit(p.max)
	var joining sync.WaitGroup
	if g.own != nil {
		joining.Go(func() {
			if err := founded(work, g.own); err != nil {
				fail(err)
			}
		})
	}
	fail(command(work))
	_ = p.busy.Wait() // none returns an error
	joining.Wait()
	return unlessInterrupted(ctx, context.Cause(work))
}

// patiently tries to make the other half of a connection, and says how that goes.
func (p *porter) patiently(ctx context.Context, line tunnelLine, whose string, try attempt) error {
	say := func(change string, err error) string {
		line.Change, line.Reason = change, words(err)
		return whose + ": " + line.Reason
	}
	err := patiently(ctx, p.wait, try, func(err error) {
		text := say("waiting", err)
		p.print(line, text)
	})
	if err != nil && ctx.Err() == nil {
		text := say("failed", err)
		p.print(line, fmt.Sprintf("%s (--wait %v)", text, p.wait))
	}
	return err
}

// carry joins a local connection with a stream, and says so.
func (p *porter) carry(ctx context.Context, number int, local io.ReadWriteCloser, f *far, client string) {
	with := &f.member
	text := nameOf(with.Name)
	if client != "" {
		text = client + " to " + text
	}
	p.print(tunnelLine{Change: "opened", Stream: number, Member: with, Client: client}, text)
	began := time.Now()
	sent, received, err := tunnel.Join(ctx, local, f.ReadWriteCloser)
	if ctx.Err() != nil {
		return // everything ends, which needs no words
	}
	took := time.Since(began).Round(time.Millisecond)
	line := tunnelLine{
		Change: "closed", Stream: number, Member: with, Client: client,
		Sent: sent, Received: received, Took: float64(took.Milliseconds()),
	}
	text += fmt.Sprintf(", %d bytes sent, %d received in %v", sent, received, took)
	if err != nil {
		line.Reason = words(err)
		text += ": " + line.Reason
	}
	p.print(line, text)
}

// next returns the number of the next connection.
func (p *porter) next() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	return p.last
}

// tunnelLine is one line of espial forward --json and espial expose --json.
type tunnelLine struct {
	Time     time.Time      `json:"time"`
	Change   string         `json:"change"` // listening, opened, closed, failed, waiting
	Service  string         `json:"service"`
	Addrs    []string       `json:"addrs,omitempty"`  // listening: of the local program, or for it
	Stream   int            `json:"stream,omitempty"` // the number of the connection
	Member   *espial.Sender `json:"member,omitempty"` // at the other end
	Client   string         `json:"client,omitempty"` // of espial forward
	Sent     int64          `json:"sent_bytes,omitempty"`
	Received int64          `json:"received_bytes,omitempty"`
	Took     float64        `json:"took_ms,omitempty"` // milliseconds
	Reason   string         `json:"reason,omitempty"`
}

// print prints a line. What cannot be printed ends the command.
func (p *porter) print(line tunnelLine, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line.Time, line.Service = time.Now(), p.service
	number := ""
	if line.Stream > 0 {
		number = fmt.Sprintf("#%d  ", line.Stream)
	}
	text = fmt.Sprintf("%s  %-9s  %s%s", clock(line.Time), line.Change, number, term.Text(text))
	if err := (printer{p.w, p.json}).print(line, text); err != nil {
		p.fail(err)
	}
}
