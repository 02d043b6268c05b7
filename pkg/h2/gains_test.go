package h2

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// The benchmarks here show what each optimisation gains: every one runs with and without it.

// BenchmarkGains is whole round trips over TLS, with a server in this process that does no more than answer. cpu-ns is
// the processor time of both sides, for a request.
func BenchmarkGains(b *testing.B) {
	yields := newMaker(Settings{Bare: []int{http.StatusOK}})
	looks := newMaker(Settings{Bare: []int{http.StatusOK}})
	looks.yield = func() {}
	for _, variant := range []struct {
		name string
		*maker
	}{{"as it is", yields}, {"writer looks at once", looks}, {"fields are kept", newMaker(Settings{})}} {
		b.Run(variant.name, func(b *testing.B) {
			c := newConn(answering(b), variant.maker, hooks{changed: func(*Conn) {}, closed: func(*Conn) {}})
			defer c.Close()
			b.ReportAllocs()
			b.ResetTimer()
			begun := processorTime(b)
			var left atomic.Int64
			left.Store(int64(b.N))
			var callers sync.WaitGroup
			for range 200 {
				callers.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := c.RoundTrip(push(b)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			callers.Wait()
			b.ReportMetric(float64(processorTime(b)-begun)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkLending compares a request, its stream and its response's fields lent from the maker's pools with new ones.
func BenchmarkLending(b *testing.B) {
	list := fields{{Name: "Apns-Id", Value: "6c9f3f25"}, {Name: "Date", Value: "today"}}
	for _, thing := range []struct {
		name string
		use  func(m *maker, back bool)
	}{
		{"request", func(m *maker, back bool) {
			if out := m.requests.Get().(*request); back {
				out.literal("apns-id", "6c9f3f25")
				m.sent(out)
			}
		}},
		{"stream", func(m *maker, back bool) {
			if s := m.streams.Get().(*stream); back {
				s.encoded.Store(true)
				m.answered(s)
			}
		}},
		{"fields", func(m *maker, back bool) {
			if l := m.list(list); back {
				m.copied(l)
			}
		}},
	} {
		for name, back := range map[string]bool{"lent": true, "new": false} {
			b.Run(thing.name+", "+name, func(b *testing.B) {
				m := newMaker(Settings{})
				b.ReportAllocs()
				for b.Loop() {
					thing.use(m, back)
				}
			})
		}
	}
}

// BenchmarkNames compares looking up the names of a push's fields with converting them.
func BenchmarkNames(b *testing.B) {
	sent := []string{"Apns-Topic", "Apns-Id", "Apns-Priority", "Apns-Push-Type", "Apns-Expiration", "Authorization", "Content-Type"}
	came := []string{"apns-id", "apns-unique-id", "content-length", "date"}
	known := make(names)
	for _, variant := range []struct {
		name    string
		names   []string
		convert func(string)
	}{
		{"sent, looked up", sent, func(name string) { _, _ = wireName(name) }},
		{"sent, converted", sent, func(name string) { _ = strings.ToLower(name) }},
		{"came, looked up", came, func(name string) { _ = known.canonical(name) }},
		{"came, converted", came, func(name string) { _ = http.CanonicalHeaderKey(name) }},
	} {
		b.Run(variant.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, name := range variant.names {
					variant.convert(name)
				}
			}
		})
	}
}

func push(b *testing.B) *http.Request {
	r, err := http.NewRequest(http.MethodPost, "https://example.com/3/device/00fc13adff785122", bytes.NewReader(make([]byte, 300)))
	if err != nil {
		b.Error(err)
	}
	r.Header = http.Header{
		"Apns-Topic": {"com.example.app"}, "Apns-Id": {"6c9f3f25-4d2b-4f3a-9d0e-0123456789ab"}, "Authorization": {"bearer " + strings.Repeat("aB3", 70)},
		"Apns-Push-Type": {"alert"}, "Apns-Priority": {"10"},
	}
	return r
}

// answering is a connection to a server that answers every request with 200 and the fields of APNs.
func answering(b *testing.B) net.Conn {
	b.Helper()
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	config := &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}
	certified.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		b.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if conn, err := listener.Accept(); err == nil {
			defer conn.Close()
			answerAll(conn)
		}
	})
	b.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		b.Fatal(err)
	}
	return conn
}

func answerAll(conn net.Conn) {
	in, out := bufio.NewReaderSize(conn, maxRecord), bufio.NewWriterSize(conn, maxRecord)
	_, _ = in.Discard(len(http2.ClientPreface))
	framer := http2.NewFramer(out, in)
	framer.SetReuseFrames()
	_ = framer.WriteSettings(limit(1000))
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for {
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		if data, ok := frame.(*http2.DataFrame); ok && data.StreamEnded() {
			block.Reset()
			_ = encoder.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
			_ = encoder.WriteField(hpack.HeaderField{Name: "apns-id", Value: "6c9f3f25-4d2b-4f3a-9d0e-0123456789ab", Sensitive: true})
			_ = encoder.WriteField(hpack.HeaderField{Name: "apns-unique-id", Value: "0fd0d3a2-8b2c-4e83-a1d7-f4a0cf4e3b1e", Sensitive: true})
			_ = framer.WriteWindowUpdate(0, data.Length)
			_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: data.StreamID, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
		}
	}
}

// processorTime is what the process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
