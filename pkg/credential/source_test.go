package credential_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/credential"
)

// TestSourceReads is not parallel: it sets environment variables.
func TestSourceReads(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	env := func(name, value string) string {
		t.Setenv(name, value)
		return name
	}
	const pem, binary = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "\x30\x82\x00\xff"
	wrapped := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(binary, 40)))
	for name, c := range map[string]struct {
		source credential.Source
		want   credential.Material
	}{
		"a file as it is":           {credential.Source{File: file("a", pem)}, credential.Material{Content: []byte(pem)}},
		"a file of base64 as it is": {credential.Source{File: file("b", "QUJD")}, credential.Material{Content: []byte("QUJD")}},
		"a variable as it is":       {credential.Source{Env: env("A_KEY", pem)}, credential.Material{Content: []byte(pem)}},
		"a variable of JSON":        {credential.Source{Env: env("A_JSON", `{"type":""}`)}, credential.Material{Content: []byte(`{"type":""}`)}},
		"a variable in base64": {
			credential.Source{Env: env("A_P12", base64.StdEncoding.EncodeToString([]byte(binary)))}, credential.Material{Content: []byte(binary)},
		},
		"a variable in lines of base64": {
			credential.Source{Env: env("A_LONG", wrapped[:76]+"\n"+wrapped[76:]+"\n")}, credential.Material{Content: []byte(strings.Repeat(binary, 40))},
		},
		"a password from a file": {
			credential.Source{File: file("c", pem), PasswordFile: file("p", " pass word \r\n")},
			credential.Material{Content: []byte(pem), Password: " pass word "},
		},
		"a password that looks like base64": {
			credential.Source{File: file("d", pem), PasswordEnv: env("A_PASSWORD", "QUJD")}, credential.Material{Content: []byte(pem), Password: "QUJD"},
		},
		"a key id": {
			credential.Source{File: file("e", pem), KeyIDFile: file("id", "ABC123DEFG\n")}, credential.Material{Content: []byte(pem), KeyID: "ABC123DEFG"},
		},
	} {
		got, err := c.source.Read()
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}

	for name, c := range map[string]struct {
		source credential.Source
		says   []string
	}{
		"no file":          {credential.Source{File: filepath.Join(dir, "absent")}, []string{"absent", "no such file"}},
		"a large file":     {credential.Source{File: file("large", strings.Repeat("x", 65<<10))}, []string{"large", "larger than"}},
		"a folder":         {credential.Source{File: dir}, []string{dir}},
		"no variable":      {credential.Source{Env: "NOT_SET_ANYWHERE"}, []string{"environment variable NOT_SET_ANYWHERE", "not set"}},
		"a large variable": {credential.Source{Env: env("LARGE", strings.Repeat("x", 129<<10))}, []string{"LARGE", "too long"}},
		"no password":      {credential.Source{File: file("f", pem), PasswordFile: filepath.Join(dir, "absent")}, []string{"password: ", "absent"}},
		"no key id":        {credential.Source{File: file("g", pem), KeyIDFile: filepath.Join(dir, "absent")}, []string{"key id: ", "absent"}},
	} {
		_, err := c.source.Read()
		for _, says := range c.says {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: got %v, want %q", name, err, says)
			}
		}
	}
}
