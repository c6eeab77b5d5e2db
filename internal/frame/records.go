package frame

// RecordsMax is the number of records in one frame.
const RecordsMax = 512

// Records carries member records, each in the form of [Record.Raw]. They are not
// decoded with the frame, because the receiver knows most of them by their bytes.
type Records struct {
	// List holds 1 to [RecordsMax] records of 1 to [RecordMax] bytes. After [Decode]
	// they alias the payload.
	List [][]byte
}

// PackRecords spreads raws over as few frames as their order allows. Each is at most
// [RecordMax] bytes long, as those that [DecodeRecord] accepted are. No records give
// no frames.
func PackRecords(raws [][]byte) []Records {
	var frames []Records
	start, size := 0, 0
	for i, raw := range raws {
		n := uvarintLen(uint64(len(raw))) + len(raw)
		if i-start == RecordsMax || size+n > PayloadMax {
			frames = append(frames, Records{List: raws[start:i:i]})
			start, size = i, 0
		}
		size += n
	}
	if start < len(raws) {
		frames = append(frames, Records{List: raws[start:]})
	}
	return frames
}

// Type returns [TypeRecords].
func (Records) Type() Type { return TypeRecords }

// Append implements [Frame].
func (s Records) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, TypeRecords)
	for _, raw := range s.List {
		dst = appendStr(dst, raw)
	}
	Seal(dst[start:])
	return dst
}

func decodeRecords(r *reader) (s Records) {
	if len(r.b) == 0 {
		r.fail(ErrMalformed, "no record")
	}
	for len(r.b) > 0 {
		if len(s.List) == RecordsMax {
			r.fail(ErrTooLarge, "more than %d records", RecordsMax)
			break
		}
		raw := r.bytes("record", RecordMax)
		if len(raw) == 0 {
			r.fail(ErrMalformed, "record of 0 bytes")
		}
		s.List = append(s.List, raw)
	}
	return s
}
