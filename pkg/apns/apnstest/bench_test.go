package apnstest_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/pushfleet/pushfleet/pkg/apns/apnstest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
)

// benchServer is the variable that makes the test's binary a simulator, which ends with its standard input.
const benchServer = "PUSHFLEET_BENCH_SIMULATOR"

// benchReady is what that simulator says first.
type benchReady struct{ Addr, CA, JWT string }

// serveBench is the simulator's process.
func serveBench(countOnly bool) error {
	authority, err := pushtest.NewAuthority()
	if err != nil {
		return err
	}
	certificate, err := authority.ServerCertificate()
	if err != nil {
		return err
	}
	key, p8, err := apnstest.NewKey(team, keyID, bundle)
	if err != nil {
		return err
	}
	control := pushtest.NewControl(apnstest.Platform)
	limits := pushtest.DefaultLimits()
	limits.CountOnly = countOnly
	control.Ledger.Limit(limits)
	server, err := apnstest.Start(apnstest.Config{Certificate: certificate, Keys: []apnstest.Key{key}, Control: control})
	if err != nil {
		return err
	}
	block, _ := pem.Decode(p8)
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return err
	}
	unsigned := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": team, "iat": time.Now().Unix()})
	unsigned.Header["kid"] = keyID
	signed, err := unsigned.SignedString(private.(*ecdsa.PrivateKey))
	if err != nil {
		return err
	}
	ready := benchReady{Addr: strings.TrimPrefix(server.URL(), "https://"), CA: string(authority.CAPEM()), JWT: signed}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return server.Close()
}

// BenchmarkSimulator is the simulator in a process of its own, under a client that does no more than it must. The
// figure that counts is server-µs/push: two cores answer 2,000,000 divided by it, where the client has cores of its own.
func BenchmarkSimulator(b *testing.B) {
	for _, mode := range []string{"count-only", "ledger"} {
		b.Run(mode, func(b *testing.B) {
			server := exec.Command(os.Args[0])
			server.Env = append(os.Environ(), benchServer+"="+mode)
			server.Stderr = os.Stderr
			stdin, err := server.StdinPipe()
			if err != nil {
				b.Fatal(err)
			}
			stdout, err := server.StdoutPipe()
			if err != nil {
				b.Fatal(err)
			}
			if err := server.Start(); err != nil {
				b.Fatal(err)
			}
			var ready benchReady
			if err := json.NewDecoder(stdout).Decode(&ready); err != nil {
				b.Fatal(err)
			}
			const connections = 4
			b.ResetTimer()
			var load sync.WaitGroup
			for i := range connections {
				load.Go(func() {
					if err := (benchClient{ready, i}).push(b.N / connections); err != nil {
						b.Error(err)
					}
				})
			}
			load.Wait()
			b.StopTimer()
			stdin.Close()
			if err := server.Wait(); err != nil {
				b.Fatal(err)
			}
			state := server.ProcessState
			perPush := float64((state.UserTime() + state.SystemTime()).Microseconds()) / float64(max(b.N, 1))
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pushes/s")
			b.ReportMetric(perPush, "server-µs/push")
		})
	}
}

// benchClient pushes on one connection.
type benchClient struct {
	benchReady
	number int
}

// push sends n pushes, each to a token and with an id of its own, a hundred at a time.
func (c benchClient) push(n int) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(c.CA))
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"h2"}}}
	conn, err := dialer.DialContext(context.Background(), "tcp", c.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	var out, block bytes.Buffer
	out.WriteString(http2.ClientPreface)
	write, read := http2.NewFramer(&out, nil), http2.NewFramer(nil, conn)
	read.SetReuseFrames()
	_ = write.WriteSettings()
	encoder := hpack.NewEncoder(&block)
	body := []byte(`{"aps":{"alert":"Alice:hello","badge":5,"sound":"ding.caf","thread-id":"c2c:alice"},"msg_key":"c2c:alice:101_900001_1790000000"}`)
	batch := 1 // until the limit is known to have grown
	for sent := 0; sent < n; batch = 100 {
		together := min(batch, n-sent)
		for range together {
			block.Reset()
			for _, f := range []hpack.HeaderField{
				{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "localhost"},
				{Name: ":path", Value: fmt.Sprintf("/3/device/%056x%08x", c.number, sent), Sensitive: true},
				{Name: "authorization", Value: "bearer " + c.JWT}, {Name: "apns-topic", Value: bundle},
				{Name: "apns-push-type", Value: "alert"}, {Name: "apns-priority", Value: "10"}, {Name: "apns-expiration", Value: "1790604800"},
				{Name: "apns-id", Value: fmt.Sprintf("00000000-0000-5000-8000-%04x%08x", c.number, sent), Sensitive: true},
			} {
				_ = encoder.WriteField(f)
			}
			stream := uint32(2*sent + 1)
			_ = write.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true})
			_ = write.WriteData(stream, true, body)
			sent++
		}
		if _, err := out.WriteTo(conn); err != nil {
			return err
		}
		for answered := 0; answered < together; {
			frame, err := read.ReadFrame()
			if err != nil {
				return err
			}
			switch f := frame.(type) {
			case *http2.SettingsFrame:
				if !f.IsAck() {
					_ = write.WriteSettingsAck()
				}
			case *http2.HeadersFrame:
				if f.HeaderBlockFragment()[0] != 0x88 { // :status 200
					return fmt.Errorf("stream %d is refused", f.StreamID)
				}
				answered++
			case *http2.RSTStreamFrame:
				return fmt.Errorf("stream %d: %v", f.StreamID, f.ErrCode)
			}
		}
	}
	return nil
}
