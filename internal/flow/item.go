package flow

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Kind says what an [Item] is.
type Kind uint8

// The kinds. All but Value are the last item of a flow; one that a reader does not know is so, too.
const (
	Value    Kind = iota + 1 // one more value
	End                      // there are no more
	Failed                   // the flow ends with an error: its text
	Panicked                 // what makes the values panicked
	Unknown                  // there is no flow with this number for this reader
)

// Item is what a flow consists of: a kind, the length of what follows as a uvarint, and bytes.
type Item struct {
	Kind Kind
	Data []byte
}

// textMax bounds the text of an error, in bytes; what is longer is cut.
const textMax = 512

// readAhead is how much a reader takes from the stream at a time, in bytes.
const readAhead = 16 << 10

// batchMax bounds the items that wait while others are written to the stream, in bytes; one that is
// larger waits alone.
const batchMax = 64 << 10

// ErrTooLarge reports a value above the limit of its reader.
var ErrTooLarge = errors.New("flow: value too large")

// Reader reads the items of a flow.
type Reader struct {
	r    *bufio.Reader
	max  int
	data bytes.Buffer
}

// NewReader returns a reader from a stream for values up to that size, in bytes.
func NewReader(r io.Reader, valueMax int) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, readAhead), max: valueMax}
}

// Next returns the next item, whose bytes are good until the next call. It returns
// [ErrTooLarge], [io.ErrUnexpectedEOF] where the stream ends before the flow, or what reading the
// stream failed with. Memory follows the bytes that arrive.
func (r *Reader) Next() (Item, error) {
	k, err := r.r.ReadByte()
	if err != nil {
		return Item{}, cut(err)
	}
	size, err := binary.ReadUvarint(r.r)
	switch {
	case err != nil:
		return Item{}, cut(err)
	case Kind(k) != Value && size > textMax:
		return Item{}, fmt.Errorf("%w: a last item of %d bytes", ErrTooLarge, size)
	case size > uint64(r.max) && size > textMax:
		return Item{}, fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, size, r.max)
	}
	r.data.Reset()
	if _, err := io.CopyN(&r.data, r.r, int64(size)); err != nil {
		return Item{}, cut(err)
	}
	return Item{Kind: Kind(k), Data: r.data.Bytes()}, nil
}

// cut returns the error of a stream that ends in a flow.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
