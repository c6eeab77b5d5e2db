package frame_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// signedSuspicion returns the suspicion of the vectors, signed with key 1.
func signedSuspicion(t testing.TB) (*ident.Key, frame.Suspicion) {
	t.Helper()
	key := newKey(t, 1)
	s := frame.Suspicion{
		Target: ident.NodeID{0: 1, 31: 2}, Incarnation: 9, Version: 5, Refused: true, By: key.ID(),
	}
	if err := s.Sign(key.Sign); err != nil {
		t.Fatal(err)
	}
	return key, s
}

func TestSuspicionIsSignedAsTheVectorSays(t *testing.T) {
	key, s := signedSuspicion(t)
	for _, v := range vectors {
		if v.name != "SUSPICION" {
			continue
		}
		if got, want := s.Append(nil), unhex(t, v.wire); !bytes.Equal(got, want) {
			t.Errorf("signed\n got %x\nwant %x", got, want)
		}
	}
	if err := s.Verify(key.Public()); err != nil {
		t.Errorf("Verify = %v", err)
	}
}

// No bit of a suspicion can change without the signature telling.
func TestVerifyRefusesEveryChangedBitOfASuspicion(t *testing.T) {
	key, s := signedSuspicion(t)
	payload := s.Append(nil)[frame.HeaderSize:]
	for i := range payload {
		changed := bytes.Clone(payload)
		changed[i] ^= 1 << (i % 8)
		f, err := frame.Decode(frame.Raw{Type: frame.TypeSuspicion, Payload: changed})
		if got, ok := f.(frame.Suspicion); ok && err == nil {
			err = got.Verify(key.Public())
		}
		if err == nil {
			t.Errorf("byte %d changed from %02x to %02x: accepted", i, payload[i], changed[i])
		}
	}
}

func TestVerifyASuspicionRefuses(t *testing.T) {
	key, s := signedSuspicion(t)
	other := newKey(t, 2)
	foreign, bare, strange := s, s, s
	if err := foreign.Sign(other.Sign); err != nil {
		t.Fatal(err)
	}
	if err := bare.Sign(func(msg []byte) ([]byte, error) {
		_, body, _ := bytes.Cut(msg, []byte{0}) // without the label
		return key.Sign(body)
	}); err != nil {
		t.Fatal(err)
	}
	strange.By = ident.IDOf([]byte("no key"))
	unsigned := s
	unsigned.Signature = nil
	for _, tt := range []struct {
		name   string
		s      frame.Suspicion
		public []byte
		err    error
	}{
		{"one that was never signed", unsigned, key.Public(), ident.ErrSignature},
		{"a signature of another key", foreign, key.Public(), ident.ErrSignature},
		{"a signature and the key of another node", foreign, other.Public(), ident.ErrSignature},
		{"a signature of the bare suspicion", bare, key.Public(), ident.ErrSignature},
		{"bytes that are no key", strange, []byte("no key"), ident.ErrKeyType},
	} {
		if err := tt.s.Verify(tt.public); !errors.Is(err, tt.err) {
			t.Errorf("%s: Verify = %v, want %v", tt.name, err, tt.err)
		}
	}
}

func TestSignASuspicionReportsTheSigner(t *testing.T) {
	broken := errors.New("no key today")
	for _, tt := range []struct {
		name string
		sign func([]byte) ([]byte, error)
		err  error
	}{
		{"a signer that fails", func([]byte) ([]byte, error) { return nil, broken }, broken},
		{
			"a signature of 129 bytes",
			func([]byte) ([]byte, error) { return make([]byte, frame.SignatureMax+1), nil }, frame.ErrTooLarge,
		},
	} {
		_, s := signedSuspicion(t)
		want := s
		if err := s.Sign(tt.sign); !errors.Is(err, tt.err) {
			t.Errorf("%s: Sign = %v, want %v", tt.name, err, tt.err)
		}
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("%s changed the suspicion (-want +got):\n%s", tt.name, diff)
		}
	}
}
