package apns

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/pushfleet/pushfleet/pkg/h2"
	"github.com/pushfleet/pushfleet/pkg/push"
)

// BenchmarkTail tells how long the client itself holds a push at half the rate that it reaches at most: from the time at
// which the push was due until its bytes are the kernel's, and from the answer's bytes until the report. What the
// network and the server take is left out.
func BenchmarkTail(b *testing.B) {
	const inFlight = 400
	p := startSimulator(b, 0)
	s := p.sender(b, transportH2, inFlight, defaultConnections)
	dialer := newDialer(p.URL, p.roots(b), nil, appleTiming)
	var taps []*tap
	s.pool.connect = func(ctx context.Context, _ func()) (client, error) {
		secure, err := dialer.dial(ctx)
		if err != nil {
			return nil, err
		}
		t := &tap{Conn: secure}
		taps = append(taps, t) // one is set up at a time
		return h2.NewConn(t, dialer.settings()), nil
	}
	sendAll(b, s, inFlight, 5000)
	began := time.Now()
	sendAll(b, s, inFlight, b.N)
	rate := float64(b.N) / time.Since(began).Seconds() / 2

	batch := numbered(b.N)
	for i, n := range batch {
		n.Token = fmt.Sprintf("%064x", 1_000_000+i) // nothing was sent to it yet
	}
	due, reported := make([]time.Time, b.N), make([]time.Time, b.N)
	b.ResetTimer()
	sendAt(b, s, batch, rate, due, reported)
	b.StopTimer()
	away := make(map[string]time.Duration, b.N)
	for _, t := range taps {
		if err := t.away(away); err != nil {
			b.Fatal(err)
		}
	}
	var own []time.Duration
	for i, n := range batch {
		if out, known := away[n.Token]; known {
			own = append(own, reported[i].Sub(due[i])-out)
		}
	}
	if len(own) < b.N {
		b.Fatalf("of %d pushes %d were found on the connections", b.N, len(own))
	}
	slices.Sort(own)
	quantile := func(q float64) float64 { return float64(own[int(q*float64(len(own)-1))].Nanoseconds()) / 1000 }
	b.ReportMetric(rate, "pushes/s")
	b.ReportMetric(quantile(0.5), "own-p50-µs")
	b.ReportMetric(quantile(0.99), "own-p99-µs")
	b.ReportMetric(quantile(0.999), "own-p999-µs")
}

// sendAt sends a batch at a rate, a millisecond's worth at a time, whether or not the answers keep up.
func sendAt(b *testing.B, s *sender, batch []*push.Notification, rate float64, due, reported []time.Time) {
	var running sync.WaitGroup
	began := time.Now()
	for sent := 0; sent < len(batch); time.Sleep(time.Millisecond) { // paces
		from := sent
		sent = min(len(batch), int(time.Since(began).Seconds()*rate))
		for i := from; i < sent; i++ {
			due[i] = began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		}
		running.Go(func() {
			s.Send(context.Background(), batch[from:sent], func(i int, o push.Outcome) {
				reported[from+i] = time.Now()
				if o.Disposition != push.Delivered {
					b.Errorf("got %+v", o)
				}
			})
		})
	}
	running.Wait()
}

// tap is a connection that keeps what goes over it, with the time at which each piece was written or read.
type tap struct {
	*tls.Conn

	mu      sync.Mutex
	out, in record
}

// Write notes the time at which the kernel has the bytes.
func (t *tap) Write(b []byte) (int, error) {
	n, err := t.Conn.Write(b)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out.add(b[:n])
	return n, err
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.in.add(b[:n])
	return n, err
}

// away adds how long each push was away, by its token: from when its last byte was written until its answer was read.
func (t *tap) away(all map[string]time.Duration) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	tokens, sent := make(map[uint32]string), make(map[uint32]time.Time)
	err := t.out.frames(len(http2.ClientPreface), func(frame http2.Frame, at time.Time) {
		id := frame.Header().StreamID
		if header, ok := frame.(*http2.MetaHeadersFrame); ok {
			tokens[id] = strings.TrimPrefix(header.PseudoValue("path"), "/3/device/")
		}
		if ends(frame) && tokens[id] != "" {
			sent[id] = at
		}
	})
	if err != nil {
		return err
	}
	return t.in.frames(0, func(frame http2.Frame, at time.Time) {
		id := frame.Header().StreamID
		if ends(frame) && tokens[id] != "" {
			all[tokens[id]] = at.Sub(sent[id])
		}
	})
}

// ends says whether a stream's end comes with the frame; of frames without a stream the flag means something else.
func ends(frame http2.Frame) bool { return frame.Header().Flags.Has(http2.FlagDataEndStream) }

// record is bytes, and when each piece of them was there.
type record struct {
	bytes []byte
	ends  []int
	times []time.Time
}

func (r *record) add(b []byte) {
	r.bytes = append(r.bytes, b...)
	r.ends, r.times = append(r.ends, len(r.bytes)), append(r.times, time.Now())
}

// frames calls see for each frame, with the time at which its last byte was there.
func (r *record) frames(from int, see func(frame http2.Frame, at time.Time)) error {
	rest := bytes.NewReader(r.bytes[from:])
	framer := http2.NewFramer(nil, rest)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := framer.ReadFrame()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		piece, _ := slices.BinarySearch(r.ends, len(r.bytes)-rest.Len())
		see(frame, r.times[piece])
	}
}
