package gossip

import "time"

// bucket is a budget that fills up with time and may be overdrawn by one use.
type bucket struct {
	left   int
	filled time.Time // when left was right
}

// afford fills the bucket up, with so much a second to so much at most, and reports whether
// anything is left.
func (b *bucket) afford(now time.Time, rate, most int) bool {
	more := min(now.Sub(b.filled), time.Minute).Seconds() * float64(rate)
	if more >= 1 {
		b.left = min(b.left+int(more), most)
		b.filled = now
	}
	return b.left > 0
}
