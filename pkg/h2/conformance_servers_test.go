package h2_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/pushfleet/pushfleet/pkg/apns/apnstest"
	"github.com/pushfleet/pushfleet/pkg/fcm/fcmtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
)

// site is a real server that echoes what is posted to /echo.
type site struct {
	url   string
	roots *x509.CertPool
}

// ask sends a request and reads its answer.
func ask(ctx context.Context, rt http.RoundTripper, method, url string, body io.Reader, header http.Header) (*http.Response, string, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, "", err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	response, err := rt.RoundTrip(r)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response, string(content), err
}

// soon bounds what waits for a real server, on a slow machine too.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// exchange is what every server has to see right.
func exchange(t *testing.T, s subject, at site) {
	t.Helper()
	rt := s.transport(t, &tls.Config{RootCAs: at.roots})
	ctx := soon(t)
	for _, size := range []int{0, 1, 1000, 16384, 16385, 65535, 65536, 150_000} {
		content := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		response, got, err := ask(ctx, rt, http.MethodPost, at.url+"/echo", strings.NewReader(content), nil)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 || got != content {
			t.Errorf("%d bytes: got %s by %s with %d bytes", size, response.Status, response.Proto, len(got))
		}
	}
	long := http.Header{}
	for i := range 30 {
		long.Set(fmt.Sprint("X-Long-", i), strings.Repeat("~", 1000))
	}
	if response, got, err := ask(ctx, rt, http.MethodPost, at.url+"/echo", strings.NewReader("x"), long); err != nil || got != "x" {
		t.Errorf("a long header: got %v %q, %v", response, got, err)
	}
	if response, got, err := ask(ctx, rt, http.MethodHead, at.url+"/echo", nil, nil); err != nil || response.StatusCode != http.StatusOK || got != "" {
		t.Errorf("HEAD: got %v %q, %v", response, got, err)
	}
	var running sync.WaitGroup
	for worker := range 20 {
		running.Go(func() {
			for i := range 8 {
				content := strings.Repeat(fmt.Sprintf("%d/%d ", worker, i), 1+worker*i)
				ctx, cancel := context.WithCancel(ctx)
				if worker%5 == 0 { // gone before the answer, or a little after it
					time.AfterFunc(time.Duration(i)*100*time.Microsecond, cancel)
				}
				_, got, err := ask(ctx, rt, http.MethodPost, at.url+"/echo", strings.NewReader(content), nil)
				cancel()
				if err == nil && got != content || err != nil && (worker%5 != 0 || !errors.Is(err, context.Canceled)) {
					t.Errorf("worker %d request %d: got %d of %d bytes, %v", worker, i, len(got), len(content), err)
				}
			}
		})
	}
	running.Wait()
}

// goServer is net/http's server.
func goServer(t *testing.T, config *tls.Config, limits *http.HTTP2Config, handler http.Handler) (*httptest.Server, site) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2, server.TLS = true, config
	server.Config.HTTP2 = limits
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server, site{url: server.URL, roots: roots}
}

func echo(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/echo" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_, _ = io.Copy(w, r.Body)
}

func TestWithNetHTTPsServer(t *testing.T) {
	for name, test := range map[string]struct {
		tls    *tls.Config
		limits http.HTTP2Config
	}{
		"TLS 1.3":                {tls: &tls.Config{MinVersion: tls.VersionTLS13}},
		"TLS 1.2":                {tls: &tls.Config{MaxVersion: tls.VersionTLS12}},
		"one stream":             {limits: http.HTTP2Config{MaxConcurrentStreams: 1}},
		"no tables":              {limits: http.HTTP2Config{MaxDecoderHeaderTableSize: 1, MaxEncoderHeaderTableSize: 1}},
		"small windows":          {limits: http.HTTP2Config{MaxReceiveBufferPerStream: 1000, MaxReceiveBufferPerConnection: 64 << 10}},
		"frames of the smallest": {limits: http.HTTP2Config{MaxReadFrameSize: 16 << 10}},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s subject) {
				_, at := goServer(t, test.tls, &test.limits, http.HandlerFunc(echo))
				exchange(t, s, at)
			})
		})
	}
}

