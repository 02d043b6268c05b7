package apns

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pushfleet/pushfleet/pkg/apns/apnstest"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
)

var ignoreErr = cmpopts.IgnoreFields(push.Outcome{}, "Err")

func delivered() push.Outcome { return push.Outcome{Disposition: push.Delivered, Answer: "200"} }

func TestSendsWhatPreviewShows(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := start(t, options{transport: transport})
		for i, pushType := range []push.Type{push.TypeAlert, push.TypeVoIP, push.TypeBackground} {
			n := numbered(i + 1)[i]
			n.Type = pushType
			n.Body = "<b> & \u2028 \"quoted\" 👩‍👩‍👧"
			want, refused := f.driver.Render(n, time.Unix(1790000000, 0))
			if refused != nil {
				t.Fatal(refused)
			}
			if diff := cmp.Diff([]push.Outcome{delivered()}, f.send(t, soon(t), n), ignoreErr); diff != "" {
				t.Fatalf("%q: outcome (-want +got):\n%s", pushType, diff)
			}
			entry := f.Control().Ledger.Entries(n.Token)[0]
			if string(entry.Body) != string(want.Body) {
				t.Errorf("%q: body:\n got %s\nwant %s", pushType, entry.Body, want.Body)
			}
			got := make(map[string]string)
			for name, value := range entry.Headers {
				if strings.HasPrefix(name, "apns-") {
					got[name] = value
				}
			}
			if diff := cmp.Diff(want.Headers, got); diff != "" {
				t.Errorf("%q: headers (-preview +sent):\n%s", pushType, diff)
			}
			if entry.ID != n.ID {
				t.Errorf("%q: apns-id: got %s, want %s", pushType, entry.ID, n.ID)
			}
		}
	})
}

func TestAPayloadOfTheGreatestSizeArrivesAsItIs(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := start(t, options{transport: transport})
		for i, pushType := range []push.Type{push.TypeAlert, push.TypeVoIP} {
			n := numbered(i + 1)[i]
			n.Type, n.Body = pushType, strings.Repeat("<&>", 2000)
			if diff := cmp.Diff([]push.Outcome{delivered()}, f.send(t, soon(t), n), ignoreErr); diff != "" {
				t.Fatalf("%q: outcome (-want +got):\n%s", pushType, diff)
			}
			if got, want := len(f.Control().Ledger.Entries(n.Token)[0].Body), []int{4096, 5120}[i]; got != want {
				t.Errorf("%q: got %d bytes, want %d", pushType, got, want)
			}
		}
	})
}

func TestOutcomesByAnswer(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := start(t, options{transport: transport})
		for _, test := range []struct {
			answer pushtest.Answer
			want   push.Outcome
		}{
			{
				pushtest.Answer{Status: 503, Reason: "ServiceUnavailable", RetryAfter: 2},
				push.Outcome{Reason: push.ReasonProviderUnavailable, Answer: "503 ServiceUnavailable", RetryAfter: 2 * time.Second, Scope: push.ScopeProvider},
			},
			{
				pushtest.Answer{Status: 410, Reason: "Unregistered", Timestamp: 1789999999123},
				push.Outcome{Disposition: push.DropToken, Reason: push.ReasonUnregistered, Answer: "410 Unregistered", InvalidSince: time.UnixMilli(1789999999123)},
			},
			{
				pushtest.Answer{Status: 403, Reason: "Forbidden"},
				push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Answer: "403 Forbidden", Scope: push.ScopeCredential},
			},
			{
				pushtest.Answer{Status: 302, Reason: "no word"},
				push.Outcome{Reason: push.ReasonProviderUnavailable, Answer: "302", Scope: push.ScopeProvider},
			},
			{
				pushtest.Answer{Reason: pushtest.ReasonReset},
				push.Outcome{Reason: push.ReasonAmbiguous, Scope: push.ScopeProvider, Ambiguous: true},
			},
		} {
			n := notification()
			f.script(t, n.Token, test.answer)
			if diff := cmp.Diff([]push.Outcome{test.want}, f.send(t, soon(t), n), ignoreErr); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", test.answer, diff)
			}
		}
	})
}

