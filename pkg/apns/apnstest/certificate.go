package apnstest

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"
)

// What Apple writes into the certificates of its push service.
var (
	oidUserID      = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1} // of the subject: the bundle id
	oidDevelopment = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 1}
	oidProduction  = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 2}
	oidTopics      = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 6} // a sequence: a topic, then its kinds, and so on
)

// certificateTopics are the topics of a certificate: its list where it has one, else its bundle id.
func certificateTopics(c *x509.Certificate) []string {
	found := []string{}
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidTopics) {
			continue
		}
		var list []asn1.RawValue
		if _, err := asn1.Unmarshal(e.Value, &list); err != nil {
			return found
		}
		for _, element := range list {
			if element.Class == asn1.ClassUniversal && element.Tag == asn1.TagUTF8String {
				found = append(found, string(element.Bytes))
			}
		}
	}
	if len(found) > 0 {
		return found
	}
	for _, name := range c.Subject.Names {
		if text, ok := name.Value.(string); ok && name.Type.Equal(oidUserID) && text != "" {
			found = append(found, text)
		}
	}
	return found
}

// certifiedFor says whether a certificate is for an environment.
func certifiedFor(c *x509.Certificate, environment Environment) bool {
	wanted := oidProduction
	if environment == Development {
		wanted = oidDevelopment
	}
	for _, e := range c.Extensions {
		if e.Id.Equal(wanted) {
			return true
		}
	}
	return false
}

// bearer takes the token of an authorization header apart. false = it is none.
func bearer(authorization string) (token string, ok bool) {
	scheme, token, _ := strings.Cut(authorization, " ")
	return token, strings.EqualFold(scheme, "bearer") && token != ""
}
