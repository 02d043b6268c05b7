package h2

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// proxy passes CONNECT on, or answers it otherwise. It ends with the test.
type proxy struct {
	url    *url.URL
	answer string // instead of passing on; "" = passes on
	silent bool

	mu    sync.Mutex
	asked []*http.Request
}

func (p *proxy) start(t *testing.T) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(func() { listener.Close() })
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { p.serve(conn) })
		}
	})
	p.url = &url.URL{Scheme: "http", Host: listener.Addr().String(), User: url.UserPassword("user", "secret")}
	return p
}

func (p *proxy) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	r, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, r)
	p.mu.Unlock()
	switch {
	case p.silent:
		_, _ = in.ReadByte() // until the client gives up
		return
	case p.answer != "":
		_, _ = io.WriteString(conn, p.answer)
		return
	}
	server, err := net.Dial("tcp", r.Host)
	if err != nil {
		return
	}
	defer server.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		_, _ = io.Copy(server, in)
		server.Close()
	}()
	_, _ = io.Copy(conn, server)
}

func TestConnectionsGoThroughAProxy(t *testing.T) {
	t.Parallel()
	p := new(proxy).start(t)
	server, transport := serve(t, echo, Limits{}, Settings{})
	transport.dialer.Proxy = http.ProxyURL(p.url)
	r, err := http.NewRequest(http.MethodPost, server.URL, strings.NewReader("through"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(response.Body); string(got) != "through" {
		t.Errorf("got %q", got)
	}
	asked := p.asked[0]
	if want := strings.TrimPrefix(server.URL, "https://"); asked.Method != http.MethodConnect || asked.Host != want {
		t.Errorf("asked for %s %s, want CONNECT %s", asked.Method, asked.Host, want)
	}
	if got := asked.Header.Get("Proxy-Authorization"); got != "Basic dXNlcjpzZWNyZXQ=" {
		t.Errorf("authorized by %q", got)
	}
}

func TestAConnectionThatCannotBeSetUpTellsWhy(t *testing.T) {
	t.Parallel()
	encrypted := func(config *tls.Config) string {
		server := httptest.NewUnstartedServer(http.HandlerFunc(echo))
		server.TLS = config
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	modern := encrypted(&tls.Config{NextProtos: []string{"h2", "http/1.1"}})
	old := encrypted(&tls.Config{NextProtos: []string{"http/1.1"}})
	outdated := encrypted(&tls.Config{NextProtos: []string{"h2", "http/1.1"}, MaxVersion: tls.VersionTLS11})
	trusting := &tls.Config{InsecureSkipVerify: true}
	taken, err := net.Dial("tcp", modern) // whose own port nobody else can listen on meanwhile
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })

	for _, test := range []struct {
		name   string
		dialer Dialer
		to     string
		want   string
	}{
		{"nobody listens", Dialer{}, taken.LocalAddr().String(), "refused"},
		{"no port", Dialer{}, "server.test", "missing port"},
		{"an unknown authority", Dialer{}, modern, "certificate"},
		{"HTTP/1.1", Dialer{TLS: trusting}, old, "no application protocol"},
		{"TLS 1.1", Dialer{TLS: trusting}, outdated, "protocol version"},
		{"a proxy that refuses", through(new(proxy).refusing("407 Proxy Authentication Required").start(t)), "server.test:443", "407"},
		{"a proxy that talks on", through((&proxy{answer: "HTTP/1.1 200 OK\r\n\r\nhello"}).start(t)), "server.test:443", "before TLS"},
		{"a proxy without an end", through((&proxy{answer: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20)}).start(t)), "server.test:443", "EOF"},
		{"a proxy of another kind", Dialer{Proxy: http.ProxyURL(&url.URL{Scheme: "socks4", Host: "proxy.test"})}, "server.test:443", "socks4"},
		{"a proxy whose address is wrong", Dialer{Proxy: func(*http.Request) (*url.URL, error) {
			return nil, errors.New(`invalid proxy address "http://user:secret%zz@proxy.test"`)
		}}, "server.test:443", "address of the proxy"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			conn, err := test.dialer.Dial(t.Context(), test.to)
			if conn != nil {
				conn.Close()
			}
			var dial *DialError
			if !errors.As(err, &dial) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want something with %q", err, test.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("it quotes the proxy's password: %v", err)
			}
		})
	}
}

// A proxy may want a certificate, which it never gets: what it says of that must not pass for the server's word.
func TestAProxysAlertIsNotTheServers(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lender := httptest.NewTLSServer(nil) // of its certificate
			t.Cleanup(lender.Close)
			config := &tls.Config{Certificates: lender.TLS.Certificates, ClientAuth: tls.RequireAnyClientCert, MinVersion: version, MaxVersion: version}
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var serving sync.WaitGroup
			t.Cleanup(serving.Wait)
			t.Cleanup(func() { listener.Close() })
			serving.Go(func() {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				_ = tls.Server(conn, config).HandshakeContext(t.Context()) // it sends the alert
				_, _ = io.Copy(io.Discard, conn)                           // or a reset could overtake it
			})
			dialer := Dialer{
				TLS:   &tls.Config{InsecureSkipVerify: true},
				Proxy: http.ProxyURL(&url.URL{Scheme: "https", Host: listener.Addr().String()}),
			}
			_, err = dialer.Dial(t.Context(), "server.test:443")
			var failed *DialError
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), "remote error: tls: ") {
				t.Fatalf("got %v, want the proxy's alert", err)
			}
			var alert *net.OpError
			if errors.As(failed.Cause, &alert) {
				t.Errorf("%v unwraps to %v", failed.Cause, alert)
			}
		})
	}
}

func (p *proxy) refusing(status string) *proxy {
	p.answer = "HTTP/1.1 " + status + "\r\nContent-Length: 0\r\n\r\n"
	return p
}

func through(p *proxy) Dialer { return Dialer{Proxy: http.ProxyURL(p.url)} }

func TestASetUpEndsWithItsContextWhateverItWaitsFor(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes the connection, and nobody does TLS
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	for name, dialer := range map[string]Dialer{
		"TCP":                    {Net: func(ctx context.Context, _, _ string) (net.Conn, error) { return hang(ctx) }},
		"TLS":                    {},
		"the proxy's answer":     through((&proxy{silent: true}).start(t)),
		"the proxy's connection": {Proxy: http.ProxyURL(&url.URL{Scheme: "https", Host: silent.Addr().String()})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			begun := time.Now()
			_, err := dialer.Dial(ctx, silent.Addr().String())
			if err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want an error that is not the caller's own deadline", err)
			}
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}
