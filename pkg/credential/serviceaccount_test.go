package credential_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/pushfleet/pushfleet/pkg/credential"
)

// rsaKey is one key for all tests: it takes long to make.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func goodKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pkcs8(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// serviceAccountJSON is a good file with other values.
func serviceAccountJSON(t *testing.T, values map[string]any) []byte {
	t.Helper()
	file := map[string]any{
		"type":           "service_account",
		"project_id":     "demo-project",
		"private_key_id": "id-1",
		"private_key":    pkcs8(t, goodKey(t)),
		"client_email":   "push@demo-project.iam.gserviceaccount.com",
		"token_uri":      credential.GoogleTokenURI,
		"auth_uri":       "https://accounts.google.com/o/oauth2/auth",
	}
	for key, value := range values {
		file[key] = value
	}
	data, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestParseServiceAccount(t *testing.T) {
	t.Parallel()
	pkcs1 := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(goodKey(t))}))
	for name, values := range map[string]map[string]any{
		"as Google issues it":      nil,
		"a key in PKCS #1":         {"private_key": pkcs1},
		"a project under a domain": {"project_id": "example.com:demo-project"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			account, err := credential.ParseServiceAccount(serviceAccountJSON(t, values), "")
			if err != nil {
				t.Fatal(err)
			}
			config := account.JWTConfig("scope")
			if config.Email != "push@demo-project.iam.gserviceaccount.com" || config.PrivateKeyID != "id-1" ||
				config.TokenURL != credential.GoogleTokenURI || len(config.PrivateKey) == 0 {
				t.Errorf("got %s, key %q, %s", config.Email, config.PrivateKeyID, config.TokenURL)
			}
			for _, text := range []string{fmt.Sprint(account), fmt.Sprintf("%+v", account), fmt.Sprintf("%#v", account)} {
				if strings.Contains(text, "PRIVATE") || len(text) > 100 {
					t.Errorf("prints its key: %s", text)
				}
			}
		})
	}
}

func TestParseServiceAccountNamesMistakes(t *testing.T) {
	t.Parallel()
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	broken := strings.Replace(pkcs8(t, goodKey(t)), "\nMII", "\nAAA", 1)
	for name, c := range map[string]struct {
		values map[string]any
		want   string
	}{
		"a user's credential":          {map[string]any{"type": "authorized_user"}, `type: "authorized_user", want service_account`},
		"no project":                   {map[string]any{"project_id": ""}, `project_id: "" is no project id`},
		"a project that leaves a path": {map[string]any{"project_id": "../x"}, `project_id: "../x" is no project id`},
		"no address":                   {map[string]any{"client_email": "x"}, `client_email: "x" is no address`},
		"no key":                       {map[string]any{"private_key": ""}, "private_key: not PEM"},
		"a certificate":                {map[string]any{"private_key": "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"}, "private_key: PEM, but of no private key"},
		"a broken key":                 {map[string]any{"private_key": broken}, "private_key: not a readable private key"},
		"a key on a curve":             {map[string]any{"private_key": pkcs8(t, curve)}, "private_key: a key of type *ecdsa.PrivateKey, want RSA"},
		"a short key":                  {map[string]any{"private_key": pkcs8(t, small)}, "private_key: RSA with 1024 bits, want 2048 or more"},
		"a key that is no text":        {map[string]any{"private_key": 7}, "not the JSON of a service account"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := credential.ParseServiceAccount(serviceAccountJSON(t, c.values), "")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if strings.Contains(err.Error(), "BEGIN") || len(err.Error()) > 300 {
				t.Errorf("quotes key material: %v", err)
			}
		})
	}
	_, err = credential.ParseServiceAccount([]byte(`{}`), "")
	for _, field := range []string{"type:", "project_id:", "client_email:", "private_key:", "token_uri:"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("an empty file: got %v, want %s too", err, field)
		}
	}
}

// TestServiceAccountSignsForNobodyElse: who holds token_uri gets assertions signed by the account.
func TestServiceAccountSignsForNobodyElse(t *testing.T) {
	t.Parallel()
	const simulator = "https://simulators:8444"
	for _, c := range []struct {
		uri, endpoint string
		valid         bool
	}{
		{credential.GoogleTokenURI, "", true},
		{credential.GoogleTokenURI, simulator, true},
		{"https://127.0.0.1:1/token", "", false},
		{"https://127.0.0.1:1/token", simulator, true},
		{"https://[::1]:1/token", simulator, true},
		{"https://localhost:1/token", simulator, true},
		{"https://simulators:8444/token", simulator, true},
		{"https://simulators:8445/token", simulator, false},
		{"https://evil.example/token", "", false},
		{"https://evil.example/token", simulator, false},
		{"https://localhost.evil.example/token", simulator, false},
		{"https://localhost@evil.example/token", simulator, false},
		{"https://user@localhost/token", simulator, false},
		{"http://127.0.0.1:1/token", simulator, false},
		{"https://oauth2.googleapis.com.evil.example/token", simulator, false},
		{"", simulator, false},
	} {
		_, err := credential.ParseServiceAccount(serviceAccountJSON(t, map[string]any{"token_uri": c.uri}), c.endpoint)
		if (err == nil) != c.valid {
			t.Errorf("token_uri %q, endpoint %q: got %v", c.uri, c.endpoint, err)
		}
		if err != nil && !strings.Contains(err.Error(), "token_uri: ") {
			t.Errorf("token_uri %q: the error does not name it: %v", c.uri, err)
		}
	}
}
