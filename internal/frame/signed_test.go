package frame_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// signer is [ident.Key.Sign], or what a test puts in its place.
type signer func(msg []byte) ([]byte, error)

// signed is a frame that others pass on and whose author signed it. Records are signed, too,
// and have a form of their own.
type signed interface {
	frame.Frame
	Sign(sign func(msg []byte) ([]byte, error)) error
	Verify(public []byte) error
}

// signedFrames are the frames of the vectors before they were signed, by the name there. by
// is the ID of the author.
var signedFrames = map[string]func(by ident.NodeID) signed{
	"RELAY": func(by ident.NodeID) signed {
		b := sampleBatch(by)
		return &b
	},
	"SUSPICION": func(by ident.NodeID) signed {
		return &frame.Suspicion{
			Target: ident.NodeID{0: 1, 31: 2}, Incarnation: 9, Version: 5, Refused: true, By: by,
		}
	},
}

// signAs returns the frame of a name, signed.
func signAs(t *testing.T, name string, by ident.NodeID, sign signer) signed {
	t.Helper()
	f := signedFrames[name](by)
	if err := f.Sign(sign); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFramesAreSignedAsTheVectorsSay(t *testing.T) {
	key, seen := newKey(t, 1), 0
	for _, v := range vectors {
		if signedFrames[v.name] == nil {
			continue
		}
		seen++
		f := signAs(t, v.name, key.ID(), key.Sign)
		if got, want := f.Append(nil), unhex(t, v.wire); !bytes.Equal(got, want) {
			t.Errorf("%s signed\n got %x\nwant %x", v.name, got, want)
		}
		if err := f.Verify(key.Public()); err != nil {
			t.Errorf("%s: Verify = %v", v.name, err)
		}
	}
	if seen != len(signedFrames) {
		t.Errorf("%d vectors are signed, want %d", seen, len(signedFrames))
	}
}

// No bit of a signed frame can change without the signature telling; nor of a proof, which
// is signed with its batch.
func TestVerifyRefusesEveryChangedBitOfAFrame(t *testing.T) {
	key := newKey(t, 1)
	_, b := signedBatch(t)
	frames := []frame.Frame{b.Proof()}
	for name := range signedFrames {
		frames = append(frames, signAs(t, name, key.ID(), key.Sign))
	}
	for _, f := range frames {
		payload := f.Append(nil)[frame.HeaderSize:]
		for i := range payload {
			changed := bytes.Clone(payload)
			changed[i] ^= 1 << (i % 8)
			got, err := frame.Decode(frame.Raw{Type: f.Type(), Payload: changed})
			if err == nil {
				err = verify(t, got, key.Public())
			}
			if err == nil {
				t.Errorf("%v: byte %d changed from %02x to %02x: accepted", f.Type(), i, payload[i], changed[i])
			}
		}
	}
}

// verify checks the signature of a decoded frame.
func verify(t *testing.T, f frame.Frame, public []byte) error {
	t.Helper()
	switch f := f.(type) {
	case frame.Relay:
		return f.Verify(public)
	case frame.Proof:
		return f.Verify(public)
	case frame.Suspicion:
		return f.Verify(public)
	default:
		t.Fatalf("%v is not signed", f.Type())
		return nil
	}
}

func TestVerifyOfAFrameRefuses(t *testing.T) {
	key, other := newKey(t, 1), newKey(t, 2)
	bare := func(msg []byte) ([]byte, error) {
		_, body, _ := bytes.Cut(msg, []byte{0}) // without the label
		return key.Sign(body)
	}
	for name, unsigned := range signedFrames {
		for _, tt := range []struct {
			name   string
			frame  signed
			public []byte
			err    error
		}{
			{"one that was never signed", unsigned(key.ID()), key.Public(), ident.ErrSignature},
			{"a signature of another key", signAs(t, name, key.ID(), other.Sign), key.Public(), ident.ErrSignature},
			{
				"a signature and the key of another node",
				signAs(t, name, key.ID(), other.Sign), other.Public(), ident.ErrSignature,
			},
			{"a signature without the label", signAs(t, name, key.ID(), bare), key.Public(), ident.ErrSignature},
			{"bytes that are no key", unsigned(ident.IDOf([]byte("no key"))), []byte("no key"), ident.ErrKeyType},
		} {
			if err := tt.frame.Verify(tt.public); !errors.Is(err, tt.err) {
				t.Errorf("%s: %s: Verify = %v, want %v", name, tt.name, err, tt.err)
			}
		}
	}
}

func TestSignOfAFrameReportsTheSigner(t *testing.T) {
	broken := errors.New("no key today")
	for name, unsigned := range signedFrames {
		for _, tt := range []struct {
			name string
			sign signer
			err  error
		}{
			{"a signer that fails", func([]byte) ([]byte, error) { return nil, broken }, broken},
			{"a signature of 129 bytes", long(frame.SignatureMax + 1), frame.ErrTooLarge},
			{"a signature that fills a frame", long(frame.PayloadMax), frame.ErrTooLarge},
		} {
			f := unsigned(ident.NodeID{1})
			if err := f.Sign(tt.sign); !errors.Is(err, tt.err) {
				t.Errorf("%s: %s: Sign = %v, want %v", name, tt.name, err, tt.err)
			}
			if diff := cmp.Diff(unsigned(ident.NodeID{1}), f); diff != "" {
				t.Errorf("%s: %s changed it (-want +got):\n%s", name, tt.name, diff)
			}
		}
	}
}

// long signs with so many bytes.
func long(n int) signer { return func([]byte) ([]byte, error) { return make([]byte, n), nil } }
