//go:build linux

package ns_test

import (
	"context"
	"os"
	"os/signal"
	"strconv"
	"syscall"
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

// hurried is the change of the line by which such a program answers to SIGUSR1: from now on it
// asks without a break until it leads no more. Then a pause most likely begins between two
// questions, and the second one is the first that the program does when the pause is over.
const hurried = "hurried"

// lead runs a node of an election with a majority of the given number and asks it every
// millisecond whether it leads. Besides its changes it prints when it did.
func lead(ctx context.Context, quorum string) error {
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
	w := witness{printer: &p, node: node}
	hurry := make(chan os.Signal, 1)
	signal.Notify(hurry, syscall.SIGUSR1)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-hurry:
			p.print(report{Change: hurried})
			for w.ask() {
			}
		case <-tick.C:
			w.ask()
		}
	}
}

// witness writes down when a node says that it leads.
type witness struct {
	*printer
	node   *espial.Node
	before bool // the last answer
	led    led  // what is not printed yet
}

// ask asks the node once and returns its answer.
func (w *witness) ask() bool {
	const lineMax = 100 * time.Millisecond // the time that one line tells of
	asked := time.Now()
	leading := w.node.Leading()
	if !w.led.Time.IsZero() && (!leading || asked.Sub(w.led.Time) > lineMax) {
		w.print(w.led)
		w.led = led{}
	}
	// Between two answers that it leads there is no doubt. The first one may have come long
	// after it was true, if the process stood still in between.
	if w.before && leading {
		if w.led.Time.IsZero() {
			w.led = led{Time: asked, Change: ledChange}
		}
		w.led.Until = asked
	}
	w.before = leading
	return leading
}
