// Package credentialtest makes throw-away credentials in the forms that Apple issues them in: what a file shall say
// flows in, its bytes flow out.
package credentialtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// Certificate says what a certificate of Apple's push service is for.
type Certificate struct {
	BundleID    string // "" = it names none
	TeamID      string
	Production  bool
	Development bool
	Universal   bool // it lists its topics, as those for several push types do
	NotBefore   time.Time
	NotAfter    time.Time
	Serial      int64
	Key         crypto.Signer     // nil = a new one
	WrongKey    bool              // the file holds another certificate's key
	Encoder     *pkcs12.Encoder   // nil = as OpenSSL 3 writes by default
	Issuer      *x509.Certificate // further certificate in the file; nil = none
}

// P12 is the content of a .p12 file.
func (c Certificate) P12(password string) ([]byte, error) {
	key := c.Key
	if key == nil {
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, fmt.Errorf("p12: %w", err)
		}
	}
	leaf, err := c.issue(key)
	if err != nil {
		return nil, fmt.Errorf("p12: %w", err)
	}
	if c.WrongKey {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, fmt.Errorf("p12: %w", err)
		}
	}
	encoder := c.Encoder
	if encoder == nil {
		encoder = pkcs12.Modern2023
	}
	var chain []*x509.Certificate
	if c.Issuer != nil {
		chain = append(chain, c.Issuer)
	}
	return encoder.Encode(key, leaf, chain, password)
}

// DER is the certificate alone, as Apple's site hands it out (.cer).
func (c Certificate) DER() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf, err := c.issue(key)
	if err != nil {
		return nil, err
	}
	return leaf.Raw, nil
}

func apple(last int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, last}
}

func (c Certificate) issue(key crypto.Signer) (*x509.Certificate, error) {
	subject := pkix.Name{CommonName: "Apple Push Services: " + c.BundleID}
	if c.TeamID != "" {
		subject.OrganizationalUnit = []string{c.TeamID}
	}
	if c.BundleID != "" {
		subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: c.BundleID}}
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(max(c.Serial, 1)),
		Subject:      subject,
		NotBefore:    c.NotBefore,
		NotAfter:     c.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	mark := func(oid int) {
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: apple(oid), Value: asn1.NullBytes})
	}
	if c.Development {
		mark(1)
	}
	if c.Production {
		mark(2)
	}
	if c.Universal {
		topics, err := Topics(c.BundleID)
		if err != nil {
			return nil, err
		}
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: apple(6), Value: topics})
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Topics is the list of topics of an app's certificate: a name each, and the push types that go there.
func Topics(bundleID string) ([]byte, error) {
	text := func(s string) asn1.RawValue {
		return asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(s)}
	}
	var list []asn1.RawValue
	for _, topic := range []struct{ suffix, kind string }{{"", "app"}, {".voip", "voip"}, {".complication", "complication"}} {
		kinds, err := asn1.Marshal([]asn1.RawValue{text(topic.kind)})
		if err != nil {
			return nil, err
		}
		list = append(list, text(bundleID+topic.suffix), asn1.RawValue{FullBytes: kinds})
	}
	return asn1.Marshal(list)
}
