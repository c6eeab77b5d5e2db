package link_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"net"
	"strings"
	"testing"
)

// Types of what a record of TLS 1.3 holds (RFC 8446, section 5.1).
const (
	typeHandshake = 22
	typeData      = 23
)

// foreign is a dialer with a certificate like any other, which writes its records itself: what
// crypto/tls never sends, too.
type foreign struct {
	t    testing.TB
	nc   net.Conn
	conn *tls.Conn // for the handshake, and to read

	secret []byte // of what it writes
	aead   cipher.AEAD
	iv     []byte
	number uint64 // of the next record
}

// newForeign runs the handshake over nc with the key that newKey makes of n.
func newForeign(t testing.TB, nc net.Conn, n byte) *foreign {
	t.Helper()
	f := &foreign{t: t, nc: nc}
	c := config(own(t, newKey(t, n)))
	c.KeyLogWriter = f
	f.conn = tls.Client(nc, c)
	if err := f.conn.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := f.conn.ConnectionState().CipherSuite; s != tls.TLS_AES_128_GCM_SHA256 {
		t.Skipf("this machine chose %s, and the test speaks AES alone", tls.CipherSuiteName(s))
	}
	f.rekey(f.secret)
	return f
}

// Write takes the lines of the key log, for the secret of what a dialer writes.
func (f *foreign) Write(line []byte) (int, error) {
	if words := strings.Fields(string(line)); words[0] == "CLIENT_TRAFFIC_SECRET_0" {
		secret, err := hex.DecodeString(words[2])
		if err != nil {
			return 0, err
		}
		f.secret = secret
	}
	return len(line), nil
}

// rekey begins with a new secret (RFC 8446, section 7.3).
func (f *foreign) rekey(secret []byte) {
	f.t.Helper()
	f.secret, f.number = secret, 0
	block, err := aes.NewCipher(f.expand("key", 16))
	if err == nil {
		f.aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.iv = f.expand("iv", f.aead.NonceSize())
}

// expand is HKDF-Expand-Label of the secret without a context (RFC 8446, section 7.1).
func (f *foreign) expand(label string, size int) []byte {
	f.t.Helper()
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(append(info, byte(len(label))), label...)
	key, err := hkdf.Expand(sha256.New, f.secret, string(append(info, 0)), size)
	if err != nil {
		f.t.Fatal(err)
	}
	return key
}

// record returns the next record, with a payload of a type.
func (f *foreign) record(kind byte, payload ...byte) []byte {
	plain := append(append([]byte(nil), payload...), kind)
	header := []byte{typeData, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(header[3:], uint16(len(plain)+f.aead.Overhead()))
	nonce := append([]byte(nil), f.iv...)
	for i := range 8 {
		nonce[len(nonce)-8+i] ^= byte(f.number >> (56 - 8*i))
	}
	f.number++
	return f.aead.Seal(header, nonce, plain, header)
}

// data returns records of data, each with so many bytes of b.
func (f *foreign) data(b []byte, each int) (records []byte) {
	for len(b) > 0 {
		n := min(each, len(b))
		records = append(records, f.record(typeData, b[:n]...)...)
		b = b[n:]
	}
	return records
}

// update returns a KeyUpdate (RFC 8446, section 4.6.3); ask asks the peer for one as well.
func (f *foreign) update(ask bool) []byte {
	f.t.Helper()
	request := byte(0)
	if ask {
		request = 1
	}
	b := f.record(typeHandshake, 24, 0, 0, 1, request)
	f.rekey(f.expand("traffic upd", sha256.Size))
	return b
}
