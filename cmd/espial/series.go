package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"

	"github.com/espial-go/espial/codec"
)

// event is one event of a series, encoded.
type event struct {
	codec codec.ID
	data  []byte
}

// series is what espial pub publishes: DATA as often as --count says, or each line of
// standard input.
type series struct {
	data  []string // the arguments after TOPIC
	array bool     // they are the elements of a JSON array
	lines bool
	count int
	codec string  // as encodePayload takes it
	rate  float64 // events a second, +Inf for no limit

	events iter.Seq2[event, error] // what to publish, or why it cannot be; see open
	sent   func(event) error       // is told of each that was published
}

// check says what is wrong with the flags.
func (s *series) check() error {
	piped := len(s.data) == 0 || len(s.data) == 1 && s.data[0] == "-"
	switch {
	case len(s.data) > 1 && !s.array:
		return usagef("pub takes one DATA, not %d; quote it, or publish an array with --args", len(s.data))
	case s.lines && (s.array || !piped):
		return usagef("--lines: takes the events from standard input, not from arguments")
	case s.lines && s.count != 1:
		return usagef("--count: is for one event, not for --lines")
	case s.count < 1:
		return usagef("--count: is %d, must be at least 1", s.count)
	case s.rate <= 0 || math.IsNaN(s.rate):
		return usagef("--rate: is %v, must be above zero; leave it out to publish without a pause", s.rate)
	}
	return nil
}

// open begins to read what is to be published. Lines are read when it is their turn; anything
// else is read and checked at once.
func (s *series) open(ctx context.Context, in io.Reader) error {
	if s.lines {
		s.events = s.scan(ctx, in)
		return nil
	}
	data, err := s.payload(ctx, in)
	if err != nil {
		return err
	}
	e, err := s.event(data)
	s.events = func(yield func(event, error) bool) {
		for i := 0; i < s.count && yield(e, nil); i++ { //nolint:revive // yield is the work
		}
	}
	return err
}

// event returns data in its codec.
func (s *series) event(data []byte) (e event, err error) {
	e.codec, e.data, err = encodePayload(s.codec, data)
	return e, err
}

// payload returns the data of the one event. While it reads standard input an interrupt ends it.
func (s *series) payload(ctx context.Context, in io.Reader) (data []byte, err error) {
	switch {
	case s.array:
		return json.Marshal(append([]string{}, s.data...))
	case len(s.data) > 0 && s.data[0] != "-":
		return []byte(s.data[0]), nil
	}
	err = orEnd(ctx, func() (err error) {
		data, err = io.ReadAll(io.LimitReader(in, stdinMax+1))
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case len(data) > stdinMax:
		return nil, usagef("standard input has more than %d bytes, the most that an event can have", stdinMax)
	}
	return data, nil
}

// scan yields an event for each line of standard input, without its end. The data is good
// until the next one.
func (s *series) scan(ctx context.Context, in io.Reader) iter.Seq2[event, error] {
	return func(yield func(event, error) bool) {
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, stdinMax)
		for {
			var more bool
			err := orEnd(ctx, func() error {
				more = lines.Scan()
				return lines.Err()
			})
			if errors.Is(err, bufio.ErrTooLong) {
				err = usagef("it has more than %d bytes, the most that an event can have", stdinMax)
			}
			var e event
			switch {
			case err == nil && !more:
				return
			case err == nil:
				e, err = s.event(lines.Bytes())
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// each publishes every event by send, no more often than --rate allows. The first error ends
// it, and tells of which event it is.
func (s *series) each(ctx context.Context, send func(event) error) error {
	p, n := pacerOf(s.rate), 0
	for e, err := range s.events {
		n++
		if err == nil {
			err = p.wait(ctx)
		}
		if err == nil {
			err = send(e)
		}
		switch {
		case err == nil:
			err = s.sent(e)
		case (s.lines || s.count > 1) && ctx.Err() == nil:
			f := asFailure(err)
			err = &failure{f.code, fmt.Sprintf("event %d: %s", n, f.text)}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
