package wire_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/wire"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// handler answers by path: /N with status N, /slow after a minute, and so on.
type handler struct {
	mu   sync.Mutex
	seen []wire.Request
}

func (h *handler) Serve(r *wire.Request) wire.Reply {
	h.mu.Lock()
	h.seen = append(h.seen, *r)
	h.mu.Unlock()
	word := strings.TrimPrefix(r.Path, "/")
	reply := wire.Reply{Status: 200, Line: wire.Line{ID: r.Path, Token: "t", Status: 200}}
	switch word {
	case "slow":
		reply.Delay = time.Minute
	case "soon":
		reply.Delay = 300 * time.Millisecond
	case "echo":
		reply.Body = slices.Clone(r.Body[:min(len(r.Body), wire.MaxReplyBody)])
	case "more":
		reply.Streams = 5
	case "long-field":
		reply.Header = []hpack.HeaderField{{Name: "x-long", Value: strings.Repeat("v", 5000)}}
	default:
		if status, err := strconv.Atoi(word); err == nil {
			reply.Status, reply.Line.Status = status, status
		}
	}
	return reply
}

func (h *handler) requests() []wire.Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen
}

type world struct {
	*wire.Server
	*handler
	ledger  *pushtest.Ledger
	traffic *pushtest.Traffic
	client  *tls.Config
}

func start(t *testing.T, streams uint32) *world {
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
		handler: new(handler), ledger: pushtest.NewLedger(pushtest.DefaultLimits()), traffic: new(pushtest.Traffic),
		client: &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost"},
	}
	w.Server, err = wire.Start(wire.Config{
		Handler: w.handler, TLS: &tls.Config{Certificates: []tls.Certificate{certificate}}, HTTP1: true, Platform: "test",
		Ledger: w.ledger, Traffic: w.traffic, Now: time.Now, Streams: func(*wire.Peer) uint32 { return streams },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) dial(t *testing.T, o wiretest.Options) *wiretest.Client {
	t.Helper()
	o.TLS = w.client
	return wiretest.Dial(t, w.Addr(), o)
}

// lines waits until the ledger has n.
func (w *world) lines(t *testing.T, n int) []pushtest.Entry {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // polls
		if entries := w.ledger.Entries(""); len(entries) >= n || time.Now().After(deadline) {
			if len(entries) != n {
				t.Errorf("%d lines, want %d", len(entries), n)
			}
			return entries
		}
	}
}

func TestAnswersCarryStatusFieldsAndBody(t *testing.T) {
	t.Parallel()
	w := start(t, 100)
	c := w.dial(t, wiretest.Options{})
	for _, status := range []string{"200", "204", "400", "403", "404", "405", "410", "413", "429", "500", "503"} {
		c.Send("/"+status, "{}")
		if got, _ := c.Status(); got != status {
			t.Errorf("got %s, want %s", got, status)
		}
	}
	c.Send("/long-field", "{}")
	if e := c.Until(http2.FrameHeaders); len(e.Header["x-long"]) != 5000 {
		t.Errorf("a long field: got %d bytes", len(e.Header["x-long"]))
	}
	c.Send("/echo", "hello", "x-one", "1", "x-two", "2")
	c.Until(http2.FrameHeaders)
	if e := c.Next(); e.Data != "hello" || !e.Ended {
		t.Errorf("body: got %+v", e)
	}
	requests := w.requests()
	last := requests[len(requests)-1]
	if last.Method != "POST" || last.Authority != "localhost" || last.Get("x-two") != "2" || last.Get("x-none") != "" || last.Peer.Number != 1 {
		t.Errorf("request: got %+v", last)
	}
}

func TestAStreamAboveTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	c := w.dial(t, wiretest.Options{})
	if got := c.Settled(); got != 2 {
		t.Errorf("limit: got %d", got)
	}
	c.Send("/200", "{}")
	c.Status() // the acknowledgement came before this request
	c.Send("/slow", "{}")
	c.Send("/slow", "{}")
	third := c.Send("/200", "{}")
	if e := c.Until(http2.FrameRSTStream); e.Code != http2.ErrCodeRefusedStream || e.Stream != third {
		t.Errorf("got %+v, want the third refused", e)
	}
	c.Reset(3)
	c.Send("/200", "{}")
	if got, _ := c.Status(); got != "200" {
		t.Errorf("after one has ended: got %s", got)
	}
	if got := w.traffic.Counts(); got.RefusedStreams != 1 || got.MostStreams != 2 {
		t.Errorf("traffic: got %+v", got)
	}
}

