package frame

import (
	"encoding/binary"
	"maps"
	"slices"
)

// Limits of metadata.
const (
	// MetaMax is the size of all pairs encoded, in bytes.
	MetaMax = 16 << 10

	// MetaPairsMax is the number of pairs.
	MetaPairsMax = 256
)

// MetaSize returns what counts against [MetaMax]: the pairs, and the lengths and the count in
// front of them.
func MetaSize(meta map[string]string) int {
	size := uvarintLen(uint64(len(meta)))
	for k, v := range meta {
		size += uvarintLen(uint64(len(k))) + len(k) + uvarintLen(uint64(len(v))) + len(v)
	}
	return size
}

// appendMeta appends the number of pairs and the pairs in the order of their keys.
func appendMeta(dst []byte, meta map[string]string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(meta)))
	for _, k := range slices.Sorted(maps.Keys(meta)) {
		dst = appendStr(dst, k)
		dst = appendStr(dst, meta[k])
	}
	return dst
}

// meta reads what appendMeta wrote; no pairs are nil. Keys must ascend, so that
// metadata has one encoding and no key twice.
func (r *reader) meta() map[string]string {
	before := len(r.b)
	n := r.uvarint()
	if n > MetaPairsMax {
		r.fail(ErrTooLarge, "%d pairs of metadata, limit %d", n, MetaPairsMax)
	}
	if n == 0 || r.err != nil {
		return nil
	}
	meta := map[string]string{} // no size hint: memory follows bytes, not the count
	last := ""
	for i := range n {
		k := r.str("metadata key", MetaMax)
		v := r.str("metadata value", MetaMax)
		if i > 0 && k <= last {
			r.fail(ErrMalformed, "metadata keys do not ascend")
		}
		if r.err != nil {
			return nil
		}
		meta[k], last = v, k
	}
	if size := before - len(r.b); size > MetaMax {
		r.fail(ErrTooLarge, "%d bytes of metadata, limit %d", size, MetaMax)
	}
	return meta
}
