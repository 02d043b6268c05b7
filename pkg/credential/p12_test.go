package credential_test

import (
	"bytes"
	"crypto/elliptic"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/pushfleet/pushfleet/pkg/credential"
	"github.com/pushfleet/pushfleet/pkg/credential/credentialtest"
)

// today is the clock of the certificates here.
var today = time.Date(2026, 9, 21, 12, 0, 0, 0, time.UTC)

const password = "correct horse"

// universal is a certificate as Apple issues it today: for both environments and every push type.
func universal() credentialtest.Certificate {
	return credentialtest.Certificate{
		BundleID: "com.example.demo", TeamID: "DEF123GHIJ", Production: true, Development: true, Universal: true,
		NotBefore: today.AddDate(0, -1, 0), NotAfter: today.AddDate(1, 0, 0), Serial: 0xCAFE,
	}
}

// p12 changes the universal certificate.
func p12(t testing.TB, change func(*credentialtest.Certificate)) []byte {
	t.Helper()
	c := universal()
	if change != nil {
		change(&c)
	}
	content, err := c.P12(password)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestParseP12(t *testing.T) {
	t.Parallel()
	issuer, err := universal().P12(password)
	if err != nil {
		t.Fatal(err)
	}
	other, err := credential.ParseP12(issuer, password)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*credentialtest.Certificate){
		"as OpenSSL 3 writes it":       nil,
		"as the key chain exports it":  func(c *credentialtest.Certificate) { c.Encoder = pkcs12.LegacyDES },
		"with the oldest cipher":       func(c *credentialtest.Certificate) { c.Encoder = pkcs12.LegacyRC2 },
		"an RSA key":                   func(c *credentialtest.Certificate) { c.Key = goodKey(t) },
		"with a certificate behind it": func(c *credentialtest.Certificate) { c.Issuer = other.Certificate.Leaf },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := credential.ParseP12(p12(t, change), password)
			if err != nil {
				t.Fatal(err)
			}
			want := []string{"com.example.demo", "com.example.demo.complication", "com.example.demo.voip"}
			if diff := cmp.Diff(want, got.Topics); diff != "" || got.TeamID != "DEF123GHIJ" || !got.Production || !got.Development {
				t.Errorf("topics (-want +got):\n%steam %s, production %t, development %t", diff, got.TeamID, got.Production, got.Development)
			}
			facts := got.Facts()
			if facts.Kind != credential.KindP12 || facts.KeyID != "CAFE" || !facts.Expires.Equal(today.AddDate(1, 0, 0)) || len(facts.Fingerprint) != 16 {
				t.Errorf("got %+v", facts)
			}
			use := credential.Use{BundleID: "com.example.demo", TeamID: "DEF123GHIJ", Environment: "development"}
			if err := got.CheckUse(use, today); err != nil {
				t.Error(err)
			}
			for _, text := range []string{fmt.Sprint(got), fmt.Sprintf("%+v", got), fmt.Sprintf("%#v", got)} {
				if len(text) > 120 {
					t.Errorf("prints its key: %s", text)
				}
			}
		})
	}
}

// TestARenewedCertificateHasAnotherFingerprint: Apple renews a certificate for the same key.
func TestARenewedCertificateHasAnotherFingerprint(t *testing.T) {
	t.Parallel()
	key := generate(t, elliptic.P256())
	var prints []string
	for serial := range int64(2) {
		got, err := credential.ParseP12(p12(t, func(c *credentialtest.Certificate) { c.Key, c.Serial = key, serial+1 }), password)
		if err != nil {
			t.Fatal(err)
		}
		prints = append(prints, got.Facts().Fingerprint)
	}
	if prints[0] == prints[1] {
		t.Error("both have the same")
	}
}

