package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial/internal/gauge"
)

// latencySize is the size of the messages beside streams, in bytes.
const latencySize = 128

// conduit brings streams from one process to another one. What it starts ends with ctx or with
// the process, and belongs to g.
type conduit interface {
	// accept starts what counts the bytes of streams, and of messages beside them if the conduit
	// has any, and says what who opens them needs to find it.
	accept(ctx context.Context, g *errgroup.Group, t *gauge.Tally) (string, error)

	// open returns what opens streams, and what sends messages beside them, or nil.
	open(ctx context.Context, g *errgroup.Group, addr string) (gauge.Opener, gauge.Sender, error)
}

// conduits returns the contenders of scenario D, the limit first.
func conduits() []contender[conduit] {
	return []contender[conduit]{
		{bareName, bare{}},
		{linkName, espialCarrier{}},
		{grpcName, grpcCarrier{}},
		{yamuxName, yamuxCarrier{}},
		{"quic-go", quicCarrier{}},
	}
}

// measureStreams measures scenario D: all contenders in turn, part by part.
func measureStreams(ctx context.Context, o options) (rows []gauge.StreamRow, err error) {
	crews, err := openAll(conduits(), o.only, func(c contender[conduit]) (crew, error) {
		w, err := openCrew(ctx, c, post{}, roleDrain, roleSource)
		_, w.talks = c.what.(carrier)
		return w, err
	})
	defer func() { err = errors.Join(err, endAll(crews)) }()
	if err != nil {
		return nil, err
	}
	runs := make([][]gauge.StreamRun, len(crews))
	for range o.runs {
		for i := range crews {
			runs[i] = append(runs[i], gauge.StreamRun{})
		}
		for _, part := range []func(crew, time.Duration, *gauge.StreamRun) error{one, many, opens, waits} {
			for i, w := range crews {
				if err := part(w, o.duration, &runs[i][len(runs[i])-1]); err != nil {
					return nil, fmt.Errorf("%s: %w", w.name, err)
				}
			}
		}
	}
	var bare []gauge.StreamRun
	for i, w := range crews {
		if w.name == bareName {
			bare = runs[i]
		}
		r := gauge.StreamRow{Carrier: w.name}
		r.Sum(runs[i], bare)
		rows = append(rows, r)
	}
	return rows, nil
}

// one measures what one stream carries, many what several do, and opens how quickly they are
// opened and closed.
func one(w crew, d time.Duration, r *gauge.StreamRun) (err error) {
	r.One, err = flow(w, order{Do: doFlow, Streams: 1, Load: gauge.Load{For: d}})
	return err
}

func many(w crew, d time.Duration, r *gauge.StreamRun) (err error) {
	r.Many, err = flow(w, order{Do: doFlow, Streams: gauge.StreamsMany, Load: gauge.Load{For: d}})
	return err
}

func opens(w crew, d time.Duration, r *gauge.StreamRun) (err error) {
	r.Opens, err = flow(w, order{Do: doOpen, Streams: gauge.OpensAtOnce, Load: gauge.Load{For: d}})
	return err
}

// flow measures one part, of which no stream is left behind.
func flow(w crew, o order) (gauge.Sample, error) {
	r, err := w.carry(o, 1)
	if err != nil {
		return gauge.Sample{}, err
	}
	return r.Sample(r.Count), settle(w)
}

// waits measures how long messages take, alone and beside a stream that takes what it can, where
// there are messages.
func waits(w crew, d time.Duration, r *gauge.StreamRun) error {
	if !w.talks {
		return nil
	}
	send := order{Do: doSend, Load: gauge.Load{Size: latencySize, For: d, Every: pace}}
	idle, err := w.carry(send, 1)
	if err != nil {
		return err
	}
	if err := w.near().Ask(order{Do: doKeep}, &report{}); err != nil {
		return err
	}
	busy, err := w.carry(send, 1)
	if err != nil {
		return err
	}
	r.Idle, r.Busy = gauge.NewWait(idle.Latencies), gauge.NewWait(busy.Latencies)
	if err := w.near().Ask(order{Do: doStop}, &report{}); err != nil {
		return err
	}
	return settle(w)
}

// settle waits until the far end has seen the end of all streams: what is under way would count
// in the next part.
func settle(w crew) error {
	return w.await(func(r gauge.Report) bool { return r.Streams == 0 })
}
