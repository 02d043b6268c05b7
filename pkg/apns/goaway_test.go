package apns

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"

	"golang.org/x/net/http2"

	"github.com/pushfleet/pushfleet/pkg/apns/apnstest"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
)

// frameServer answers frame by frame: onEnd is called for each request that is whole, with its connection's number,
// from 0.
type frameServer struct {
	onEnd func(connection int, framer *http2.Framer, stream uint32)
	tls   func(*tls.Config) // changes the server's; nil = does not
}

// accepted is a HEADERS block with :status 200 alone, as the static table has it.
var accepted = []byte{0x88}

func answer200(framer *http2.Framer, stream uint32) {
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: accepted, EndHeaders: true, EndStream: true})
}

func (s frameServer) start(t *testing.T, transport string) *fixture {
	t.Helper()
	authority, err := pushtest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.ServerCertificate()
	if err != nil {
		t.Fatal(err)
	}
	_, p8, err := apnstest.NewKey(teamID, keyID)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}}
	if s.tls != nil {
		s.tls(cfg)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for number := 0; ; number++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { s.serve(number, conn) })
		}
	})
	t.Cleanup(running.Wait) // after the driver has closed its connections
	f := open(t, "https://"+listener.Addr().String(), p8, authority, options{transport: transport})
	t.Cleanup(func() { listener.Close() })
	return f
}

func (s frameServer) serve(number int, conn net.Conn) {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	framer := http2.NewFramer(conn, conn)
	_ = framer.WriteSettings()
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = framer.WriteSettingsAck()
			}
		case *http2.DataFrame:
			if n := uint32(len(frame.Data())); n > 0 {
				_ = framer.WriteWindowUpdate(0, n)
			}
			if frame.StreamEnded() {
				s.onEnd(number, framer, frame.StreamID)
			}
		}
	}
}

func TestAPushAboveTheLastStreamOfAnEndingConnectionGoesOnAnother(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := frameServer{onEnd: func(connection int, framer *http2.Framer, stream uint32) {
			if connection == 0 && stream > 1 {
				_ = framer.WriteGoAway(1, http2.ErrCodeNo, []byte(`{"reason":"Shutdown"}`))
				return
			}
			answer200(framer, stream)
		}}.start(t, transport)
		for i := range 3 {
			if o := f.send(t, soon(t), notification())[0]; o.Disposition != push.Delivered {
				t.Errorf("push %d: got %+v", i, o)
			}
		}
	})
}

func TestAPushBelowTheLastStreamOfABrokenConnectionIsAmbiguous(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := frameServer{onEnd: func(connection int, framer *http2.Framer, stream uint32) {
			if connection == 0 && stream == 3 {
				_ = framer.WriteGoAway(stream, http2.ErrCodeNo, nil)
				_ = framer.WriteRSTStream(stream, http2.ErrCodeInternal)
				return
			}
			answer200(framer, stream)
		}}.start(t, transport)
		f.send(t, soon(t), notification())
		if o := f.send(t, soon(t), notification())[0]; o.Reason != push.ReasonAmbiguous || !o.Ambiguous {
			t.Errorf("got %+v", o)
		}
		if o := f.send(t, soon(t), notification())[0]; o.Disposition != push.Delivered {
			t.Errorf("on another connection: got %+v", o)
		}
	})
}

func TestARefusedStreamIsTriedOnceMore(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		var mu sync.Mutex
		refuse := 0
		refusals := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			refuse = n
		}
		f := frameServer{onEnd: func(_ int, framer *http2.Framer, stream uint32) {
			mu.Lock()
			defer mu.Unlock()
			if refuse > 0 {
				refuse--
				_ = framer.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
				return
			}
			answer200(framer, stream)
		}}.start(t, transport)
		f.send(t, soon(t), notification())
		refusals(1)
		if o := f.send(t, soon(t), notification())[0]; o.Disposition != push.Delivered {
			t.Errorf("refused once: got %+v", o)
		}
		refusals(2)
		if o := f.send(t, soon(t), notification())[0]; o.Reason != push.ReasonNetwork || o.Ambiguous || o.Scope != push.ScopeDevice {
			t.Errorf("refused twice: got %+v", o)
		}
	})
}

func TestALimitThatShrinksAndGrowsHoldsNothingUp(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := frameServer{onEnd: func(_ int, framer *http2.Framer, stream uint32) {
			limits := []uint32{1, 50, 3, 100}
			if stream%20 == 1 {
				_ = framer.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: limits[stream/20%4]})
			}
			answer200(framer, stream)
		}}.start(t, transport)
		for i, o := range f.send(t, soon(t), numbered(3000)...) {
			if o.Disposition != push.Delivered {
				t.Fatalf("push %d: got %+v", i, o)
			}
		}
	})
}
