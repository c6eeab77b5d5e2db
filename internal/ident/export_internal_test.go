package ident

import (
	"crypto/x509"
	"encoding/pem"
	"testing"
)

// PEM returns the secret in the form of a key file.
func (k *Key) PEM(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k.signer)
	if err != nil {
		t.Fatalf("key %v of type %T has no PKCS #8 form: %v", k.id, k.signer, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
}