func TestALimitHoldsWhenTheClientHasAcknowledgedIt(t *testing.T) {
	t.Parallel()
	w := start(t, 1)
	c := w.dial(t, wiretest.Options{HoldAck: true})
	c.Settled()
	c.Send("/slow", "{}")
	c.Send("/200", "{}")
	if got, _ := c.Status(); got != "200" {
		t.Errorf("before: got %s", got)
	}
	c.Ack()
	c.Send("/200", "{}")
	if e := c.Until(http2.FrameRSTStream); e.Code != http2.ErrCodeRefusedStream {
		t.Errorf("after: got %+v", e)
	}
	c.Reset(1)
	c.Send("/more", "{}")
	if got := c.Settled(); got != 5 {
		t.Errorf("the reply's limit: got %d", got)
	}
	c.Ack()
	w.Conns()[0].SetStreams(1)
	if got := c.Settled(); got != 1 {
		t.Errorf("a lower limit: got %d", got)
	}
	c.Ack()
	c.Send("/slow", "{}")
	c.Send("/200", "{}")
	if e := c.Until(http2.FrameRSTStream); e.Code != http2.ErrCodeRefusedStream {
		t.Errorf("after the lower limit: got %+v", e)
	}
}

func TestARequestStandsInTheLedgerOnceHoweverItEnds(t *testing.T) {
	t.Parallel()
	w := start(t, 100)
	c := w.dial(t, wiretest.Options{})
	c.Send("/200", `{"n": 1}`, "authorization", "bearer secret", "x-twice", "1", "x-twice", "2")
	c.Status()
	given := c.Send("/slow", "{}")
	c.Reset(given)
	want := []pushtest.Entry{
		{Platform: "test", ID: "/200", Token: "t", Headers: map[string]string{"x-twice": "1, 2"}, Body: []byte(`{"n":1}`), Status: 200},
		{Platform: "test", ID: "/slow", Token: "t", Headers: map[string]string{}, Body: []byte(`{}`), Status: 200},
	}
	got := w.lines(t, 2)
	for i := range got {
		got[i].Time = time.Time{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
	c.Send("/slow", "{}")
	c.Send("/soon", "{}")
	c.Status() // both have come
	c.Close()
	w.lines(t, 4)
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	w.lines(t, 4)
}

func TestAnAnswerWaitsForTheClientsWindow(t *testing.T) {
	t.Parallel()
	w := start(t, 100)
	c := w.dial(t, wiretest.Options{})
	body := strings.Repeat("x", 16<<10)
	for range 5 { // 80 KiB, where the window of a connection is 64 at first
		c.Send("/echo", body)
	}
	received := 0
	for received < 3*len(body) {
		if e := c.Next(); e.Type == http2.FrameData {
			received += len(e.Data)
		}
	}
	c.Send("/200", "{}")
	if got, _ := c.Status(); got != "200" {
		t.Errorf("an answer without a body: got %s", got)
	}
	if !c.Quiet(50 * time.Millisecond) {
		t.Error("the window was overrun")
	}
	c.Credit(64 << 10)
	for received < 5*len(body) {
		if e := c.Next(); e.Type == http2.FrameData {
			received += len(e.Data)
		}
	}
}

func TestGoAway(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		goAway wire.GoAway
		last   uint32
		lines  int // of the two requests that wait for their answers
		status string
	}{
		"lets all that came be answered": {wire.GoAway{Reason: "Shutdown"}, 5, 3, "200"},
		"names no stream":                {wire.GoAway{Last: wire.LastNone, Code: http2.ErrCodeInternal}, 0, 1, "lost: EOF"},
		"ends at once":                   {wire.GoAway{Close: true}, 5, 3, "lost: EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, 100)
			c := w.dial(t, wiretest.Options{})
			c.Send("/200", "{}")
			c.Status()
			c.Send("/soon", "{}")
			c.Send("/soon", "{}")
			for len(w.requests()) < 3 {
				time.Sleep(time.Millisecond) // polls
			}
			w.Conns()[0].GoAway(test.goAway)
			e := c.Until(http2.FrameGoAway)
			debug := ""
			if test.goAway.Reason != "" {
				debug = `{"reason":"` + test.goAway.Reason + `"}`
			}
			if e.Last != test.last || e.Code != test.goAway.Code || e.Data != debug {
				t.Errorf("got %+v", e)
			}
			if got, _ := c.Status(); got != test.status {
				t.Errorf("what waited: got %s, want %s", got, test.status)
			}
			if test.status == "200" {
				c.Until(http2.FrameGoAway) // the end of the connection
			}
			c.Close()
			w.lines(t, test.lines)
			if got := w.traffic.Counts().GoAways; got != 1 {
				t.Errorf("%d counted", got)
			}
		})
	}
}

