package link

import "github.com/espial-go/espial/internal/ident"

// ID returns the node ID that follows from the certificate.
func (i *Identity) ID() ident.NodeID {
	_, id, err := ident.CheckCertificate(i.cert.Certificate)
	if err != nil {
		return ident.NodeID{}
	}
	return id
}

// Public returns the public key that the other end proved to hold.
func (c *Conn) Public() []byte {
	return c.tls.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo
}

// Queued returns how many bytes of control frames wait for the writer.
func (c *Conn) Queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.control)
}
