package provider_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/net/http2"

	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/provider"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/wire"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a provider that trusts everybody, and its clock.
type world struct {
	*provider.Server
	control *pushtest.Control
	client  *tls.Config

	mu  sync.Mutex
	now time.Time
}

// Serve accepts a push for the token that its path names.
func (w *world) Serve(r *wire.Request) wire.Reply {
	conn, known := r.Peer.State.(*provider.Conn)
	if !known {
		conn = new(provider.Conn)
		r.Peer.State = conn
	}
	token := strings.TrimPrefix(r.Path, "/")
	reply := wire.Reply{Status: http.StatusOK, Line: wire.Line{ID: r.Get("id"), Token: token, Status: http.StatusOK}}
	if token == "stranger" {
		return reply
	}
	w.Trust(conn, &reply)
	if f := w.Fault(faults.Push, token, r.Get("id"), r.Peer, conn, &reply); f != nil {
		if provider.Suffer(f, &reply) {
			reply.Line.Status = http.StatusOK
		}
	}
	return reply
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func start(t *testing.T, script faults.Script) *world {
	t.Helper()
	authority, err := pushtest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.ServerCertificate()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		control: pushtest.NewControl("apns"), now: time.Unix(1790000000, 0),
		client: &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost"},
	}
	w.Server = provider.New(provider.Config{
		Handler: w, TLS: &tls.Config{Certificates: []tls.Certificate{certificate}}, Control: w.control, Now: w.clock, First: 1, Then: 100,
	}, func(faults.Script, time.Time) {})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	w.put(t, script)
	return w
}

func (w *world) put(t *testing.T, script faults.Script) {
	t.Helper()
	if err := w.control.Faults.Put(script); err != nil {
		t.Fatal(err)
	}
}

func (w *world) dial(t *testing.T) *wiretest.Client {
	t.Helper()
	return wiretest.Dial(t, w.Addr(), wiretest.Options{TLS: w.client})
}

func one(f faults.Fault) faults.Script { return faults.Script{Faults: []faults.Fault{f}} }

// outcome is what a plain client sees of a push, and what the ledger says of it.
type outcome struct {
	Frame  http2.FrameType
	Status string
	Code   http2.ErrCode
	Lost   bool
	Quiet  bool
	Ledger string // status and reason; "" = no line
}