func TestATokenThatIsNoneNeverLeaves(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := start(t, options{transport: transport})
		good := notification().Token
		tokens := []string{
			"", "abc", good[:63] + "g", good[:62] + "/.", good + "/../" + good, good + "\n", good + "\r\nx: y", good + "?a=b",
			good + "%2f", strings.Repeat("ab", 2048), "日本", good[:62],
		}
		batch := make([]*push.Notification, len(tokens))
		for i, token := range tokens {
			batch[i] = notification()
			batch[i].Token = token
		}
		for i, o := range f.send(t, soon(t), batch...) {
			if o.Disposition != push.DropToken || o.Reason != push.ReasonBadToken || o.Err == nil {
				t.Errorf("token %d: got %+v", i, o)
			} else if tokens[i] != "" && strings.Contains(o.Err.Error(), tokens[i]) {
				t.Errorf("token %d: the error quotes it: %v", i, o.Err)
			}
		}
		if got := f.Control().Ledger.Counts().Requests; got != 0 {
			t.Errorf("%d requests left", got)
		}
	})
}

func TestIDsThatAreNoneNeverLeave(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := start(t, options{transport: transport})
		upper, injected, long := notification(), notification(), notification()
		upper.ID = strings.ToUpper(upper.ID)
		injected.CollapseID = "a\r\napns-topic: b"
		long.CollapseID = strings.Repeat("x", 65)
		for i, o := range f.send(t, soon(t), upper, injected, long) {
			if o.Disposition != push.Dead || o.Reason != push.ReasonPayloadRejected {
				t.Errorf("notification %d: got %+v", i, o)
			}
		}
		if got := f.Control().Ledger.Counts().Requests; got != 0 {
			t.Errorf("%d requests left", got)
		}
	})
}

func TestAColdStartOpensOneConnectionAfterTheOther(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := start(t, options{transport: transport, simulator: apnstest.Config{MaxStreams: 100, Latency: time.Millisecond}})
		batch := numbered(2000)
		for i, o := range f.send(t, soon(t), batch...) {
			if o.Disposition != push.Delivered {
				t.Fatalf("notification %d: got %+v", i, o)
			}
		}
		counts, traffic := f.Control().Ledger.Counts(), f.Control().Traffic.Counts()
		if counts.Accepted != len(batch) || len(counts.Duplicates) != 0 {
			t.Errorf("got %d accepted, duplicates %v", counts.Accepted, counts.Duplicates)
		}
		if traffic.Connections > defaultConnections || traffic.MostStreamsPerConnection > 100 {
			t.Errorf("got %+v", traffic)
		}
	})
}

func TestAServerThatAllowsOneStreamGetsOneAtATime(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := start(t, options{transport: transport, simulator: apnstest.Config{MaxStreams: 1}, platform: map[string]any{"connections": 1}})
		for i, o := range f.send(t, soon(t), numbered(300)...) {
			if o.Disposition != push.Delivered {
				t.Fatalf("notification %d: got %+v", i, o)
			}
		}
		if got := f.Control().Traffic.Counts(); got.Connections != 1 || got.MostStreams != 1 {
			t.Errorf("got %+v, want one connection and one stream", got)
		}
	})
}

func TestALongWaitHoldsNobodyElseUp(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := start(t, options{transport: transport})
		batch := numbered(50)
		f.script(t, batch[0].Token, pushtest.Answer{DelayMS: 60_000})
		// The connection is warm, so that the slow one is not the first on it.
		f.send(t, soon(t), batch[1])
		ctx, cancel := context.WithCancel(soon(t))
		defer cancel()
		var reported atomic.Int32
		var slow push.Outcome
		f.sender.Send(ctx, batch, func(i int, o push.Outcome) {
			if i == 0 {
				slow = o
			}
			if reported.Add(1) == int32(len(batch)-1) {
				cancel()
			}
		})
		if !slow.Ambiguous || slow.Disposition != push.Retry || slow.Reason != push.ReasonTimeout {
			t.Errorf("the slow one: got %+v", slow)
		}
	})
}

func TestADeadlineIsAmbiguousOnceThePayloadLeft(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := start(t, options{transport: transport, platform: map[string]any{"concurrency": 1}})
		f.send(t, soon(t), notification()) // so that the time goes into the answer, not into the connection
		f.script(t, "", pushtest.Answer{DelayMS: 60_000})
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		got := f.send(t, ctx, numbered(2)...)
		want := []push.Outcome{
			{Reason: push.ReasonTimeout, Scope: push.ScopeProvider, Ambiguous: true},
			{Reason: push.ReasonTimeout, Scope: push.ScopeProvider},
		}
		if diff := cmp.Diff(want, got, ignoreErr); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
	})
}

