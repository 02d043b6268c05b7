package h2_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
)

// nghttpdVariable, where it is set, makes it an error that nghttpd is missing.
const nghttpdVariable = "PUSHFLEET_TEST_NGHTTPD"

// nghttpd runs nghttp2's server, of Debian's package nghttp2-server, until the test ends. It echoes what is posted, and
// serves a file of 200,000 bytes under /file.
func nghttpd(t *testing.T, options ...string) site {
	t.Helper()
	program, err := exec.LookPath("nghttpd")
	if err != nil {
		if os.Getenv(nghttpdVariable) != "" {
			t.Fatal("no nghttpd, which Debian's package nghttp2-server has")
		}
		t.Skip("no nghttpd")
	}
	authority, err := pushtest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.ServerCertificate()
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"key":       pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"cert":      pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}),
		"root/file": []byte(strings.Repeat("x", 200_000)),
		"root/echo": nil,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 { // the port is free now, and may be another's a moment later
		address := freeAddress(t)
		_, port, _ := net.SplitHostPort(address)
		args := append([]string{"--address=127.0.0.1", "--echo-upload", "--htdocs=" + filepath.Join(dir, "root")}, options...)
		process := exec.CommandContext(t.Context(), program, append(args, port, filepath.Join(dir, "key"), filepath.Join(dir, "cert"))...)
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = process.Wait() // killed at the end
		}()
		if listens(address, ended) {
			t.Cleanup(func() {
				_ = process.Process.Kill()
				<-ended
			})
			return site{url: "https://" + address, roots: authority.Pool()}
		}
		_ = process.Process.Kill()
		<-ended
	}
	t.Fatal("nghttpd does not start")
	return site{}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// listens waits until somebody listens.
func listens(address string, ended <-chan struct{}) bool {
	for begun := time.Now(); time.Since(begun) < 30*time.Second; {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return true
		}
		select {
		case <-ended:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	return false
}

func TestWithNghttpd(t *testing.T) {
	for name, options := range map[string][]string{
		"as it is":              nil,
		"one stream":            {"--max-concurrent-streams=1"},
		"no tables":             {"--header-table-size=0", "--encoder-header-table-size=0"},
		"a large table":         {"--header-table-size=64K", "--encoder-header-table-size=64K"},
		"tiny windows":          {"--window-bits=8"},
		"large windows":         {"--window-bits=24", "--connection-window-bits=24"},
		"padding":               {"--padding=255"},
		"no content-length":     {"--no-content-length"},
		"trailers":              {"--trailer=x-trailer: yes"},
		"four threads":          {"--workers=4"},
		"push, if it were able": {"--push=/echo=/file"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s subject) {
				if s.name == std.name && options != nil {
					t.Skip("the run without options shows that std can do it")
				}
				at := nghttpd(t, options...)
				exchange(t, s, at)
				rt := s.transport(t, &tls.Config{RootCAs: at.roots})
				for range 5 {
					response, got, err := ask(soon(t), rt, http.MethodGet, at.url+"/file", nil, nil)
					if err != nil || response.StatusCode != http.StatusOK || len(got) != 200_000 {
						t.Fatalf("the file: got %v with %d bytes, %v", response, len(got), err)
					}
					if length := response.Header.Get("Content-Length"); length != "" && length != strconv.Itoa(len(got)) {
						t.Errorf("the length is said to be %s", length)
					}
					if want := name == "trailers"; (response.Trailer.Get("X-Trailer") == "yes") != want {
						t.Errorf("the trailers are %v", response.Trailer)
					}
				}
			})
		})
	}
}