func TestAStreamAfterGoAwayIsIgnored(t *testing.T) {
	t.Parallel()
	w := start(t, 100)
	c := w.dial(t, wiretest.Options{})
	c.Send("/slow", "{}")
	c.Send("/200", "{}")
	c.Status()
	w.Conns()[0].GoAway(wire.GoAway{})
	c.Until(http2.FrameGoAway)
	c.Send("/200", "{}")
	if !c.Quiet(50*time.Millisecond) || len(w.requests()) != 2 {
		t.Errorf("it was answered, or looked at: %d requests", len(w.requests()))
	}
}

func TestSilenceAndCut(t *testing.T) {
	t.Parallel()
	w := start(t, 100)
	c := w.dial(t, wiretest.Options{})
	c.Send("/200", "{}")
	c.Status()
	w.Conns()[0].Silence()
	c.Send("/200", "{}")
	c.Ping()
	if !c.Quiet(50 * time.Millisecond) {
		t.Error("a silent connection says something")
	}
	w.lines(t, 2)
	w.Conns()[0].Cut()
	if e := c.Next(); e.Lost == nil || !strings.Contains(e.Lost.Error(), "reset") {
		t.Errorf("got %+v, want a reset", e)
	}
}

func TestAClientThatBreaksTheProtocolCostsItsStreamOrItsConnection(t *testing.T) {
	t.Parallel()
	post := []string{":method", "POST", ":scheme", "https", ":path", "/200"}
	for name, test := range map[string]struct {
		fields []string
		want   http2.FrameType // 0 = the end of the connection
	}{
		"a name in upper case":             {append(post[:6:6], "X-One", "1"), http2.FrameRSTStream},
		"a pseudo field of its own":        {append(post[:6:6], ":one", "1"), http2.FrameRSTStream},
		"a pseudo field after regular one": {append([]string{"x-one", "1"}, post...), http2.FrameRSTStream},
		"no path":                          {post[:4], http2.FrameRSTStream},
		"too many fields":                  {append(post[:6:6], many("x-one", strings.Repeat("1", 1000), 70)...), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, 100)
			c := w.dial(t, wiretest.Options{})
			c.SendFields(test.fields, "")
			e := c.Until(http2.FrameRSTStream)
			if e.Type != test.want || (e.Lost != nil) != (test.want == 0) {
				t.Errorf("got %+v", e)
			}
			if len(w.requests()) != 0 {
				t.Error("it was served")
			}
		})
	}
}

func many(name, value string, n int) []string {
	var fields []string
	for range n {
		fields = append(fields, name, value)
	}
	return fields
}

func TestOfALongBodyTheBeginningIsKept(t *testing.T) {
	t.Parallel()
	w := start(t, 100)
	c := w.dial(t, wiretest.Options{})
	c.Send("/413", strings.Repeat("x", wire.MaxBody+30_000))
	if got, _ := c.Status(); got != "413" {
		t.Errorf("got %s", got)
	}
	if got := len(w.requests()[0].Body); got != wire.MaxBody {
		t.Errorf("kept %d bytes", got)
	}
}

func TestHTTP1IsServedByTheSameHandler(t *testing.T) {
	t.Parallel()
	w := start(t, 100)
	transport := &http.Transport{TLSClientConfig: w.client}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	response, err := client.Post(w.URL()+"/echo", "text/plain", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.ProtoMajor != 1 || string(body) != "hello" {
		t.Errorf("got %s %q, %v", response.Proto, body, err)
	}
	if entry := w.lines(t, 1)[0]; entry.ID != "/echo" || entry.Headers["content-type"] != "text/plain" {
		t.Errorf("ledger: got %+v", entry)
	}
}

func TestAClientThatSpeaksNoHTTP2IsLeft(t *testing.T) {
	t.Parallel()
	w := start(t, 100)
	config := w.client.Clone()
	config.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", w.Addr(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
}
