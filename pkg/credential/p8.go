package credential

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
)

// P8 is a signing key as Apple issues it for APNs: an ECDSA key on the curve P-256. It never expires; Apple can revoke it.
type P8 struct {
	Key *ecdsa.PrivateKey
}

// String names the kind alone: no way of printing shows the key.
func (P8) String() string { return "p8 key" }

// GoString is String.
func (k P8) GoString() string { return k.String() }

// Facts tells of a key that Apple calls keyID.
func (k P8) Facts(keyID string) Facts {
	return Facts{Kind: KindP8, KeyID: keyID, Fingerprint: keyFingerprint(&k.Key.PublicKey)}
}

// LoadP8 reads the key in a .p8 file; see [ParseP8].
func LoadP8(path string) (P8, error) {
	content, err := readFile(path)
	if err != nil {
		return P8{}, fmt.Errorf("p8 key: %w", err)
	}
	key, err := ParseP8(content)
	if err != nil {
		return P8{}, fmt.Errorf("p8 key %s: %w", path, err)
	}
	return key, nil
}

// ParseP8 reads PKCS #8 in PEM. It wraps no error of the parsers: theirs may quote the content.
func ParseP8(content []byte) (P8, error) {
	block, _ := pem.Decode(content)
	switch {
	case block == nil && looksLikeJSON(content):
		return P8{}, errors.New("not a PEM file: JSON, as of a service account")
	case block == nil:
		return P8{}, errors.New("not a PEM file")
	case block.Type == "CERTIFICATE":
		return P8{}, errors.New("a certificate; want the PEM block PRIVATE KEY of Apple's .p8 file")
	case block.Type != "PRIVATE KEY":
		return P8{}, errors.New("want a PEM block of type PRIVATE KEY (PKCS #8, not encrypted)")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return P8{}, errors.New("not a PKCS #8 key")
	}
	switch key := parsed.(type) {
	case *ecdsa.PrivateKey:
		if key.Curve == elliptic.P256() {
			return P8{Key: key}, nil
		}
		return P8{}, fmt.Errorf("an ECDSA key on the curve %s; want P-256, as of Apple's .p8 files", key.Curve.Params().Name)
	case *rsa.PrivateKey:
		return P8{}, errors.New("an RSA key; want an ECDSA key on the curve P-256, as of Apple's .p8 files")
	}
	return P8{}, errors.New("want an ECDSA key on the curve P-256, as of Apple's .p8 files")
}

var (
	appleID     = regexp.MustCompile(`^[A-Za-z0-9]{10}$`)
	authKeyName = regexp.MustCompile(`^AuthKey_([A-Z0-9]{10})\.p8$`)
)

// IsAppleID says whether s has the form of a team id or a key id: 10 letters and digits.
func IsAppleID(s string) bool { return appleID.MatchString(s) }

// KeyIDOfName is the key id in the name that Apple gives a .p8 file, AuthKey_ABC123DEFG.p8; "" where it is no such name.
// The file itself does not hold the id.
func KeyIDOfName(path string) string {
	if found := authKeyName.FindStringSubmatch(filepath.Base(path)); found != nil {
		return found[1]
	}
	return ""
}

// keyFingerprint is one of a public key, so that it tells nothing of the private one.
func keyFingerprint(public any) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return ""
	}
	return fingerprint(der)
}

func fingerprint(public []byte) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:8])
}