func TestWhatAPushCanSuffer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault faults.Fault
		want  outcome
	}{
		"a reset stream":                   {faults.Fault{Do: faults.DoResetStream}, outcome{Frame: http2.FrameRSTStream, Code: http2.ErrCodeInternal, Ledger: "0 reset_stream"}},
		"a reset stream of another code":   {faults.Fault{Do: faults.DoResetStream, Code: "CANCEL"}, outcome{Frame: http2.FrameRSTStream, Code: http2.ErrCodeCancel, Ledger: "0 reset_stream"}},
		"a reset stream, and accepted":     {faults.Fault{Do: faults.DoResetStream, Accepted: true}, outcome{Frame: http2.FrameRSTStream, Code: http2.ErrCodeInternal, Ledger: "200 reset_stream"}},
		"a refused stream":                 {faults.Fault{Do: faults.DoRefuse}, outcome{Frame: http2.FrameRSTStream, Code: http2.ErrCodeRefusedStream}},
		"no answer":                        {faults.Fault{Do: faults.DoHang}, outcome{Quiet: true, Ledger: "0 hang"}},
		"a connection that falls silent":   {faults.Fault{Do: faults.DoSilence, Accepted: true}, outcome{Quiet: true, Ledger: "200 silence"}},
		"half an answer":                   {faults.Fault{Do: faults.DoCut}, outcome{Frame: http2.FrameHeaders, Status: "200", Lost: true, Ledger: "0 cut"}},
		"half an answer, and accepted":     {faults.Fault{Do: faults.DoCut, Accepted: true}, outcome{Frame: http2.FrameHeaders, Status: "200", Lost: true, Ledger: "200 cut"}},
		"a GOAWAY with its answer":         {faults.Fault{Do: faults.DoGoAway}, outcome{Frame: http2.FrameGoAway, Status: "200", Lost: true, Ledger: "200"}},
		"a GOAWAY in place of its answer":  {faults.Fault{Do: faults.DoGoAway, Last: "before"}, outcome{Frame: http2.FrameGoAway, Lost: true}},
		"a slow answer":                    {faults.Fault{Do: faults.DoDelay, Delay: faults.Always(30 * time.Millisecond)}, outcome{Frame: http2.FrameHeaders, Status: "200", Ledger: "200"}},
		"a fault of another device":        {faults.Fault{Do: faults.DoHang, Token: "other"}, outcome{Frame: http2.FrameHeaders, Status: "200", Ledger: "200"}},
		"a fault of the connection's next": {faults.Fault{Do: faults.DoHang, After: 1, Per: "connection"}, outcome{Frame: http2.FrameHeaders, Status: "200", Ledger: "200"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, one(test.fault))
			c := w.dial(t)
			began := time.Now()
			c.Send("/device", "{}", "id", "1")
			got := seen(c, test.want)
			if test.fault.Do == faults.DoDelay && time.Since(began) < time.Duration(test.fault.Delay.P50) {
				t.Errorf("answered after %s", time.Since(began))
			}
			c.Close()
			got.Ledger = w.line(test.want.Ledger != "")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// seen is what comes over the wire, settings and acknowledgements apart: it waits for what is wanted, and a moment for
// more.
func seen(c *wiretest.Client, want outcome) outcome {
	var got outcome
	want.Ledger, want.Quiet = "", false
	for {
		wait := 10 * time.Second
		if got == want {
			wait = 100 * time.Millisecond
		}
		e, ok := c.Within(wait)
		switch {
		case !ok:
			got.Quiet = got.Frame == 0
			return got
		case e.Lost != nil:
			got.Lost = true
			return got
		case e.Type == http2.FrameSettings:
			continue
		case got.Frame == 0:
			got.Frame = e.Type
		}
		if e.Type == http2.FrameHeaders {
			got.Status = e.Header[":status"]
		}
		got.Code = max(got.Code, e.Code)
	}
}

// line waits for the ledger's only line, where there is to be one.
func (w *world) line(wanted bool) string {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // polls
		for answer := range w.control.Ledger.Counts().Answers {
			return answer
		}
		if !wanted || time.Now().After(deadline) {
			return ""
		}
	}
}

func TestGoAwayAfterSoManyRequestsOfAConnection(t *testing.T) {
	t.Parallel()
	w := start(t, one(faults.Fault{Do: faults.DoGoAway, After: 2, Times: 1, Per: "connection", Reason: "Shutdown"}))
	for range 2 {
		c := w.dial(t)
		for i := range 3 {
			stream := c.Send("/device", "{}")
			if i == 2 {
				if e := c.Until(http2.FrameGoAway); e.Last != stream || e.Data != `{"reason":"Shutdown"}` {
					t.Errorf("got %+v", e)
				}
			}
			if got, _ := c.Status(); got != "200" {
				t.Errorf("request %d: got %s", i, got)
			}
		}
		if e := c.Until(http2.FrameGoAway); e.Lost == nil {
			t.Error("the connection goes on")
		}
	}
}

func TestGoAwayWithALastStreamBelowWhatIsInFlight(t *testing.T) {
	t.Parallel()
	slow := faults.Fault{Token: "slow", Do: faults.DoDelay, Delay: faults.Always(time.Minute)}
	w := start(t, faults.Script{Faults: []faults.Fault{slow, {Token: "last", Do: faults.DoGoAway, Last: "none"}}})
	c := w.dial(t)
	c.Send("/first", "{}")
	c.Status()
	c.Send("/slow", "{}")
	c.Send("/slow", "{}")
	c.Send("/last", "{}")
	if e := c.Until(http2.FrameGoAway); e.Last != 0 {
		t.Errorf("got %+v", e)
	}
	if e := c.Until(http2.FrameGoAway); e.Lost == nil {
		t.Errorf("got %+v, want the end", e)
	}
	if got := w.control.Ledger.Counts(); got.Requests != 1 {
		t.Errorf("%d lines: what was not looked at has none", got.Requests)
	}
}

func TestConnectionsSufferAtTheirTime(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault faults.Fault
		want  outcome
	}{
		"GOAWAY at an age":    {faults.Fault{Do: faults.DoGoAway, Age: faults.Always(time.Hour)}, outcome{Frame: http2.FrameGoAway, Lost: true}},
		"GOAWAY at a time":    {faults.Fault{Do: faults.DoGoAway, From: faults.Duration(time.Hour)}, outcome{Frame: http2.FrameGoAway, Lost: true}},
		"a reset at an age":   {faults.Fault{Do: faults.DoCut, Age: faults.Always(time.Hour)}, outcome{Lost: true}},
		"silence from an age": {faults.Fault{Do: faults.DoSilence, Age: faults.Always(time.Hour)}, outcome{Quiet: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := test.fault
			f.Where = faults.Connection
			w := start(t, one(f))
			c := w.dial(t)
			c.Send("/device", "{}")
			if got, _ := c.Status(); got != "200" {
				t.Errorf("before: got %s", got)
			}
			w.pass(time.Hour)
			for deadline := time.Now().Add(10 * time.Second); w.control.Faults.State().Hits["faults[0]"] == 0; time.Sleep(time.Millisecond) { // polls
				if time.Now().After(deadline) {
					t.Fatal("it does not come")
				}
			}
			if f.Do == faults.DoSilence {
				for deadline := time.Now().Add(10 * time.Second); ; { // the next walk follows the hit
					c.Ping()
					if c.Quiet(50 * time.Millisecond) {
						return
					}
					if time.Now().After(deadline) {
						t.Fatal("it goes on to speak")
					}
				}
			}
			if diff := cmp.Diff(test.want, seen(c, test.want)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewConnectionsSuffer(t *testing.T) {
	t.Parallel()
	for _, do := range []faults.Do{faults.DoStall, faults.DoHangup} {
		w := start(t, one(faults.Fault{Where: faults.Connect, Do: do, Times: 1}))
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		conn, err := (&tls.Dialer{Config: w.client}).DialContext(ctx, "tcp", w.Addr())
		if err == nil {
			conn.Close()
			t.Errorf("%s: the handshake succeeds", do)
		}
		if timedOut := ctx.Err() != nil; timedOut != (do == faults.DoStall) {
			t.Errorf("%s: got %v", do, err)
		}
		cancel()
		c := w.dial(t)
		c.Send("/device", "{}")
		if got, _ := c.Status(); got != "200" {
			t.Errorf("%s: the next connection: got %s", do, got)
		}
	}
}

func TestTheStreamLimitGrowsWithTrustAndChangesLater(t *testing.T) {
	t.Parallel()
	w := start(t, faults.Script{APNs: faults.APNs{Streams: faults.Streams{Then: 50, Steps: []faults.Step{
		{At: faults.Duration(time.Minute), Streams: 5}, {At: faults.Duration(time.Hour), Streams: 80},
	}}}})
	stranger, friend := w.dial(t), w.dial(t)
	got := []uint32{stranger.Settled(), friend.Settled()}
	stranger.Send("/stranger", "{}")
	stranger.Status()
	friend.Send("/device", "{}")
	got = append(got, friend.Settled())
	w.pass(time.Minute)
	got = append(got, friend.Settled())
	later := w.dial(t)
	later.Send("/device", "{}")
	got = append(got, later.Settled(), later.Settled())
	w.pass(time.Hour)
	got = append(got, friend.Settled(), later.Settled())
	w.put(t, faults.Script{}) // back to the provider's own
	got = append(got, friend.Settled())
	if diff := cmp.Diff([]uint32{1, 1, 50, 5, 1, 5, 80, 80, 100}, got); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
	for _, c := range w.Conns() {
		if c.Number() == 1 && c.Streams() != 1 {
			t.Errorf("the stranger has %d", c.Streams())
		}
	}
}

func TestAScriptChangesWhileConnectionsAreOpen(t *testing.T) {
	t.Parallel()
	w := start(t, faults.Script{})
	c := w.dial(t)
	fine := outcome{Frame: http2.FrameHeaders, Status: "200"}
	for _, step := range []struct {
		script faults.Script
		want   outcome
	}{
		{faults.Script{}, fine},
		{one(faults.Fault{Do: faults.DoResetStream}), outcome{Frame: http2.FrameRSTStream, Code: http2.ErrCodeInternal}},
		{faults.Script{}, fine},
	} {
		w.put(t, step.script)
		c.Send("/device", "{}")
		if diff := cmp.Diff(step.want, seen(c, step.want)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", step.script, diff)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Unix(1790000000, 0)
	for _, test := range []struct {
		after time.Duration
		date  bool
		want  string
	}{
		{0, false, ""},
		{2 * time.Second, false, "2"},
		{2100 * time.Millisecond, false, "3"},
		{time.Minute, true, "Mon, 21 Sep 2026 14:14:20 GMT"},
	} {
		if got := provider.RetryAfter(test.after, test.date, now); got.Value != test.want || (got.Name == "") != (test.want == "") {
			t.Errorf("%+v: got %+v", test, got)
		}
	}
}
