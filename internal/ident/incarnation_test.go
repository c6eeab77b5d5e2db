package ident_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/espial-go/espial/internal/ident"
)

func TestIncarnationText(t *testing.T) {
	const inc, text = ident.Incarnation(0x00c0ffee_12345678), "00c0ffee12345678"
	if got := inc.String(); got != text {
		t.Errorf("String of %#x = %q, want %q", uint64(inc), got, text)
	}
}

func TestNewIncarnation(t *testing.T) {
	tests := []struct {
		name string
		rand []byte
		want ident.Incarnation
		ok   bool
	}{
		{name: "eight bytes make one", rand: []byte{0, 1, 2, 3, 4, 5, 6, 7}, want: 0x0001020304050607, ok: true},
		{name: "a source that ends is an error", rand: []byte{1, 2, 3}},
		{name: "a source of zeros is an error", rand: make([]byte, 64)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ident.NewIncarnation(bytes.NewReader(tt.rand))
			if got != tt.want || (err == nil) != tt.ok {
				t.Errorf("NewIncarnation(%x) = %v, %v; want %v, ok %v", tt.rand, got, err, tt.want, tt.ok)
			}
		})
	}
	if _, err := ident.NewIncarnation(bytes.NewReader(nil)); !errors.Is(err, io.EOF) {
		t.Errorf("NewIncarnation of an empty source error = %v, want io.EOF inside", err)
	}
}