func TestAServerThatIsAwayIsANetworkError(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := start(t, options{transport: transport})
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		for i, o := range f.send(t, soon(t), numbered(100)...) {
			if diff := cmp.Diff(push.Outcome{Reason: push.ReasonNetwork, Scope: push.ScopeProvider}, o, ignoreErr); diff != "" {
				t.Fatalf("notification %d (-want +got):\n%s", i, diff)
			}
			if strings.Contains(o.Err.Error(), "device") {
				t.Fatalf("the error holds the request's path: %v", o.Err)
			}
		}
	})
}

func TestAServerThatNeverSpeaksCostsNoMoreThanTheDeadline(t *testing.T) {
	t.Parallel()
	authority, err := pushtest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	_, p8, err := apnstest.NewKey(teamID, keyID)
	if err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody else does
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	f := open(t, "https://"+silent.Addr().String(), p8, authority, options{})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for i, o := range f.send(t, ctx, numbered(1000)...) {
		if diff := cmp.Diff(push.Outcome{Reason: push.ReasonTimeout, Scope: push.ScopeProvider}, o, ignoreErr); diff != "" {
			t.Fatalf("notification %d (-want +got):\n%s", i, diff)
		}
	}
	began := time.Now()
	if err := f.driver.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > appleTiming.dial/2 {
		t.Errorf("close took %s: it waited for the handshake", took)
	}
}

func TestAServerThatComesBackIsUsedAgain(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := start(t, options{transport: transport})
		f.send(t, soon(t), numbered(1)...)
		addr := strings.TrimPrefix(f.URL(), "https://")
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		back, err := pushtest.StartServer(pushtest.ServerConfig{Addr: addr, Handler: f.Server, TLS: &f.certificate})
		if err != nil {
			t.Fatal(err)
		}
		defer back.Close()
		ctx := soon(t)
		for o := f.send(t, ctx, notification())[0]; o.Disposition != push.Delivered; o = f.send(t, ctx, notification())[0] {
			if ctx.Err() != nil {
				t.Fatalf("still %+v", o)
			}
			time.Sleep(time.Millisecond) // polls; the deadline is ctx's
		}
	})
}

func TestCloseEndsWhatIsBeingSent(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		batch := numbered(5)
		var received sync.WaitGroup
		received.Add(len(batch))
		f := serve(t, transport, func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil || r.Header.Get("Apns-Id") == notification().ID {
				return
			}
			received.Done()
			<-r.Context().Done()
		})
		f.send(t, soon(t), notification()) // the connection is open to more than one
		var running sync.WaitGroup
		var outcomes []push.Outcome
		running.Go(func() { outcomes = f.send(t, soon(t), batch...) })
		received.Wait()
		if err := f.driver.Close(); err != nil {
			t.Fatal(err)
		}
		running.Wait()
		for i, o := range outcomes {
			if o.Disposition != push.Retry || !o.Ambiguous {
				t.Errorf("notification %d: got %+v, want an ambiguous retry", i, o)
			}
		}
		for i, o := range f.send(t, soon(t), batch...) {
			if o.Disposition != push.Retry || o.Ambiguous {
				t.Errorf("notification %d after close: got %+v, want a retry", i, o)
			}
		}
		if _, err := f.driver.Sender("demo", "demo-ios"); err == nil {
			t.Error("a closed driver gave a sender")
		}
	})
}

func TestAnAnswerThatIsNotApples(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := serve(t, transport, func(w http.ResponseWriter, r *http.Request) {
			switch r.Header.Get("Apns-Id")[35] {
			case '1':
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = io.WriteString(w, "<html>"+strings.Repeat("busy ", 10_000))
			case '2':
				w.WriteHeader(http.StatusGone)
				_, _ = io.WriteString(w, `{"reason":"Unregistered","timestamp":null}`)
			case '3':
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, `{"reason":"BadDeviceToken","timestamp":"soon"}`)
			case '4':
				if r.URL.Path != "/elsewhere" {
					http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
				}
			}
		})
		want := []push.Outcome{
			{Reason: push.ReasonProviderUnavailable, Answer: "503", RetryAfter: 7 * time.Second, Scope: push.ScopeProvider},
			{Disposition: push.DropToken, Reason: push.ReasonUnregistered, Answer: "410 Unregistered"},
			{Disposition: push.DropToken, Reason: push.ReasonBadToken, Answer: "400 BadDeviceToken"},
			{Reason: push.ReasonProviderUnavailable, Answer: "307", Scope: push.ScopeProvider},
		}
		if diff := cmp.Diff(want, f.send(t, soon(t), numbered(4)...), ignoreErr); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
	})
}

