package credential_test

import (
	"strings"
	"testing"

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
