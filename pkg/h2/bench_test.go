package h2

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// BenchmarkRoundTrip compares the transport with net/http's on net/http's server, which runs in the same process: the
// server's share is in both.
func BenchmarkRoundTrip(b *testing.B) {
	server, transport := serve(b, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }, Limits{Conns: 1}, Settings{})
	std := &http.Transport{TLSClientConfig: transport.dialer.config("example.com"), ForceAttemptHTTP2: true, MaxConnsPerHost: 1}
	std.TLSClientConfig.NextProtos = nil
	b.Cleanup(std.CloseIdleConnections)
	body := make([]byte, 300)
	for _, subject := range []struct {
		name string
		http.RoundTripper
	}{{"h2", transport}, {"std", std}} {
		b.Run(subject.name, func(b *testing.B) {
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var callers sync.WaitGroup
			for range 200 {
				callers.Go(func() {
					for left.Add(-1) >= 0 {
						r, err := http.NewRequest(http.MethodPost, server.URL+"/3/device/00fc13adff785122", bytes.NewReader(body))
						if err != nil {
							b.Error(err)
							return
						}
						response, err := subject.RoundTrip(r)
						if err != nil {
							b.Error(err)
							return
						}
						response.Body.Close()
					}
				})
			}
			callers.Wait()
		})
	}
}

// BenchmarkFields compares three ways to encode the fields of a push that are used once: as literals, by hpack's encoder
// as fields that never enter its table, and as fields that do.
func BenchmarkFields(b *testing.B) {
	const uses = 1000 // values of each, so that none is found in the table
	var paths, ids [uses]string
	for i := range uses {
		paths[i] = fmt.Sprintf("/3/device/%064x", i*7919)
		ids[i] = fmt.Sprintf("6c9f3f25-4d2b-4f3a-9d0e-%012x", i)
	}
	token := "bearer " + strings.Repeat("aB3", 70)
	each := func(i int, field func(name, value string)) {
		field(":path", paths[i%uses])
		field("apns-id", ids[i%uses])
		field("authorization", token)
	}
	b.Run("literals", func(b *testing.B) {
		r := new(request)
		for i := 0; b.Loop(); i++ {
			r.block = r.block[:0]
			each(i, r.literal)
		}
		b.ReportMetric(float64(len(r.block)), "bytes")
	})
	for name, sensitive := range map[string]bool{"hpack, indexed": false, "hpack, never indexed": true} {
		b.Run(name, func(b *testing.B) {
			var block bytes.Buffer
			encoder := hpack.NewEncoder(&block)
			for i := 0; b.Loop(); i++ {
				block.Reset()
				each(i, func(name, value string) {
					_ = encoder.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: sensitive})
				})
			}
			b.ReportMetric(float64(block.Len()), "bytes")
		})
	}
}