func TestAnExpiredProviderTokenIsRenewedOnceByAll(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		// A period of 50 minutes starts at 1790001000, one of 20 at 1790001600. The simulator's clock is 38 minutes ahead, so
		// that the token of the former has expired when the one of the latter has not.
		var elapsed atomic.Int64
		clock := func(ahead time.Duration) func() time.Time {
			return func() time.Time { return time.Unix(1790001300, 0).Add(ahead + time.Duration(elapsed.Load())) }
		}
		f := start(t, options{transport: transport, now: clock(0), simulator: apnstest.Config{Now: clock(38 * time.Minute)}})
		if o := f.send(t, soon(t), notification())[0]; o.Disposition != push.Delivered {
			t.Fatalf("the first token: got %+v", o)
		}
		elapsed.Store(int64(25 * time.Minute))
		for i, o := range f.send(t, soon(t), numbered(20)...) {
			if o.Disposition != push.Delivered {
				t.Errorf("notification %d: got %+v", i, o)
			}
		}
		if got := f.Control().Traffic.Counts().Connections; got != 2 {
			t.Errorf("got %d connections, want the first one replaced by a second", got)
		}
		f.script(t, "", pushtest.Answer{Status: http.StatusForbidden, Reason: "ExpiredProviderToken"})
		if o := f.send(t, soon(t), notification())[0]; o.Disposition != push.Park || o.Reason != push.ReasonCredentialRefused {
			t.Errorf("a second revision within 20 minutes: got %+v", o)
		}
	})
}

func TestAConnectionThatAnExpiredTokenSpoiltIsReplacedWithoutANewerToken(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		// For a while the server takes neither the token of the period nor its one revision.
		var elapsed atomic.Int64
		now := func() time.Time { return time.Unix(1790001000, 0).Add(22*time.Minute + time.Duration(elapsed.Load())) }
		f := start(t, options{transport: transport, now: now, simulator: apnstest.Config{Now: now}})
		suffer := func(rules faults.APNs) {
			if err := f.Control().Faults.Put(faults.Script{APNs: rules}); err != nil {
				t.Fatal(err)
			}
		}
		suffer(faults.APNs{TokenAge: faults.Duration(time.Minute), WedgeExpired: true})
		if o := f.send(t, soon(t), notification())[0]; o.Disposition != push.Park || o.Reason != push.ReasonCredentialRefused {
			t.Fatalf("every token has expired: got %+v", o)
		}
		suffer(faults.APNs{})
		if o := f.send(t, soon(t), notification())[0]; o.Disposition != push.Park {
			t.Errorf("at once, on a connection that was just opened: got %+v", o)
		}
		elapsed.Store(int64(replaceEvery))
		if o := f.send(t, soon(t), notification())[0]; o.Disposition != push.Delivered {
			t.Errorf("on a new connection: got %+v", o)
		}
	})
}

func TestARenewalThatComesTooEarlyGoesOnWithTheTokenBefore(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		// A period of 50 minutes starts at 1790004000: 10 minutes after the first push.
		var elapsed atomic.Int64
		now := func() time.Time { return time.Unix(1790003400, 0).Add(time.Duration(elapsed.Load())) }
		f := start(t, options{transport: transport, now: now, simulator: apnstest.Config{Now: now}})
		if err := f.Control().Faults.Put(faults.Script{APNs: faults.APNs{TokenInterval: faults.Duration(20 * time.Minute)}}); err != nil {
			t.Fatal(err)
		}
		for _, at := range []time.Duration{0, 12 * time.Minute, 15 * time.Minute, 25 * time.Minute} {
			elapsed.Store(int64(at))
			if o := f.send(t, soon(t), notification())[0]; o.Disposition != push.Delivered {
				t.Errorf("after %v: got %+v", at, o)
			}
		}
		if got := f.Control().Ledger.Counts().Answers["429 TooManyProviderTokenUpdates"]; got != 1 {
			t.Errorf("%d requests came with the early token, want one", got)
		}
	})
}

func TestAnUnrelatedKeyReplacesTheConnectionOnce(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := start(t, options{transport: transport})
		unrelated := pushtest.Answer{Status: http.StatusForbidden, Reason: reasonUnrelatedKeyID}
		f.script(t, "", unrelated)
		if o := f.send(t, soon(t), notification())[0]; o.Disposition != push.Delivered {
			t.Errorf("the first time: got %+v", o)
		}
		f.script(t, "", unrelated)
		if o := f.send(t, soon(t), notification())[0]; o.Disposition != push.Park || o.Reason != push.ReasonCredentialRefused {
			t.Errorf("again at once: got %+v", o)
		}
		if got := f.Control().Traffic.Counts().Connections; got != 2 {
			t.Errorf("got %d connections, want 2", got)
		}
	})
}
