package credential_test

import (
	"crypto"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/pushfleet/pushfleet/pkg/credential"
	"github.com/pushfleet/pushfleet/pkg/credential/credentialtest"
)

func FuzzParseP8(f *testing.F) {
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, content []byte) {
		key, err := credential.ParseP8(content)
		if (err == nil) != (key.Key != nil) {
			t.Errorf("got %v and %v", key, err)
		}
	})
}

func FuzzParseServiceAccount(f *testing.F) {
	f.Add([]byte(`{"type":"service_account","project_id":"p","private_key":"-----BEGIN PRIVATE KEY-----","client_email":"a@b","token_uri":"https://oauth2.googleapis.com/token"}`))
	f.Add([]byte(`{"type":7}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		account, err := credential.ParseServiceAccount(content, "")
		switch {
		case (err == nil) != (account != nil):
			t.Errorf("got %v and %v", account, err)
		case err == nil && account.TokenURI != credential.GoogleTokenURI:
			t.Errorf("it would sign for %s", account.TokenURI)
		case err != nil && len(err.Error()) > 1000:
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	})
}

// FuzzTopics: whatever a certificate's list of topics holds, its topics are parts of it.
func FuzzTopics(f *testing.F) {
	good, err := credentialtest.Topics("com.example.demo")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:20])
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, der []byte) {
		topics, err := credential.ParseTopics(der)
		if err != nil && topics != nil {
			t.Errorf("got %v and %v", topics, err)
		}
		for _, topic := range topics {
			if !strings.Contains(string(der), topic) {
				t.Errorf("%q is not in it", topic)
			}
		}
	})
}

// FuzzParseP12: whatever the file and its password are, there is a certificate that its key signs for, or an error that
// quotes neither.
func FuzzParseP12(f *testing.F) {
	for _, encoder := range []*pkcs12.Encoder{pkcs12.Modern2023.WithIterations(1), pkcs12.LegacyDES.WithIterations(1), pkcs12.LegacyRC2.WithIterations(1)} {
		f.Add(p12(f, func(c *credentialtest.Certificate) { c.Encoder = encoder }), password)
	}
	f.Add([]byte{0x30, 0x80, 0, 0}, "")
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "secret password")
	f.Fuzz(func(t *testing.T, content []byte, password string) {
		found, err := credential.ParseP12(content, password)
		switch {
		case (err == nil) != (found != nil):
			t.Errorf("got %v and %v", found, err)
		case err != nil:
			if text := err.Error(); len(text) > 200 || len(password) > 8 && strings.Contains(text, password) {
				t.Errorf("the error is %q", text)
			}
		default:
			if found.Certificate.Leaf == nil || !found.Certificate.PrivateKey.(crypto.Signer).Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(found.Certificate.Leaf.PublicKey) {
				t.Error("the key is another certificate's")
			}
			if found.Facts().Fingerprint == "" {
				t.Errorf("no fingerprint of %v", found)
			}
		}
	})
}
