// Package credential reads the keys that platforms sign with. A file name flows in, a checked key flows out, or an
// error that names the file and never quotes its content.
package credential

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxP8Bytes bounds what is read of a key file: Apple's are about 260 bytes long.
const maxP8Bytes = 64 << 10

// P8 is a signing key as Apple issues it for APNs: an ECDSA key on the curve P-256.
type P8 struct {
	Key *ecdsa.PrivateKey
}

// LoadP8 reads the key in a .p8 file: PKCS #8 in PEM.
func LoadP8(path string) (P8, error) {
	file, err := os.Open(path)
	if err != nil {
		return P8{}, fmt.Errorf("p8 key: %w", err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxP8Bytes))
	if err != nil {
		return P8{}, fmt.Errorf("p8 key: %w", err)
	}
	key, err := parseP8(content)
	if err != nil {
		return P8{}, fmt.Errorf("p8 key %s: %w", path, err)
	}
	return P8{Key: key}, nil
}

// parseP8 wraps no error of the parsers: theirs may quote the content.
func parseP8(content []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, errors.New("not a PEM file")
	}
	if block.Type != "PRIVATE KEY" {
		return nil, errors.New("want a PEM block of type PRIVATE KEY (PKCS #8, not encrypted)")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("not a PKCS #8 key")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("want an ECDSA key on the curve P-256")
	}
	return key, nil
}
