package credential_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pushfleet/pushfleet/pkg/credential"
)

func TestLoadP8(t *testing.T) {
	t.Parallel()
	key := generate(t, elliptic.P256())
	path := write(t, encode(t, "PRIVATE KEY", key))
	got, err := credential.LoadP8(path)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Key.Equal(key) {
		t.Error("got another key than was written")
	}
}

func TestLoadP8Refuses(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		content []byte
		says    string
	}{
		"nothing":             {nil, "not a PEM file"},
		"garbage":             {[]byte("c2VjcmV0LWdhcmJhZ2U="), "not a PEM file"},
		"a PEM of garbage":    {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret-garbage")}), "not a PKCS #8 key"},
		"another kind of PEM": {encode(t, "EC PRIVATE KEY", generate(t, elliptic.P256())), "PRIVATE KEY"},
		"an RSA key":          {encode(t, "PRIVATE KEY", rsaKey), "an RSA key; want an ECDSA key"},
		"another curve":       {encode(t, "PRIVATE KEY", generate(t, elliptic.P384())), "on the curve P-384; want P-256"},
		"a certificate":       {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("secret-garbage")}), "a certificate; want"},
		"a service account":   {serviceAccountJSON(t, nil), "JSON, as of a service account"},
		"a megabyte":          {make([]byte, 1<<20), "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, test.content)
			_, err := credential.LoadP8(path)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range []string{path, test.says} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
			for _, secret := range secrets(test.content) {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error quotes the content: %v", err)
				}
			}
		})
	}
}

func TestLoadP8NamesAMissingFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "absent.p8")
	if _, err := credential.LoadP8(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error with %s", err, path)
	}
}

// secrets is what an error must not show of a file: its lines, and what its PEM block holds.
func secrets(content []byte) []string {
	var found []string
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "-----") {
			found = append(found, line)
		}
	}
	if block, _ := pem.Decode(content); block != nil {
		found = append(found, string(block.Bytes), base64.StdEncoding.EncodeToString(block.Bytes))
	}
	return found
}

func generate(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func encode(t *testing.T, kind string, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func write(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "AuthKey.p8")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
