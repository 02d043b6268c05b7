package clients_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pushfleet/pushfleet/workers/simulate"
)

// reply is what curl got.
type reply struct {
	status  int
	version string
	headers map[string][]string
	body    []byte
}

// summary is curl's own JSON of a transfer: one line, behind the body, which it ends by a line of its own.
const summary = "\n{\"status\":%{http_code},\"version\":\"%{http_version}\",\"headers\":%{header_json}}\n\x1e"

// curl sends a body to an address, as often at once as it is told, and returns a reply for each.
func curl(t *testing.T, s simulator, address, body string, times int, args ...string) []reply {
	t.Helper()
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append(args, "--silent", "--show-error", "--parallel", "--parallel-max", "100", "--max-time", "30", "--cacert", s.CAFile,
		"--data-binary", "@"+file, "--write-out", summary)
	args = append(args, slices.Repeat([]string{address}, times)...)
	cmd := exec.CommandContext(t.Context(), "curl", args...)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("curl: %v\n%s", err, problems.String())
	}
	var replies []reply
	for _, part := range strings.Split(strings.TrimSuffix(string(out), "\x1e"), "\x1e") {
		// header_json is spread over lines, so the summary is found by its beginning.
		body, text, found := strings.Cut(part, "\n{\"status\":")
		var about struct {
			Status  int                 `json:"status"`
			Version string              `json:"version"`
			Headers map[string][]string `json:"headers"`
		}
		if err := json.Unmarshal([]byte("{\"status\":"+text), &about); !found || err != nil {
			t.Fatalf("curl printed %q: %v", part, err)
		}
		replies = append(replies, reply{about.Status, about.Version, about.Headers, []byte(body)})
	}
	return replies
}

// curlToAPNs sends pushes with curl: a process and a connection for each.
func curlToAPNs(t *testing.T, s simulator, who identity) func(push) []pushAnswer {
	t.Helper()
	shown := []string{"--cert-type", "P12", "--cert", s.CertificateFile + ":" + simulate.P12Password}
	if !who.certificate {
		key, err := os.ReadFile(s.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		claims := jwt.MapClaims{"iss": simulate.TeamID, "iat": time.Now().Unix() - int64(who.clockBehind)}
		shown = []string{"--header", "authorization: bearer " + signed(t, jwt.SigningMethodES256, who.keyID, claims, key)}
	}
	return func(p push) (answers []pushAnswer) {
		t.Helper()
		aps := map[string]any{"alert": strings.Repeat("x", p.Size)}
		if p.Type == "background" {
			aps = map[string]any{"content-available": 1}
		}
		args := append(slices.Clone(shown), "--http2", "--header", "apns-topic: "+p.Topic, "--header", "apns-push-type: "+p.Type,
			"--header", fmt.Sprintf("apns-priority: %d", p.Priority))
		if p.ID != "" {
			args = append(args, "--header", "apns-id: "+p.ID)
		}
		for _, r := range curl(t, s, s.APNs+"/3/device/"+p.Token, encode(t, map[string]any{"aps": aps}), max(p.Times, 1), args...) {
			if r.version != "2" {
				t.Errorf("HTTP %s, want 2", r.version)
			}
			answer := pushAnswer{Status: r.status}
			if len(r.headers["apns-id"]) == 1 {
				answer.ID = r.headers["apns-id"][0]
			}
			if len(r.body) > 0 {
				if err := json.Unmarshal(r.body, &answer); err != nil {
					t.Errorf("body %q: %v", r.body, err)
				}
			}
			answers = append(answers, answer)
		}
		return answers
	}
}

// signed is a token of claims, signed with a PKCS #8 key in PEM.
func signed(t *testing.T, method jwt.SigningMethod, keyID string, claims jwt.MapClaims, content []byte) string {
	t.Helper()
	block, _ := pem.Decode(content)
	if block == nil {
		t.Fatal("the key is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = keyID
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func encode(t *testing.T, v any) string {
	t.Helper()
	encoded, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}
