package gauge_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/gauge"
)

// TestMeter counts what comes after a run began, and nothing of the one before.
func TestMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := gauge.NewMeter(2)
		payload := make([]byte, gauge.StampMin)
		m.Tallies[0].Add(payload)
		m.Tallies[0].Lose(5)
		m.Begin(true)
		for i := range 3 {
			binary.BigEndian.PutUint64(payload, uint64(time.Now().UnixNano()))
			time.Sleep(time.Duration(i+1) * time.Millisecond)
			m.Tallies[0].Add(payload)
			m.Tallies[1].Add(payload)
		}
		m.Tallies[1].Lose(1)
		r := m.Report()
		slices.Sort(r.Latencies)
		const ms = time.Millisecond
		want := []time.Duration{ms, ms, 2 * ms, 2 * ms, 3 * ms, 3 * ms}
		if r.Count != 6 || r.Lost != 1 || r.Elapsed != 5*ms || !slices.Equal(r.Latencies, want) {
			t.Errorf("two receivers of three messages reported %+v, want 6 messages, 1 lost, 5ms, %v", r, want)
		}
		m.Begin(false)
		m.Tallies[0].Add(payload)
		if r := m.Report(); r.Count != 1 || len(r.Latencies) != 0 || !r.Empty() {
			t.Errorf("one message that is not timed reported %+v, want it without a latency, as empty", r)
		}
	})
}

// TestSample takes the costs of all processes and the time of the slowest.
func TestSample(t *testing.T) {
	r := gauge.Report{Count: 150, Elapsed: time.Second, CPU: 4000, Mallocs: 100}
	r.Add(gauge.Report{Count: 50, Lost: 1, Elapsed: 2 * time.Second, CPU: 2000, Mallocs: 300})
	for name, tt := range map[string]struct {
		expected uint64
		want     gauge.Sample
	}{
		"what did not come is lost":         {210, gauge.Sample{Rate: 100, CPU: 30, Allocs: 2, Lost: 10}},
		"what came unexpected is no credit": {190, gauge.Sample{Rate: 100, CPU: 30, Allocs: 2}},
	} {
		if got := r.Sample(tt.expected); got != tt.want {
			t.Errorf("%s: %+v.Sample(%d) = %+v, want %+v", name, r, tt.expected, got, tt.want)
		}
	}
}

// TestLoad sends at a pace, or for as long as it is told, until an error.
func TestLoad(t *testing.T) {
	const ms = time.Millisecond
	for name, tt := range map[string]struct {
		load gauge.Load
		took time.Duration // by one message
		fail uint64        // the number of the message that fails, 0 for none
		want uint64
	}{
		"a message a pace":            {gauge.Load{Size: 8, For: 10 * ms, Every: 2 * ms}, 0, 0, 5},
		"as many as there is room":    {gauge.Load{For: 128 * ms}, ms, 0, 128},
		"it looks at the clock in 64": {gauge.Load{For: 130 * ms}, ms, 0, 192},
		"an error ends it":            {gauge.Load{For: time.Second}, ms, 3, 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			var seen uint64
			failed := errors.New("no room")
			sent, err := tt.load.Send(func(payload []byte) error {
				seen++
				if len(payload) != tt.load.Size {
					t.Errorf("%s: a message has %d bytes, want %d", name, len(payload), tt.load.Size)
				}
				if tt.load.Timed() && binary.BigEndian.Uint64(payload) != uint64(time.Now().UnixNano()) {
					t.Errorf("%s: a message does not begin with the time at which it is sent", name)
				}
				time.Sleep(tt.took)
				if seen == tt.fail {
					return failed
				}
				return nil
			})
			if seen != tt.want || sent != tt.want || errors.Is(err, failed) != (tt.fail > 0) {
				t.Errorf("%s: %+v sent %d, said %d and %v, want %d", name, tt.load, seen, sent, err, tt.want)
			}
		})
	}
}
