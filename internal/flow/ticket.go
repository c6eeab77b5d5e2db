package flow

import "crypto/rand"

// NumberSize is the length of a [Number], in bytes.
const NumberSize = 16

// Number names a flow at the member that has it. Nobody can guess it, and it is good once, for the
// one member that it was made for.
type Number [NumberSize]byte

// newNumber returns a number that nobody can foresee.
func newNumber() (n Number) {
	rand.Read(n[:]) // never fails: it ends the program instead
	return n
}

// typeMax is the longest [Ticket.Type], in bytes; what is longer is cut.
const typeMax = 512

// Ticket is what a call carries in place of a flow.
type Ticket struct {
	Codec  uint8 // of the values
	Number Number
	Type   string // of the values, for people
}

// Append appends the ticket to dst: codec, number, type.
func (t Ticket) Append(dst []byte) []byte {
	dst = append(append(dst, t.Codec), t.Number[:]...)
	return append(dst, t.Type[:min(len(t.Type), typeMax)]...)
}

// DecodeTicket decodes what [Ticket.Append] appended.
func DecodeTicket(b []byte) (t Ticket, ok bool) {
	if len(b) < 1+NumberSize || len(b) > 1+NumberSize+typeMax {
		return Ticket{}, false
	}
	return Ticket{Codec: b[0], Number: Number(b[1 : 1+NumberSize]), Type: string(b[1+NumberSize:])}, true
}
