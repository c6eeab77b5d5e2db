package wrap_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/wrap"
)

// compressed is what both ends need.
func compressed() []wrap.Func { return []wrap.Func{wrap.Compress()} }

// A question and an answer need no more than their round trip: nothing waits for a full
// block, and what was said before makes them shorter.
func TestCompressWaitsForNothing(t *testing.T) {
	var onWire wrap.Counter
	both := func() []wrap.Func { return []wrap.Func{wrap.Count(&onWire), wrap.Compress()} }
	inPair(t, both, func(t *testing.T, a, b net.Conn) {
		go io.Copy(b, b)
		began := time.Now()
		const rounds = 100
		said := 0
		for i := range rounds {
			word := []byte(fmt.Sprintf(`{"id":%d,"name":"customer-%d","city":"Hamburg","paid":true}`, i, i*31))
			if _, err := a.Write(word); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(word))
			if _, err := io.ReadFull(a, got); !bytes.Equal(got, word) || err != nil {
				t.Fatalf("read %q, %v; want %q", got, err, word)
			}
			said += 2 * len(word)
		}
		if took := time.Since(began); took > rounds*5*time.Millisecond {
			t.Errorf("%d round trips of 2 ms took %v", rounds, took)
		}
		if sent := onWire.Sent(); sent > uint64(said)/2 {
			t.Errorf("%d bytes travelled as %d, want half of them", said, sent)
		}
	})
}

// Bytes of every kind and length arrive as they were written.
func TestCompressKeepsBytes(t *testing.T) {
	text := bytes.Repeat([]byte("to be, or not to be; "), 100_000)
	for _, tt := range []struct {
		name string
		b    []byte
	}{
		{"one byte", []byte{0}},
		{"one chunk", noise(32 << 10)},
		{"one byte more than a chunk", noise(32<<10 + 1)},
		{"noise", noise(3 << 20)},
		{"text", text},
		{"zeros", make([]byte, 3<<20)},
		{"all of it", append(append(noise(1<<20), text...), make([]byte, 100)...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inPair(t, compressed, func(t *testing.T, a, b net.Conn) {
				go func() {
					for rest := tt.b; len(rest) > 0; {
						n, err := a.Write(rest[:min(len(rest), 1+len(rest)/3)])
						if err != nil {
							t.Error(err)
							return
						}
						rest = rest[n:]
					}
					a.Close()
				}()
				if got, err := io.ReadAll(b); !bytes.Equal(got, tt.b) || err != nil {
					t.Errorf("read %d bytes, %v; want the %d that were written", len(got), err, len(tt.b))
				}
			})
		})
	}
}

// What is no stream of Compress is refused for good, and costs no memory.
func TestCompressRefuses(t *testing.T) {
	const magic = "ezst\x01"
	for _, tt := range []struct{ name, sent, says string }{
		{"an end that does not compress", "GET / HTTP/1.1\r\n", "Config.Wrap must be alike"},
		{"one byte of it", "G", "Config.Wrap must be alike"},
		{"another version", "ezst\x02\x01\x01x", "Config.Wrap must be alike"},
		{"a chunk of nothing", magic + "\x00\x01x", "not compressed"},
		{"a chunk without bytes", magic + "\x01\x00", "not compressed"},
		{"a chunk that is too large", magic + "\x81\x80\x04\x01x", "not compressed"},
		{"a chunk compressed to too much", magic + "\x01\x81\x80\x04x", "not compressed"},
		{"a number without end", magic + strings.Repeat("\xff", 11), "not compressed"},
		{"no zstd", magic + "\x05\x05hello", "not compressed"},
		{"less than it says", magic + "\x05\x40" + strings.Repeat("\x00", 64), "not compressed"},
		{"a window of 1 GiB", magic + "\x05\x06\x28\xb5\x2f\xfd\x00\xa0", "not compressed"},
		{"the beginning of a name", magic[:3], "unexpected EOF"},
		{"the beginning of a chunk", magic + "\x05\x05hel", "unexpected EOF"},
		{"half of a number", magic + "\x80", "unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			go func() {
				far.Write([]byte(tt.sent))
				far.Close()
			}()
			nc := chain(t, near, wrap.Compress())
			for range 2 {
				n, err := nc.Read(make([]byte, 100))
				if n != 0 || err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("Read = %d, %v; want an error that says %q", n, err, tt.says)
				}
			}
		})
	}
	near, far := net.Pipe()
	far.Close()
	if _, err := chain(t, near, wrap.Compress()).Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("Read of a stream without a byte = %v, want %v", err, io.EOF)
	}
}

// FuzzCompress reads what anybody may send: never more than a chunk at a time, without a
// panic, and to an end.
func FuzzCompress(f *testing.F) {
	near, far := net.Pipe()
	go func() {
		nc := chain(f, near, wrap.Compress())
		nc.Write([]byte("hello"))
		nc.Write(bytes.Repeat([]byte("hello"), 100))
		nc.Close()
	}()
	seed, err := io.ReadAll(far)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(seed[:len(seed)-1])
	f.Add([]byte("ezst\x01\x05\x05hello"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		near, far := net.Pipe()
		go func() {
			far.Write(sent)
			far.Close()
		}()
		nc := chain(t, near, wrap.Compress())
		n, err := io.Copy(io.Discard, nc)
		if n > int64(len(sent))*64<<10 {
			t.Errorf("%d bytes of %d, %v", n, len(sent), err)
		}
		nc.Close()
	})
}

// BenchmarkCompress writes text of which little repeats exactly, in chunks as io.Copy does.
func BenchmarkCompress(b *testing.B) {
	near, far := net.Pipe()
	w, r := chain(b, near, wrap.Compress()), chain(b, far, wrap.Compress())
	var text bytes.Buffer
	for i := 0; text.Len() < 4<<20; i++ { // many times the window
		fmt.Fprintf(&text, `{"id":%d,"name":"customer-%d","city":"Hamburg","total":%d}`, i, i*7919%10007, i*31%9999)
	}
	b.SetBytes(32 << 10)
	b.ReportAllocs()
	go func() {
		for i := range b.N {
			w.Write(text.Bytes()[i%128*32<<10:][:32<<10])
		}
		w.Close()
	}()
	if _, err := io.Copy(io.Discard, r); err != nil {
		b.Fatal(err)
	}
}
