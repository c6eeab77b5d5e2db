package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial/internal/gauge"
)

// switchboard brings calls from one process to another one and their answers back. What it
// starts ends with ctx or with the process, and belongs to g.
type switchboard interface {
	// answer starts what returns the argument of each call, and says what callers need to find
	// it. addr is where the hub is, if there is one.
	answer(ctx context.Context, g *errgroup.Group, addr string) (string, error)

	// callers returns so many callers, once they can call.
	callers(ctx context.Context, addr string, count int) ([]gauge.Caller, error)
}

// switchboards returns the contenders of scenario C, the limit first.
func switchboards() []contender[switchboard] {
	return []contender[switchboard]{
		{bareName, bare{}},
		{linkName, espialCarrier{}},
		{grpcName, grpcCarrier{}},
		{yamuxName, yamuxCarrier{}},
		{natsName, natsCarrier{}},
	}
}

// measureCalls measures scenario C.
func measureCalls(ctx context.Context, o options) (rows []gauge.CallRow, err error) {
	for _, callers := range gauge.Callers() {
		for _, size := range o.sizes {
			some, err := measureCallers(ctx, o, callers, size)
			if err != nil {
				return nil, err
			}
			rows = append(rows, some...)
		}
	}
	return rows, nil
}

// measureCallers measures all contenders in turn, with so many calls at a time.
func measureCallers(ctx context.Context, o options, callers, size int) (rows []gauge.CallRow, err error) {
	crews, err := openAll(switchboards(), o.only, func(c contender[switchboard]) (crew, error) {
		return openCrew(ctx, c, post{Callers: callers}, roleCallee, roleCaller)
	})
	defer func() { err = errors.Join(err, endAll(crews)) }()
	if err != nil {
		return nil, err
	}
	runs, bare := make([][]gauge.CallRun, len(crews)), []gauge.CallRun(nil)
	for range o.runs {
		for i, w := range crews {
			r, err := w.carry(order{Do: doCall, Load: gauge.Load{Size: size, For: o.duration}}, 0)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", w.name, err)
			}
			if runs[i] = append(runs[i], r.CallRun()); w.name == bareName {
				bare = runs[i]
			}
		}
	}
	for i, w := range crews {
		r := gauge.CallRow{Carrier: w.name, Size: size, Callers: callers}
		r.Sum(runs[i], bare)
		rows = append(rows, r)
	}
	return rows, nil
}