func TestAServerThatShutsDownLosesAndDoublesNothing(t *testing.T) {
	each(t, func(t *testing.T, s subject) {
		var mu sync.Mutex
		seen := make(map[string]int)
		var begun atomic.Int64
		half := make(chan struct{})
		server, at := goServer(t, nil, &http.HTTP2Config{MaxConcurrentStreams: 20}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if begun.Add(1) == 200 {
				close(half)
			}
			mu.Lock()
			seen[r.URL.Path]++
			mu.Unlock()
			_, _ = io.WriteString(w, r.URL.Path)
		}))
		rt := s.transport(t, &tls.Config{RootCAs: at.roots})
		ctx := soon(t)
		var running sync.WaitGroup
		for worker := range 20 {
			running.Go(func() {
				for i := range 50 {
					path := fmt.Sprintf("/%d/%d", worker, i)
					_, got, err := ask(ctx, rt, http.MethodPost, at.url+path, strings.NewReader("x"), nil)
					mu.Lock()
					count := seen[path]
					mu.Unlock()
					switch {
					case err == nil && (got != path || count != 1):
						t.Errorf("%s was answered by %q and came %d times", path, got, count)
					case err != nil && s.unprocessed(err) && count > 0:
						t.Errorf("%s came, though it is said not to have been processed: %v", path, err)
					}
				}
			})
		}
		<-half
		if err := server.Config.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		running.Wait()
	})
}

func TestWithTheAPNsSimulator(t *testing.T) {
	each(t, func(t *testing.T, s subject) {
		authority, err := pushtest.NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := authority.ServerCertificate()
		if err != nil {
			t.Fatal(err)
		}
		key, p8, err := apnstest.NewKey("DEF123GHIJ", "ABC123DEFG", "com.example.demo")
		if err != nil {
			t.Fatal(err)
		}
		simulator, err := apnstest.Start(apnstest.Config{Certificate: certificate, Keys: []apnstest.Key{key}, MaxStreams: 50})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { simulator.Close() })
		header := http.Header{
			"Authorization": {"bearer " + providerToken(t, p8)}, "Apns-Topic": {"com.example.demo"}, "Apns-Push-Type": {"alert"},
		}
		rt := s.transport(t, &tls.Config{RootCAs: authority.Pool()})
		ctx := soon(t)
		var running sync.WaitGroup
		for worker := range 50 {
			running.Go(func() {
				for i := range 10 {
					url := fmt.Sprintf("%s/3/device/%064x", simulator.URL(), worker*10+i)
					response, got, err := ask(ctx, rt, http.MethodPost, url, strings.NewReader(`{"aps":{"alert":"hello"}}`), header)
					if err != nil || response.StatusCode != http.StatusOK || response.Header.Get("Apns-Id") == "" {
						t.Errorf("push %d/%d: got %v %q, %v", worker, i, response, got, err)
					}
				}
			})
		}
		running.Wait()
		if counts := simulator.Control().Ledger.Counts(); counts.Accepted != 500 || counts.Again != 0 {
			t.Errorf("the simulator accepted %d, %d of them again", counts.Accepted, counts.Again)
		}
		simulator.Unregister(strings.Repeat("0", 64), time.Now())
		response, got, err := ask(ctx, rt, http.MethodPost, simulator.URL()+"/3/device/"+strings.Repeat("0", 64), strings.NewReader(`{"aps":{}}`), header)
		if err != nil || response.StatusCode != http.StatusGone || !strings.Contains(got, "Unregistered") {
			t.Errorf("a device that is gone: got %v %q, %v", response, got, err)
		}
	})
}

func providerToken(t *testing.T, p8 []byte) string {
	t.Helper()
	block, _ := pem.Decode(p8)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": "DEF123GHIJ", "iat": time.Now().Unix()})
	token.Header["kid"] = "ABC123DEFG"
	signed, err := token.SignedString(key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestWithTheFCMSimulator(t *testing.T) {
	each(t, func(t *testing.T, s subject) {
		simulator, err := fcmtest.Start(fcmtest.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { simulator.Close() })
		account, err := simulator.ServiceAccount("demo")
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(simulator.CAPEM())
		rt := s.transport(t, &tls.Config{RootCAs: roots})
		config, err := google.JWTConfigFromJSON(account, "https://www.googleapis.com/auth/firebase.messaging")
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.WithValue(soon(t), oauth2.HTTPClient, &http.Client{Transport: rt})
		authorized := &oauth2.Transport{Source: config.TokenSource(ctx), Base: rt}
		var running sync.WaitGroup
		for worker := range 20 {
			running.Go(func() {
				for i := range 10 {
					message := fmt.Appendf(nil, `{"message":{"token":"device-%d-%d:APA91b%s","data":{"a":"b"}}}`, worker, i, strings.Repeat("x", 130))
					response, got, err := ask(ctx, authorized, http.MethodPost, simulator.URL()+"/v1/projects/demo/messages:send",
						bytes.NewReader(message), http.Header{"Content-Type": {"application/json"}})
					if err != nil || response.StatusCode != http.StatusOK {
						t.Errorf("message %d/%d: got %v %q, %v", worker, i, response, got, err)
					}
				}
			})
		}
		running.Wait()
		if counts := simulator.Control().Ledger.Counts(); counts.Accepted != 200 {
			t.Errorf("the simulator accepted %d", counts.Accepted)
		}
	})
}
