package pushtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// lifetime of a certificate: longer than any simulator runs.
const lifetime = 365 * 24 * time.Hour

// Authority is a throw-away certificate authority whose key never leaves the process. Safe for concurrent use.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority makes an authority with a fresh key.
func NewAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("authority: make a key: %w", err)
	}
	template := certificate("pushfleet simulator authority", 1)
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign
	issued, err := issue(template, template, key, key)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	return &Authority{certificate: issued, key: key}, nil
}

// CAPEM is the authority's certificate: the content of a ca_file.
func (a *Authority) CAPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

// Pool holds the authority's certificate alone, for a client's RootCAs.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// ServerCertificate issues a certificate for localhost, 127.0.0.1 and ::1, with a key of its own.
func (a *Authority) ServerCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("server certificate: make a key: %w", err)
	}
	template := certificate("localhost", 2)
	template.DNSNames = []string{"localhost"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	issued, err := issue(template, a.certificate, key, a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("server certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{issued.Raw}, PrivateKey: key, Leaf: issued}, nil
}

// PushCertificate says what a certificate of Apple's push service is for.
type PushCertificate struct {
	BundleID    string
	TeamID      string
	Topics      []string // its list of topics; none = it has no list, and is for the bundle id alone
	Production  bool
	Development bool
	NotAfter    time.Time // zero = in a year
}

// ClientCertificate issues a certificate that the APNs simulator takes, where it trusts the authority.
func (a *Authority) ClientCertificate(c PushCertificate) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("client certificate: make a key: %w", err)
	}
	template := certificate("Apple Push Services: "+c.BundleID, 3)
	template.Subject.OrganizationalUnit = []string{c.TeamID}
	template.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: c.BundleID}}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if !c.NotAfter.IsZero() {
		template.NotAfter = c.NotAfter
	}
	if c.Development {
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: apple(1), Value: asn1.NullBytes})
	}
	if c.Production {
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: apple(2), Value: asn1.NullBytes})
	}
	if len(c.Topics) > 0 {
		list, err := topicList(c.Topics)
		if err != nil {
			return tls.Certificate{}, fmt.Errorf("client certificate: %w", err)
		}
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: apple(6), Value: list})
	}
	issued, err := issue(template, a.certificate, key, a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("client certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{issued.Raw}, PrivateKey: key, Leaf: issued}, nil
}

func apple(last int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, last}
}

// topicList is a sequence of topics, each followed by a sequence that names its kind.
func topicList(topics []string) ([]byte, error) {
	text := func(s string) asn1.RawValue { return asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(s)} }
	var list []asn1.RawValue
	for _, topic := range topics {
		kinds, err := asn1.Marshal([]asn1.RawValue{text("app")})
		if err != nil {
			return nil, err
		}
		list = append(list, text(topic), asn1.RawValue{FullBytes: kinds})
	}
	return asn1.Marshal(list)
}

func certificate(name string, serial int64) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().AddDate(-10, 0, 0), // a client's clock may be late, and a test's stand anywhere
		NotAfter:     time.Now().Add(lifetime),
	}
}

func issue(template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", template.Subject.CommonName, err)
	}
	return x509.ParseCertificate(der)
}
