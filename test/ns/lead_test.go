//go:build linux

package ns_test

import (
	"context"
	"strconv"
	"time"

	"github.com/espial-go/espial"
)

// led is a line of a program in the role of lead: it asked again and again from Time until Until,
// and the answer was always that it leads.
type led struct {
	Time   time.Time `json:"time"`
	Change string    `json:"change"`
	Until  time.Time `json:"until"`
}

const ledChange = "led"

// lead runs a node of an election with a majority of the given number and asks it every
// millisecond whether it leads. Besides its changes it prints when it did.
func lead(ctx context.Context, quorum string) error {
	const (
		interval = time.Millisecond
		lineMax  = 100 * time.Millisecond // the time that one line tells of
	)
	n, err := strconv.Atoi(quorum)
	if err != nil {
		return err
	}
	node, err := espial.Start(ctx, espial.Config{Cluster: "c", Control: true, Election: espial.Quorum(n)})
	if err != nil {
		return err
	}
	defer node.Close()
	var p printer
	go p.changes(ctx, node)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	line := led{Change: ledChange}
	for before := false; ; <-tick.C {
		asked := time.Now()
		leading := node.Leading()
		if !line.Time.IsZero() && (!leading || asked.Sub(line.Time) > lineMax) {
			p.print(line)
			line.Time = time.Time{}
		}
		// Between two answers that it leads there is no doubt. The first one may have come long
		// after it was true, if the process stood still in between.
		if before && leading {
			if line.Time.IsZero() {
				line.Time = asked
			}
			line.Until = asked
		}
		before = leading
	}
}
