package frame_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/espial-go/espial/internal/frame"
)

func TestDecodeGossipRefuses(t *testing.T) {
	const zeros = "0000000000000000"
	const target = "0100000000000000000000000000000000000000000000000000000000000002"
	mark := func(first, last, message uint64) string {
		return target + fmt.Sprintf("%016x%016x%016x%016x", 1, first, last, message)
	}
	proof := func(first, last, message, whole uint64, flags byte) string {
		return target + fmt.Sprintf("%016x%016x%016x%016x%016x%02x%064x", 1, first, last, message, whole, flags, 0)
	}
	refuses(t, []refusal{
		{"no mark", frame.TypeMarks, "00 00", frame.ErrMalformed},
		{"1,001 marks", frame.TypeMarks, "00 e907", frame.ErrTooLarge},
		{"more marks than bytes", frame.TypeMarks, "00 e807" + mark(1, 0, 1), frame.ErrMalformed},
		{"a greeting of 2", frame.TypeMarks, "02 01" + mark(1, 0, 1), frame.ErrMalformed},
		{"a mark from 0 on", frame.TypeMarks, "00 01" + mark(0, 1, 1), frame.ErrMalformed},
		{"a mark that ends before it begins", frame.TypeMarks, "00 01" + mark(3, 1, 1), frame.ErrMalformed},
		{"a mark without a next number", frame.TypeMarks, "00 01" + mark(3, math.MaxUint64, 1), frame.ErrMalformed},
		{"a mark with message 0 next", frame.TypeMarks, "00 01" + mark(3, 4, 0), frame.ErrMalformed},
		{"a mark with more messages than numbers", frame.TypeMarks, "00 01" + mark(3, 4, 6), frame.ErrMalformed},
		{"a critical field behind marks", frame.TypeMarks, "00 01" + mark(3, 4, 5) + "01 00", frame.ErrCritical},
		{"a pull from 0 on", frame.TypePull, target + "0000000000000001" + zeros + zeros, frame.ErrMalformed},
		{
			"a pull that ends before it begins", frame.TypePull,
			target + "0000000000000001 0000000000000002 0000000000000001", frame.ErrMalformed,
		},
		{"a proof from 0 on", frame.TypeProof, proof(0, 1, 1, 1, 0), frame.ErrMalformed},
		{"a proof that ends before it begins", frame.TypeProof, proof(3, 2, 1, 1, 0), frame.ErrMalformed},
		{"a proof without a next number", frame.TypeProof, proof(3, math.MaxUint64, 1, 1, 0), frame.ErrMalformed},
		{"a proof that begins with message 0", frame.TypeProof, proof(3, 4, 0, 1, 0), frame.ErrMalformed},
		{"a proof with more messages than numbers before it", frame.TypeProof, proof(3, 4, 4, 4, 0), frame.ErrMalformed},
		{"a proof that loses messages", frame.TypeProof, proof(3, 4, 3, 1, 0), frame.ErrMalformed},
		{"a proof with more messages than numbers", frame.TypeProof, proof(3, 4, 3, 5, 0), frame.ErrMalformed},
		{"a proof with an unknown flag", frame.TypeProof, proof(3, 4, 3, 4, 4), frame.ErrMalformed},
		{"a proof with a signature of 129 bytes", frame.TypeProof, proof(3, 4, 3, 4, 0) + "8101", frame.ErrTooLarge},
		{"a critical field behind an age", frame.TypeGreet, "00000001 01 00", frame.ErrCritical},
		{"a batch of nobody", frame.TypeRelay, strings.Repeat(zeros, 4), frame.ErrMalformed},
		{
			"a batch with an unknown flag", frame.TypeRelay,
			target + strings.Repeat("0000000000000001", 4) + "02" + "00 00", frame.ErrMalformed,
		},
		{
			"a batch with a signature of 129 bytes", frame.TypeRelay,
			target + strings.Repeat("0000000000000001", 4) + "00" + "8101", frame.ErrTooLarge,
		},
		{
			"a batch with a critical field", frame.TypeRelay,
			target + strings.Repeat("0000000000000001", 4) + "00 00" + "02 0100", frame.ErrCritical,
		},
	})
}
