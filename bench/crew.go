package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/gauge"
)

// crew is the processes of one contender: its hub, if it has one, then two that measure.
type crew struct {
	name  string
	talks bool // it brings messages besides what else it does
	all   []*gauge.Child
}

// openCrew starts the processes in their roles, far and near, each of which is told where the
// one before is.
func openCrew[T any](ctx context.Context, c contender[T], at post, roles ...string) (crew, error) {
	w := crew{name: c.name}
	if _, ok := any(c.what).(hub); ok {
		roles = slices.Insert(roles, 0, roleHub)
	}
	for _, role := range roles {
		p, err := spawn(ctx, role, c.name, at)
		if err != nil {
			return w, err
		}
		w.all = append(w.all, p)
		if err := p.Hear(&at.Addr); err != nil {
			return w, err
		}
	}
	return w, nil
}

// end ends the processes, the last one first.
func (w crew) end() error {
	var err error
	for _, p := range slices.Backward(w.all) {
		err = errors.Join(err, p.End())
	}
	return err
}

// far and near are the ends: far counts or answers, near sends or calls.
func (w crew) far() *gauge.Child  { return w.all[len(w.all)-2] }
func (w crew) near() *gauge.Child { return w.all[len(w.all)-1] }

// carry lets the near end carry out an order, waits until what it sent has arrived at so many
// receivers, and returns what that cost all processes.
func (w crew) carry(o order, receivers int) (total report, err error) {
	for _, p := range w.all {
		if err := p.Ask(order{Do: doBegin, Load: o.Load}, &report{}); err != nil {
			return total, err
		}
	}
	if err := w.near().Ask(o, &total); err != nil {
		return total, err
	}
	want := total.Sent * uint64(receivers)
	if err := w.await(func(r gauge.Report) bool { return r.Count >= want }); err != nil {
		return total, err
	}
	for _, p := range w.all {
		var r report
		if err := p.Ask(order{Do: doReport}, &r); err != nil {
			return total, err
		}
		total.Add(r.Report)
	}
	if total.Empty() {
		return total, errors.New("nothing arrived")
	}
	return total, nil
}

// await asks the far end what it counted until that is enough, for [arriveMax].
func (w crew) await(enough func(gauge.Report) bool) error {
	for end := time.Now().Add(arriveMax); ; time.Sleep(time.Millisecond) {
		var r report
		if err := w.far().Ask(order{Do: doCount}, &r); err != nil {
			return err
		}
		if enough(r.Report) || time.Now().After(end) {
			return nil
		}
	}
}

// openAll starts the crews of all contenders. The caller ends those that it gets, also of an
// error.
func openAll[T any](
	all []contender[T], only []string, open func(contender[T]) (crew, error),
) (crews []crew, err error) {
	for _, c := range wanted(all, only) {
		w, err := open(c)
		crews = append(crews, w)
		if err != nil {
			return crews, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return crews, nil
}

// endAll ends crews.
func endAll(crews []crew) error {
	var err error
	for _, w := range crews {
		err = errors.Join(err, w.end())
	}
	return err
}
