package mailbox

import (
	"bytes"
	"testing"
)

// TestDepotKeepsALittle: what is given back is used again up to the limit, and what the
// depot did not make is left alone.
func TestDepotKeepsALittle(t *testing.T) {
	var d depot
	var bufs [][]byte
	for _, size := range []int{0, 1, 64, 65, 16_000, 65_536, 65_537} {
		b := bytes.Repeat([]byte{7}, size)
		c := d.clone(b)
		if !bytes.Equal(c, b) || size > 0 && &c[0] == &b[0] {
			t.Errorf("clone of %d bytes has %d, or is the same", size, len(c))
		}
	}
	for range 2 * depotBytes >> 14 {
		bufs = append(bufs, d.clone(make([]byte, 1<<14)))
	}
	for _, b := range bufs {
		d.put(b)
	}
	if d.bytes != depotBytes || len(d.free[14]) != depotBytes>>14 {
		t.Errorf("depot keeps %d bytes in %d buffers, want %d", d.bytes, len(d.free[14]), depotBytes)
	}
	before := d.bytes
	d.put(nil)
	d.put(make([]byte, 100))
	d.put(make([]byte, 1<<17))
	d.put(d.clone(make([]byte, 1<<14))[1:]) // a run whose first messages were dropped
	if d.bytes != before-1<<14 {
		t.Errorf("depot keeps %d bytes, want %d: foreign buffers do not count", d.bytes, before-1<<14)
	}
}
