package gauge

import (
	"encoding/binary"
	"time"
)

// StampMin is the size of a message that has room for the time, in bytes.
const StampMin = 8

// Sender sends one message to all receivers. It waits while there is no room.
type Sender func(payload []byte) error

// Load is what a sender sends in one run.
type Load struct {
	Size  int           `json:"size,omitempty"` // of one message, in bytes; at least [StampMin] if timed
	For   time.Duration `json:"for,omitempty"`
	Every time.Duration `json:"every,omitempty"` // between two messages; 0: as soon as there is room
}

// Timed reports whether the messages begin with the time at which they are sent: those do that
// are not sent as quickly as there is room.
func (l Load) Timed() bool { return l.Every > 0 }

// Send sends, and returns how many messages it sent. The first error of send ends it.
func (l Load) Send(send Sender) (sent uint64, err error) {
	payload := make([]byte, l.Size)
	end := time.Now().Add(l.For)
	if !l.Timed() {
		for ; err == nil && (sent&63 != 0 || time.Now().Before(end)); sent++ {
			err = send(payload)
		}
		return sent, err
	}
	t := time.NewTicker(l.Every)
	defer t.Stop()
	for ; err == nil && time.Now().Before(end); sent++ {
		<-t.C
		binary.BigEndian.PutUint64(payload, uint64(time.Now().UnixNano()))
		err = send(payload)
	}
	return sent, err
}
