package credential

import (
	"encoding/asn1"
	"math/big"
)

// maxIterations bounds the rounds of key derivation that a PKCS #12 file may ask for. OpenSSL and the key chain write 2048,
// who follows OWASP about a million; five take seconds, and what a damaged file asks for could take hours.
const maxIterations = 5_000_000

// maxDepth is how deep a PKCS #12 file is searched; what counts stands at most 12 deep.
const maxDepth = 32

// asksTooMuch says whether part of a file asks for more rounds. Wherever PKCS #12 has a number of rounds, it follows its salt:
// an INTEGER behind an OCTET STRING.
func asksTooMuch(der []byte, depth int) bool {
	salt := false
	for len(der) > 0 && depth < maxDepth {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			return false // no more of it can be read
		}
		octets := v.Class == asn1.ClassUniversal && v.Tag == asn1.TagOctetString
		switch {
		case v.IsCompound, octets && isSequence(v.Bytes):
			if asksTooMuch(v.Bytes, depth+1) {
				return true
			}
		case salt && v.Class == asn1.ClassUniversal && v.Tag == asn1.TagInteger:
			if new(big.Int).SetBytes(v.Bytes).Cmp(big.NewInt(maxIterations)) > 0 {
				return true
			}
		}
		salt, der = octets, rest
	}
	return false
}

// isSequence keeps apart what a file has wrapped and what it has encrypted.
func isSequence(der []byte) bool {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(der, &v)
	return err == nil && len(rest) == 0 && v.Class == asn1.ClassUniversal && v.Tag == asn1.TagSequence
}
