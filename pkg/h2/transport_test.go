package h2

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// serve starts net/http's own server, and returns a transport that trusts it.
func serve(t testing.TB, handler http.HandlerFunc, limits Limits, settings Settings) (*httptest.Server, *Transport) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	transport := NewTransport(&Dialer{TLS: &tls.Config{RootCAs: roots, ServerName: "example.com"}}, limits, settings)
	t.Cleanup(transport.Close)
	return server, transport
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Path", r.URL.RequestURI())
	w.Header().Set("X-Method", r.Method)
	w.Header()["X-Twice"] = r.Header["X-Twice"]
	w.Write(body)
}

func TestRequestsAndResponsesArrive(t *testing.T) {
	t.Parallel()
	server, transport := serve(t, echo, Limits{}, Settings{})
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	for _, size := range []int{0, 1, 300, 16384, 65536, 65537, 200_000, 1 << 20} {
		body := strings.Repeat("x", size)
		for name, reader := range map[string]io.Reader{
			"of known length": strings.NewReader(body), "of unknown length": io.MultiReader(strings.NewReader(body)),
		} {
			r, err := http.NewRequest(http.MethodPost, server.URL+"/a%2fb?c=d", reader)
			if err != nil {
				t.Fatal(err)
			}
			r.Header["X-Twice"] = []string{"one", "two"}
			response, err := client.Do(r)
			if err != nil {
				t.Fatalf("%d bytes %s: %v", size, name, err)
			}
			got, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || string(got) != body {
				t.Errorf("%d bytes %s: got %d back, %v", size, name, len(got), err)
			}
			if response.StatusCode != 200 || response.Header.Get("X-Path") != "/a%2fb?c=d" || len(response.Header["X-Twice"]) != 2 {
				t.Errorf("%d bytes %s: got %d %v", size, name, response.StatusCode, response.Header)
			}
		}
	}
}

func TestManyAtATime(t *testing.T) {
	t.Parallel()
	server, transport := serve(t, echo, Limits{}, Settings{})
	var callers sync.WaitGroup
	for range 200 {
		callers.Go(func() {
			for range 10 {
				r, _ := http.NewRequest(http.MethodPost, server.URL, bytes.NewReader(make([]byte, 500)))
				response, err := transport.RoundTrip(r)
				if err != nil {
					t.Error(err)
					return
				}
				if body, err := io.ReadAll(response.Body); len(body) != 500 || err != nil {
					t.Errorf("got %d bytes, %v", len(body), err)
				}
			}
		})
	}
	callers.Wait()
}
