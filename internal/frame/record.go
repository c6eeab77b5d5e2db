package frame

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/espial-go/espial/internal/ident"
)

// Limits of a member record.
const (
	// RecordMax is the length of a record, in bytes: metadata of [MetaMax] bytes,
	// [AddrsMax] addresses, and room for the fields of later versions.
	RecordMax = 20 << 10

	// AddrsMax is the number of addresses of a node.
	AddrsMax = 16

	// SchemeMax and AddrMax are the lengths of the two parts of an address, in bytes.
	SchemeMax = 16
	AddrMax   = 128

	// SignatureMax is the length of a signature, in bytes. Today's keys need
	// [ident.SignatureMax].
	SignatureMax = 128
)

const (
	// recordVersion is the first byte of a record.
	recordVersion = 1

	// recordLabel begins what is signed, so that a signature made for a record serves
	// nowhere else.
	recordLabel = "espial record v1\x00"

	// ineligible is the bit of the flags that stands for [Record.Ineligible].
	ineligible = 1

	// tagLinks is the field of [Record.Links]. A node that does not know it takes the
	// sender for one without a limit, and is told `full` where there is no room.
	tagLinks = 2
)

// ErrUnsigned reports a [Record] that was neither signed nor decoded.
var ErrUnsigned = errors.New("frame: record without a signature")

// State is what a member says about its own stay.
type State uint8

// The states.
const (
	Alive State = 0
	Left  State = 1 // for good: this incarnation does not come back
)

// Record is what a member says about itself, signed with its key. A higher Version
// replaces a lower one of the same incarnation.
//
// The limits are checked, the grammars are not: whoever uses Name, Host, Addrs or Meta
// of another node checks them first.
type Record struct {
	// Public is the subject's public key, as [ident.Key.Public] returns it, and ID
	// follows from it.
	Public []byte
	ID     ident.NodeID

	// Incarnation is the start that the record speaks for.
	Incarnation ident.Incarnation

	// Version grows by one with each change or refutation. The highest number is
	// refused, so that there is always a next one.
	Version uint64

	// State tells a member that is here from one that left.
	State State

	// Name and Host are at most [NameMax] and [HostMax] bytes.
	Name, Host string

	// Addrs are the addresses to reach the node at, at most [AddrsMax].
	Addrs []Addr

	// Join is the node's join number; 0 while it has none.
	Join uint64

	// Rings is the number of hash rings that the node keeps neighbours on.
	Rings uint8

	// Links is how many links the node takes at most; 0 for no limit of its own.
	Links uint16

	// Ineligible keeps the node from being elected.
	Ineligible bool

	// Meta is the node's metadata within [MetaMax] and [MetaPairsMax]; nil for none.
	Meta map[string]string

	// Raw is the signed encoding, which is forwarded unchanged. Changing a field
	// above does not change it: Sign does.
	Raw []byte
}

// Sign sets r.ID and r.Raw from the other fields; sign is [ident.Key.Sign] of the key
// whose public half is r.Public. It fails if sign does, or with an error that wraps
// [ErrTooLarge] or [ErrMalformed] if peers would refuse the record.
func (r *Record) Sign(sign func(msg []byte) ([]byte, error)) error {
	msg := r.appendBody([]byte(recordLabel))
	sig, err := sign(msg)
	if err != nil {
		return fmt.Errorf("frame: sign record: %w", err)
	}
	signed, err := DecodeRecord(appendStr(msg[len(recordLabel):], sig))
	if err != nil {
		return err
	}
	r.ID, r.Raw = signed.ID, signed.Raw
	return nil
}

// Verify checks the signature in r.Raw. It costs 40 µs or more, so it belongs off the
// owner goroutine. It returns nil or an error that wraps [ErrUnsigned],
// [ident.ErrKeyType] or [ident.ErrSignature].
func (r Record) Verify() error {
	if len(r.Raw) == 0 {
		return ErrUnsigned
	}
	rd := reader{b: r.Raw}
	raw, sig := decodeRecord(&rd)
	if err := rd.close("record"); err != nil {
		return err
	}
	body := r.Raw[:len(r.Raw)-uvarintLen(uint64(len(sig)))-len(sig)]
	msg := append([]byte(recordLabel), body...)
	if err := ident.Verify(raw.Public, msg, sig); err != nil {
		return fmt.Errorf("frame: record of %s: %w", r.ID.Short(), err)
	}
	return nil
}

