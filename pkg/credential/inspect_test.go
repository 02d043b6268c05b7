package credential_test

import (
	"crypto/elliptic"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pushfleet/pushfleet/pkg/credential"
	"github.com/pushfleet/pushfleet/pkg/credential/credentialtest"
)

func TestInspect(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct {
		content []byte
		want    credential.Report
		says    string // of the error; "" = none
	}{
		"AuthKey_ABC123DEFG.p8": {
			encode(t, "PRIVATE KEY", generate(t, elliptic.P256())),
			credential.Report{Facts: credential.Facts{Kind: "p8", KeyID: "ABC123DEFG"}}, "",
		},
		"key.p8":     {encode(t, "PRIVATE KEY", generate(t, elliptic.P256())), credential.Report{Facts: credential.Facts{Kind: "p8"}}, ""},
		"rsa.p8":     {[]byte(pkcs8(t, goodKey(t))), credential.Report{}, "an RSA key"},
		"sa.json":    {serviceAccountJSON(t, nil), credential.Report{Facts: credential.Facts{Kind: "service_account", KeyID: "id-1"}, Project: "demo-project", Account: "push@demo-project.iam.gserviceaccount.com"}, ""},
		"other.json": {serviceAccountJSON(t, map[string]any{"token_uri": "https://evil.example/token"}), credential.Report{}, "token_uri"},
		"push.p12": {p12(t, nil), credential.Report{
			Facts: credential.Facts{Kind: "p12", KeyID: "CAFE", Expires: today.AddDate(1, 0, 0)}, TeamID: "DEF123GHIJ",
			Topics:       []string{"com.example.demo", "com.example.demo.complication", "com.example.demo.voip"},
			Environments: "production, development",
		}, ""},
		"old.p12": {p12(t, func(c *credentialtest.Certificate) { c.NotAfter, c.Universal, c.Development = today, false, false }), credential.Report{
			Facts: credential.Facts{Kind: "p12", KeyID: "CAFE", Expires: today}, TeamID: "DEF123GHIJ", Topics: []string{"com.example.demo"},
			Environments: "production",
		}, "expired on 2026-09-21"},
		"empty":    {nil, credential.Report{}, "empty"},
		"note.txt": {[]byte("no credential"), credential.Report{}, "not a PKCS #12 file"},
	} {
		file, secret := filepath.Join(dir, name), filepath.Join(dir, "password")
		for path, content := range map[string][]byte{file: c.content, secret: []byte(password + "\n")} {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := credential.Inspect(credential.Source{File: file, PasswordFile: secret}, today)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
		if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(credential.Facts{}, "Fingerprint")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
