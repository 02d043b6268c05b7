package apnstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// Key is one provider's signing key, as the simulator knows it.
type Key struct {
	TeamID string
	KeyID  string
	Public *ecdsa.PublicKey
	Topics []string // bundle ids it may push to; none = all
	// Environment is the one to which the key is scoped; nil = both.
	Environment *Environment
}

// NewKey makes a key, and the content of the .p8 file that belongs to it.
func NewKey(teamID, keyID string, topics ...string) (key Key, p8 []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Key{}, nil, fmt.Errorf("apns key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return Key{}, nil, fmt.Errorf("apns key: %w", err)
	}
	p8 = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return Key{TeamID: teamID, KeyID: keyID, Public: &private.PublicKey, Topics: topics}, p8, nil
}

// ParsePublicKey reads a public key in PEM, as `openssl ec -in AuthKey.p8 -pubout` writes it.
func ParsePublicKey(content []byte) (*ecdsa.PublicKey, error) {
	block, _ := pem.Decode(content)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New("public key: want a PEM block of type PUBLIC KEY")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("public key: want ECDSA on the curve P-256")
	}
	return key, nil
}
