package apns

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/apns/apnstest"
	"github.com/pushfleet/pushfleet/pkg/credential/credentialtest"
)

func TestACredentialIsAKeyOrACertificate(t *testing.T) {
	t.Parallel()
	const at = "apps.demo.credentials.demo-ios."
	certificate := func(more map[string]any) map[string]any {
		keys := map[string]any{"key_file": "", "key_id": "", "team_id": "", "p12_file": "push.p12"}
		for key, value := range more {
			keys[key] = value
		}
		return keys
	}
	for name, c := range map[string]struct {
		change map[string]any
		says   string // "" = nothing is wrong
	}{
		"a key from the environment":             {map[string]any{"key_file": "", "key_env": "APNS_KEY"}, ""},
		"a key id from a file":                   {map[string]any{"key_id": "", "key_id_file": "id"}, ""},
		"a certificate":                          {certificate(nil), ""},
		"a certificate from the environment":     {certificate(map[string]any{"p12_file": "", "p12_env": "P12", "password_env": "P12_PASSWORD"}), ""},
		"a certificate and its team":             {certificate(map[string]any{"team_id": teamID}), ""},
		"nothing":                                {map[string]any{"key_file": ""}, at + "key_file: missing; or one of key_env, p12_file, p12_env"},
		"a key twice":                            {map[string]any{"key_env": "APNS_KEY"}, at + "key_file: want only one"},
		"a key and a certificate":                {map[string]any{"p12_file": "push.p12"}, at + "key_file: want only one"},
		"a key id twice":                         {map[string]any{"key_id_file": "id"}, at + "key_id_file: want only one"},
		"a key with a password":                  {map[string]any{"password_file": "p"}, at + "password_file: a p8 key has no password"},
		"a certificate with a key id":            {certificate(map[string]any{"key_id": keyID}), at + "key_id: a certificate has none"},
		"a certificate with a team that is none": {certificate(map[string]any{"team_id": "me"}), at + "team_id: want"},
		"a certificate with two passwords":       {certificate(map[string]any{"password_file": "p", "password_env": "P"}), at + "password_file: want only one"},
		"a certificate without its app":          {certificate(map[string]any{"bundle_id": ""}), at + "bundle_id: want"},
		"a password in the configuration":        {certificate(map[string]any{"password": "x"}), "password"},
	} {
		d, err := Open(settings("", nil, c.change))
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
		if err == nil {
			d.Close()
		}
	}
}

// TestCheckSaysWhatIsWrongWithACredential: each bad file with the configuration that it does not fit.
func TestCheckSaysWhatIsWrongWithACredential(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	_, p8, err := apnstest.NewKey(teamID, keyID)
	if err != nil {
		t.Fatal(err)
	}
	other, err := credentialtest.Certificate{BundleID: "com.example.other", TeamID: "AAAAAAAAAA", Development: true,
		NotBefore: time.Now().AddDate(-2, 0, 0), NotAfter: time.Now().AddDate(-1, 0, 0)}.P12("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"rsa.p8": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), "AuthKey_OTHERKEY42.p8": p8, "AuthKey.p8": p8, "other.p12": other,
		"right": []byte("correct horse\n"), "wrong": []byte("battery staple"), "id": []byte("short\n"),
	} {
		write(t, filepath.Join(dir, name), content)
	}
	certificate := func(password string) map[string]any {
		return map[string]any{"key_file": "", "key_id": "", "p12_file": "other.p12", "password_file": password}
	}
	for name, c := range map[string]struct {
		change map[string]any
		says   []string
	}{
		"an RSA key":          {map[string]any{"key_file": "rsa.p8"}, []string{"demo-ios.key_file: ", "rsa.p8: an RSA key"}},
		"another key's id":    {map[string]any{"key_file": "AuthKey_OTHERKEY42.p8"}, []string{"name says key id OTHERKEY42, the configuration " + keyID}},
		"an id that is none":  {map[string]any{"key_id": "", "key_id_file": "id"}, []string{"key_id_file: want Apple's 10"}},
		"no file with the id": {map[string]any{"key_id": "", "key_id_file": "absent"}, []string{"key id: ", "absent"}},
		"an absent variable":  {map[string]any{"key_file": "", "key_env": "NOT_SET_ANYWHERE"}, []string{"demo-ios.key_env: environment variable NOT_SET_ANYWHERE"}},
		"a wrong password":    {certificate("wrong"), []string{"demo-ios.p12_file: ", "other.p12: wrong password"}},
		"an absent password":  {certificate("absent"), []string{"password: ", "absent"}},
		"another's certificate": {certificate("right"), []string{
			"expired on ", `is for "com.example.other", not for the bundle id ` + bundle, `of the team "AAAAAAAAAA", not of ` + teamID,
			"for development alone, not for production",
		}},
	} {
		d, err := Open(settings(dir, nil, c.change))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		err = d.Check()
		_, unsendable := d.Sender("demo", "demo-ios")
		for _, says := range c.says {
			if err == nil || !strings.Contains(err.Error(), says) || unsendable == nil || unsendable.Error() != err.Error() {
				t.Errorf("%s: check says %v, the sender %v; want %q", name, err, unsendable, says)
			}
		}
		d.Close()
	}
}

// TestAKeyFromTheEnvironment is not parallel: it sets variables.
func TestAKeyFromTheEnvironment(t *testing.T) {
	_, p8, err := apnstest.NewKey(teamID, keyID)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"as it is": string(p8), "in base64": base64.StdEncoding.EncodeToString(p8)} {
		t.Setenv("A_P8_KEY", value)
		d, err := Open(settings("", nil, map[string]any{"key_file": "", "key_env": "A_P8_KEY"}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Sender("demo", "demo-ios"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		d.Close()
	}
}
