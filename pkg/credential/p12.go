package credential

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// What Apple writes into the certificates of its push service.
var (
	oidDevelopment = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 1}
	oidProduction  = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 2}
	oidTopics      = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 6}
	oidUserID      = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1} // of the subject: the bundle id
)

// P12 is a certificate of Apple's push service with its private key.
type P12 struct {
	Certificate tls.Certificate // the whole chain, as far as the file has it; Leaf is set
	TeamID      string          // "" = the certificate names none
	Topics      []string        // bundle ids that it may push to, with the suffixes of its push types; sorted
	Production  bool            // Apple's production environment takes it
	Development bool            // the development environment takes it
}

// String names the certificate without its key.
func (c *P12) String() string { return "p12 certificate for " + strings.Join(c.Topics, ", ") }

// GoString is String: %#v must not print the key either.
func (c *P12) GoString() string { return c.String() }

// Facts tells of the certificate.
func (c *P12) Facts() Facts {
	leaf := c.Certificate.Leaf
	return Facts{
		Kind:        KindP12,
		KeyID:       fmt.Sprintf("%X", leaf.SerialNumber),
		Fingerprint: fingerprint(leaf.Raw), // a renewed certificate may have the same key
		Expires:     leaf.NotAfter,
	}
}

// ParseP12 reads PKCS #12 with one private key and its certificate. A file that openly asks for hours of key derivation is
// refused; what it asks for inside of what is encrypted cannot be seen before. It wraps no error of the parsers: theirs may
// quote the content.
func ParseP12(content []byte, password string) (*P12, error) {
	if err := notP12(content); err != nil {
		return nil, err
	}
	if asksTooMuch(content, 0) {
		return nil, fmt.Errorf("it asks for more than %d rounds of key derivation: damaged, or to be exported anew", maxIterations)
	}
	key, first, others, err := pkcs12.DecodeChain(content, password)
	if err != nil {
		return nil, p12Failure(err, password)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a private key of type %T, want RSA or ECDSA", key)
	}
	chain := append([]*x509.Certificate{first}, others...)
	of := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return matches(signer.Public(), c.PublicKey) })
	if of < 0 {
		return nil, errors.New("the private key is another certificate's: export both together")
	}
	leaf := chain[of]
	found := &P12{Certificate: tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: signer, Leaf: leaf}}
	for i, c := range chain {
		if i != of {
			found.Certificate.Certificate = append(found.Certificate.Certificate, c.Raw)
		}
	}
	if len(leaf.Subject.OrganizationalUnit) > 0 {
		found.TeamID = leaf.Subject.OrganizationalUnit[0]
	}
	for _, name := range leaf.Subject.Names {
		if text, ok := name.Value.(string); ok && name.Type.Equal(oidUserID) && text != "" {
			found.Topics = append(found.Topics, text)
		}
	}
	for _, e := range leaf.Extensions {
		if err := found.read(e); err != nil {
			return nil, err
		}
	}
	slices.Sort(found.Topics)
	found.Topics = slices.Compact(found.Topics)
	return found, nil
}

// notP12 names the files that are taken for one.
func notP12(content []byte) error {
	if block, _ := pem.Decode(content); block != nil {
		return errors.New("PEM, want PKCS #12: put certificate and key together with openssl pkcs12 -export")
	}
	if looksLikeJSON(content) {
		return errors.New("JSON, as of a service account; want PKCS #12")
	}
	if _, err := x509.ParseCertificate(content); err == nil {
		return errors.New("a certificate without its private key: export it together with the key as .p12")
	}
	return nil
}

func p12Failure(err error, password string) error {
	var missing pkcs12.NotImplementedError
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword) && password == "":
		return errors.New("it needs its password, and none is configured")
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return errors.New("wrong password")
	case errors.As(err, &missing): // its text names an algorithm
		return fmt.Errorf("a PKCS #12 file of a form that is not supported: %s", string(missing))
	}
	return errors.New("not a PKCS #12 file with one private key and its certificate")
}

func matches(public, other crypto.PublicKey) bool {
	comparable, ok := public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && comparable.Equal(other)
}

// read takes over what one of Apple's extensions says.
func (c *P12) read(e pkix.Extension) error {
	switch {
	case e.Id.Equal(oidDevelopment):
		c.Development = true
	case e.Id.Equal(oidProduction):
		c.Production = true
	case e.Id.Equal(oidTopics):
		topics, err := parseTopics(e.Value)
		if err != nil {
			return err
		}
		c.Topics = append(c.Topics, topics...)
	}
	return nil
}

// parseTopics reads the list of topics: a text each, followed by a sequence that names its push types.
func parseTopics(der []byte) ([]string, error) {
	broken := errors.New("the certificate's list of topics is broken")
	var list asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &list); err != nil || len(rest) > 0 || !list.IsCompound || list.Tag != asn1.TagSequence {
		return nil, broken
	}
	var topics []string
	for rest := list.Bytes; len(rest) > 0; {
		var element asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &element); err != nil {
			return nil, broken
		}
		if element.Class == asn1.ClassUniversal && element.Tag == asn1.TagUTF8String {
			topics = append(topics, string(element.Bytes))
		}
	}
	return topics, nil
}

// Use is what a certificate is to be used for.
type Use struct {
	BundleID    string
	TeamID      string // "" = any
	Environment string // production or development
}

// CheckUse says everything for which the certificate cannot be used like this.
func (c *P12) CheckUse(use Use, now time.Time) error {
	mistakes := []error{c.checkTime(now), c.checkService()}
	if len(c.Topics) > 0 && !slices.Contains(c.Topics, use.BundleID) {
		mistakes = append(mistakes, fmt.Errorf("the certificate is for %q, not for the bundle id %s", shorten(strings.Join(c.Topics, ", ")), use.BundleID))
	}
	if use.TeamID != "" && c.TeamID != use.TeamID {
		mistakes = append(mistakes, fmt.Errorf("the certificate is of the team %q, not of %s", shorten(c.TeamID), use.TeamID))
	}
	if c.Production != c.Development && c.Production != (use.Environment == "production") {
		mistakes = append(mistakes, fmt.Errorf("the certificate is for %s alone, not for %s", c.environments(), use.Environment))
	}
	return errors.Join(mistakes...)
}

// Check says what is wrong whatever the certificate is used for.
func (c *P12) Check(now time.Time) error { return errors.Join(c.checkTime(now), c.checkService()) }

func (c *P12) checkTime(now time.Time) error {
	if from := c.Certificate.Leaf.NotBefore; now.Before(from) {
		return fmt.Errorf("not valid before %s", from.UTC().Format(time.DateOnly))
	}
	return c.Facts().Expired(now)
}

func (c *P12) checkService() error {
	switch {
	case !c.Production && !c.Development:
		return errors.New("no certificate of Apple's push service: it names neither production nor development")
	case len(c.Topics) == 0:
		return errors.New("no certificate of Apple's push service: it names no bundle id")
	}
	return nil
}

func (c *P12) environments() string {
	switch {
	case c.Production && c.Development:
		return "production, development"
	case c.Production:
		return "production"
	case c.Development:
		return "development"
	}
	return ""
}

func looksLikeJSON(content []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(content), []byte("{"))
}
