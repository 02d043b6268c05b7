package api

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestBearerTokens(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for name, c := range map[string]struct {
		header string
		status int
	}{
		"the token":                  {"Bearer " + bearer, 200},
		"scheme in another case":     {"bearer " + bearer, 200},
		"none":                       {"", 401},
		"another":                    {"Bearer wrong", 401},
		"a prefix of it":             {"Bearer " + bearer[:len(bearer)-1], 401},
		"more than it":               {"Bearer " + bearer + "x", 401},
		"empty":                      {"Bearer ", 401},
		"another scheme":             {"Basic " + bearer, 401},
		"the token without a scheme": {bearer, 401},
		"a comment of the file":      {"Bearer # of the tests", 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/v1/apps/demo/users/bob/devices", nil)
			r.Header.Set("Authorization", c.header)
			w := httptest.NewRecorder()
			b.Handler().ServeHTTP(w, r)
			if w.Code != c.status {
				t.Fatalf("status %d, want %d", w.Code, c.status)
			}
			if c.status == 401 {
				problemOf(t, w, 401)
				if !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") {
					t.Error("no WWW-Authenticate: Bearer")
				}
			}
		})
	}
}

func TestTokensFileIsReadAgainWhenItChanges(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	allowed := func(token string) bool { return b.Server.tokens.allow("Bearer " + token) }
	later := now
	change := func(text string) {
		writeFile(t, b.tokens, text)
		later = later.Add(time.Second) // file times can be too coarse to tell two writes apart
		if err := os.Chtimes(b.tokens, later, later); err != nil {
			t.Fatal(err)
		}
	}
	change("first\n# between them\n  second  \n")
	if allowed(bearer) || !allowed("first") || !allowed("second") {
		t.Error("a replaced token still holds, or one of its successors does not")
	}
	if err := os.Remove(b.tokens); err != nil {
		t.Fatal(err)
	}
	if !allowed("second") {
		t.Error("a file that is missing for a moment locks everyone out")
	}
	change("third\n")
	if allowed("second") || !allowed("third") {
		t.Error("a file that came back is not read")
	}
}

func TestTokensFileHasToHoldATokenAtTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	comments := filepath.Join(dir, "comments")
	writeFile(t, comments, "# none\n \n")
	for file, want := range map[string]string{filepath.Join(dir, "missing"): "missing", comments: "holds no token"} {
		_, err := New(Options{TokensFile: file, Logger: zap.NewNop()})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "api.tokens_file") {
			t.Errorf("error %v, want one that names api.tokens_file and says %q", err, want)
		}
	}
}