func TestParseP12Refuses(t *testing.T) {
	t.Parallel()
	der, err := universal().DER()
	if err != nil {
		t.Fatal(err)
	}
	onlyCertificates, err := pkcs12.Modern2023.EncodeTrustStore(nil, password)
	if err != nil {
		t.Fatal(err)
	}
	good := p12(t, nil)
	// 66,051 rounds, of which a damaged byte makes 8 million: the first such number is that of an encryption, the last the digest's.
	many := p12(t, func(c *credentialtest.Certificate) { c.Encoder = pkcs12.LegacyDES.WithIterations(0x010203) })
	rounds, more := []byte{2, 3, 1, 2, 3}, []byte{2, 3, 0x7f, 2, 3}
	digest := bytes.LastIndex(many, rounds)
	if digest < 0 || bytes.Count(many, rounds) < 2 {
		t.Fatal("the file does not say how many rounds it takes")
	}
	for name, c := range map[string]struct {
		content  []byte
		password string
		says     string
	}{
		"nothing":                   {nil, "", "not a PKCS #12 file"},
		"garbage":                   {[]byte("secret garbage"), "", "not a PKCS #12 file"},
		"a file cut off":            {good[:len(good)/2], password, "not a PKCS #12 file"},
		"endless rounds to decrypt": {bytes.Replace(many, rounds, more, 1), password, "more than 5000000 rounds"},
		"endless rounds to verify":  {slices.Concat(many[:digest], more, many[digest+5:]), password, "more than 5000000 rounds"},
		"a wrong password":          {good, "battery staple", "wrong password"},
		"no password":               {good, "", "needs its password"},
		"a p8":                      {encode(t, "PRIVATE KEY", generate(t, elliptic.P256())), "", "PEM, want PKCS #12"},
		"a certificate in PEM":      {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), "", "PEM, want PKCS #12"},
		"a certificate without key": {der, "", "a certificate without its private key"},
		"a service account":         {serviceAccountJSON(t, nil), "", "JSON, as of a service account"},
		"no key in it":              {onlyCertificates, password, "PKCS #12"},
		"another's key":             {p12(t, func(c *credentialtest.Certificate) { c.WrongKey = true }), password, "another certificate's"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := credential.ParseP12(c.content, c.password)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want %q", err, c.says)
			}
			for _, secret := range slices.Concat(secrets(c.content), []string{password, "battery", "secret"}) {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error quotes a secret: %v", err)
				}
			}
		})
	}
}

func TestCheckUseRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*credentialtest.Certificate)
		use    func(*credential.Use)
		says   string // "" = nothing is wrong
	}{
		"nothing":                          {nil, nil, ""},
		"no team asked for":                {nil, func(u *credential.Use) { u.TeamID = "" }, ""},
		"another bundle id":                {nil, func(u *credential.Use) { u.BundleID = "com.example.other" }, "not for the bundle id com.example.other"},
		"another team":                     {nil, func(u *credential.Use) { u.TeamID = "AAAAAAAAAA" }, `of the team "DEF123GHIJ", not of AAAAAAAAAA`},
		"expired":                          {func(c *credentialtest.Certificate) { c.NotAfter = today.Add(-time.Hour) }, nil, "expired on 2026-09-21"},
		"not valid yet":                    {func(c *credentialtest.Certificate) { c.NotBefore = today.Add(time.Hour) }, nil, "not valid before 2026-09-21"},
		"development, used for production": {func(c *credentialtest.Certificate) { c.Production = false }, nil, "for development alone, not for production"},
		"production, used for development": {
			func(c *credentialtest.Certificate) { c.Development = false },
			func(u *credential.Use) { u.Environment = "development" }, "for production alone, not for development",
		},
		"production, used for it":    {func(c *credentialtest.Certificate) { c.Development = false }, nil, ""},
		"no certificate for pushes":  {func(c *credentialtest.Certificate) { c.Production, c.Development = false, false }, nil, "neither production nor development"},
		"no bundle id":               {func(c *credentialtest.Certificate) { c.BundleID, c.Universal = "", false }, nil, "names no bundle id"},
		"no list, but the bundle id": {func(c *credentialtest.Certificate) { c.Universal = false }, nil, ""},
		"for calls alone": {
			func(c *credentialtest.Certificate) { c.BundleID, c.Universal = "com.example.demo.voip", false }, nil,
			`is for "com.example.demo.voip", not for the bundle id com.example.demo`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed, err := credential.ParseP12(p12(t, c.change), password)
			if err != nil {
				t.Fatal(err)
			}
			use := credential.Use{BundleID: "com.example.demo", TeamID: "DEF123GHIJ", Environment: "production"}
			if c.use != nil {
				c.use(&use)
			}
			err = parsed.CheckUse(use, today)
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}