// DecodeRecord decodes one record and does not verify it. It keeps a copy of raw and
// nothing else of it. Errors wrap [ErrUnknown], [ErrMalformed], [ErrTooLarge] or
// [ErrCritical].
func DecodeRecord(raw []byte) (Record, error) {
	if len(raw) > RecordMax {
		return Record{}, fmt.Errorf("%w: record of %d bytes, limit %d", ErrTooLarge, len(raw), RecordMax)
	}
	raw = bytes.Clone(raw)
	rd := reader{b: raw}
	r, _ := decodeRecord(&rd)
	if err := rd.close("record"); err != nil {
		return Record{}, err
	}
	r.ID, r.Raw = ident.IDOf(r.Public), raw
	return r, nil
}

// appendBody appends everything before the signature.
func (r *Record) appendBody(dst []byte) []byte {
	dst = append(dst, recordVersion)
	dst = appendStr(dst, r.Public)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Incarnation))
	dst = binary.BigEndian.AppendUint64(dst, r.Version)
	dst = append(dst, byte(r.State))
	dst = appendStr(dst, r.Name)
	dst = appendStr(dst, r.Host)
	dst = binary.AppendUvarint(dst, uint64(len(r.Addrs)))
	for _, a := range r.Addrs {
		dst = appendStr(dst, a.Scheme)
		dst = appendStr(dst, a.Addr)
	}
	dst = binary.BigEndian.AppendUint64(dst, r.Join)
	dst = append(dst, r.Rings)
	dst = appendFlag(dst, r.Ineligible) // bit 0 of the flags
	dst = appendMeta(dst, r.Meta)
	var fields []byte
	if r.Links > 0 {
		fields = AppendField(nil, tagLinks, binary.BigEndian.AppendUint16(nil, r.Links))
	}
	return appendStr(dst, fields)
}

// decodeRecord reads a record and its signature. Public and the signature alias the
// input; ID and Raw are not set.
func decodeRecord(r *reader) (rec Record, sig []byte) {
	if v := r.u8(); v != recordVersion {
		r.fail(ErrUnknown, "version %d", v)
	}
	rec.Public = r.bytes("public key", ident.PublicMax)
	rec.Incarnation = r.incarnation()
	if rec.Version = r.u64(); rec.Version == math.MaxUint64 {
		r.fail(ErrMalformed, "version %016x leaves no next one", rec.Version)
	}
	if rec.State = State(r.u8()); rec.State > Left {
		r.fail(ErrMalformed, "state is %d", rec.State)
	}
	rec.Name = r.str("name", NameMax)
	rec.Host = r.str("host", HostMax)
	rec.Addrs = r.addrs()
	rec.Join = r.u64()
	rec.Rings = r.u8()
	rec.Ineligible = r.u8()&ineligible != 0 // other bits are for later protocols
	rec.Meta = r.meta()
	fields := reader{b: r.bytes("fields", RecordMax)}
	if rec.Links = fields.links(); fields.err != nil {
		r.fail(fields.err, "%s", fields.why)
	}
	return rec, r.bytes("signature", SignatureMax)
}

// links reads the fields of a record for how many links its node takes; 0 if none says so.
func (r *reader) links() (n uint16) {
	for len(r.b) > 0 {
		tag, value := r.field()
		switch {
		case tag != tagLinks:
			r.unknown(tag)
		case len(value) != 2 || value[0]|value[1] == 0:
			r.fail(ErrMalformed, "a limit of links of %x", value)
		default:
			n = binary.BigEndian.Uint16(value)
		}
	}
	return n
}

// addrs reads the addresses of a record; none are nil.
func (r *reader) addrs() []Addr {
	n := r.uvarint()
	if n > AddrsMax {
		r.fail(ErrTooLarge, "%d addresses, limit %d", n, AddrsMax)
	}
	var addrs []Addr
	for i := uint64(0); i < n && r.err == nil; i++ {
		addrs = append(addrs, Addr{Scheme: r.str("scheme", SchemeMax), Addr: r.str("address", AddrMax)})
	}
	return addrs
}
