package h2_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"golang.org/x/net/http2"
)

func limit(n uint32) http2.Setting {
	return http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: n}
}

func TestTheStreamLimitHoldsAsItChanges(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		s.knownShort(t, std, "looks at a limit that rose only when a stream ends")
		c, p := greeted(t, s, options{}, limit(1))
		var calls []*call
		for range 12 {
			calls = append(calls, get(t, c, "/"))
		}
		answered := 0
		for i, step := range []struct {
			limit   int // -1 = as before
			answers int // to the oldest
			open    int // afterwards
		}{
			{limit: 1, open: 1},
			{limit: -1, answers: 1, open: 1},
			{limit: 3, open: 3},
			{limit: -1, answers: 1, open: 3},
			{limit: 2, open: 3}, // what is open stays so
			{limit: -1, answers: 1, open: 2},
			{limit: -1, answers: 1, open: 2},
			{limit: 0, open: 2},
			{limit: -1, answers: 2, open: 0},
			{limit: 5, open: 5},
			{limit: -1, answers: 4, open: 2}, // the last two of 12
			{limit: 100, open: 2},
			{limit: -1, answers: 2, open: 0},
		} {
			if step.limit >= 0 {
				p.set(http2.SettingMaxConcurrentStreams, uint32(step.limit))
			}
			for range step.answers {
				p.settle()
				p.respond(uint32(answered*2+1), "")
				answered++
			}
			p.settle()
			if open := p.begun() - answered; open != step.open {
				t.Errorf("step %d %+v: %d streams are open", i, step, open)
			}
		}
		for _, k := range calls {
			k.ok(t, "")
		}
	})
}

func TestWhatIsAvailableFollowsTheLimit(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{}, limit(3))
		want := func(available, inFlight int) {
			t.Helper()
			if c.Available() != available || c.InFlight() != inFlight {
				t.Errorf("%d available and %d in flight, want %d and %d", c.Available(), c.InFlight(), available, inFlight)
			}
		}
		want(3, 0)
		first, second := get(t, c, "/1"), get(t, c, "/2")
		p.settle()
		want(1, 2)
		p.set(http2.SettingMaxConcurrentStreams, 1)
		want(0, 2)
		p.set(http2.SettingMaxConcurrentStreams, 10)
		want(8, 2)
		p.respond(1, "")
		p.respond(3, "")
		first.ok(t, "")
		second.ok(t, "")
		want(10, 0)
	})
}

func TestARequestBeforeTheServersSettingsIsAnsweredAfterThem(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := connect(t, s, options{})
		k := get(t, c, "/")
		p.greet(limit(1))
		p.respond(1, "yes")
		k.ok(t, "yes")
	})
}

func TestARequestIsSentAsItIs(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{})
		r := request(t, http.MethodPost, "/3/device/abc?x=1", body("hello"))
		r.Host = "api.test"
		r.Header.Set("Apns-Topic", "com.example.app")
		r.Header["apns-id"] = []string{"1"}
		r.Header.Add("X-Many", "a")
		r.Header.Add("X-Many", "b")
		r.Header.Set("Connection", "keep-alive")
		r.Header.Set("Keep-Alive", "10")
		r.Header.Set("Te", "trailers")
		k := start(c, r)
		p.settle()
		got := p.expect("/3/device/abc?x=1")
		for name, want := range map[string]string{
			":method": "POST", ":scheme": "http", ":authority": "api.test", "apns-topic": "com.example.app", "apns-id": "1",
			"x-many": "a", "content-length": "5", "te": "trailers",
			"connection": "", "keep-alive": "", "host": "",
		} {
			if got.field(name) != want {
				t.Errorf("%s is %q, want %q", name, got.field(name), want)
			}
		}
		regular := false
		for _, f := range got.fields {
			if f.IsPseudo() && regular {
				t.Errorf("%s comes after the regular fields", f.Name)
			}
			regular = regular || !f.IsPseudo()
		}
		if string(got.body) != "hello" || !got.ended {
			t.Errorf("body %q, ended %v", got.body, got.ended)
		}
		p.respond(1, "")
		k.ok(t, "")
	})
}

func TestARefusedStreamWasNotProcessed(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{})
		k := post(t, c, "/refused", "x")
		p.settle()
		p.must(p.WriteRSTStream(1, http2.ErrCodeRefusedStream))
		if k.wait(t); !s.unprocessed(k.err) {
			t.Errorf("got %v", k.err)
		}
		p.settle()
		p.path("/refused") // did not come again
		next := get(t, c, "/next")
		p.settle()
		p.respond(p.expect("/next").id, "yes")
		next.ok(t, "yes")
	})
}

func TestAResetEndsItsStreamAlone(t *testing.T) {
	for code := http2.ErrCodeNo; code <= http2.ErrCodeHTTP11Required+1; code++ { // the last one is nobody's
		if code == http2.ErrCodeRefusedStream {
			continue
		}
		for _, begun := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v answer begun %v", code, begun), func(t *testing.T) {
				play(t, func(t *testing.T, s subject) {
					c, p := greeted(t, s, options{}, limit(2))
					other, k := get(t, c, "/other"), get(t, c, "/reset")
					p.settle()
					id := p.expect("/reset").id
					if begun {
						p.head(id, false, ":status", "200")
						p.must(p.WriteData(id, false, []byte("half")))
						p.settle()
					}
					p.must(p.WriteRSTStream(id, code))
					k.wait(t)
					var reset http2.StreamError
					if !errors.As(k.err, &reset) || reset.Code != code || s.unprocessed(k.err) {
						t.Errorf("got %v", k.err)
					}
					p.respond(p.expect("/other").id, "yes")
					other.ok(t, "yes")
					if code == http2.ErrCodeProtocol {
						return // a client may take it that the two don't understand each other, and begin no more here
					}
					next := get(t, c, "/next")
					p.settle()
					p.respond(p.expect("/next").id, "yes")
					next.ok(t, "yes")
				})
			})
		}
	}
}

func TestAnAnswerBeforeTheBodyIsReadIsTheAnswer(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 2}, limit(1))
		p.stays = true
		k := post(t, c, "/", "a body that waits for its window")
		p.settle()
		p.head(1, true, ":status", "200")
		p.must(p.WriteRSTStream(1, http2.ErrCodeNo))
		k.ok(t, "")
		next := get(t, c, "/next")
		p.settle()
		p.respond(p.expect("/next").id, "")
		next.ok(t, "")
	})
}

func TestTheRestOfABodyThatNobodyWantsIsGivenUp(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{}, window(2), limit(1))
		p.stays = true
		k := post(t, c, "/", "a body that waits for its window")
		p.settle()
		p.respond(1, "no more, please")
		k.ok(t, "no more, please")
		if p.expect("/").reset == nil {
			t.Error("the stream is open still")
		}
		next := get(t, c, "/next")
		p.settle()
		p.respond(p.expect("/next").id, "")
		next.ok(t, "")
	})
}

func TestGivenUpRequestsDoNotFloodAPeerThatDoesNotCount(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{}, limit(10))
		p.rude = true // nobody knows how many of them it has taken off its count
		for range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			k := start(c, request(t, http.MethodGet, "/", nil).WithContext(ctx))
			p.settle()
			cancel()
			k.wait(t)
		}
		if p.settle(); p.begun() > 11 {
			t.Errorf("%d requests came", p.begun())
		}
		p.rude = false
		p.must(p.WritePing(true, p.asked))
		p.settle()
		k := get(t, c, "/next")
		p.settle()
		p.respond(p.expect("/next").id, "yes")
		k.ok(t, "yes")
	})
}

func TestAGivenUpRequestIsReset(t *testing.T) {
	for _, stage := range []string{"waits for its answer", "sends its body", "reads its answer"} {
		t.Run(stage, func(t *testing.T) {
			play(t, func(t *testing.T, s subject) {
				c, p := greeted(t, s, options{}, limit(1), http2.Setting{ID: http2.SettingInitialWindowSize, Val: 2})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				content := "xx"
				if stage == "sends its body" {
					p.stays = true
					content = "more than the window"
				}
				k := start(c, request(t, http.MethodPost, "/given-up", body(content)).WithContext(ctx))
				p.settle()
				waiting := get(t, c, "/waiting")
				p.settle()
				if p.path("/waiting") != nil {
					t.Fatal("the limit does not hold")
				}
				if stage == "reads its answer" {
					p.head(1, false, ":status", "200")
					p.must(p.WriteData(1, false, []byte("half")))
					p.settle()
				}
				cancel()
				k.wait(t)
				whole := stage != "sends its body" // a part may count as nothing that could be processed
				if !errors.Is(k.err, context.Canceled) || whole && s.unprocessed(k.err) {
					t.Errorf("got %v", k.err)
				}
				p.settle()
				if reset := p.expect("/given-up").reset; reset == nil || *reset != http2.ErrCodeCancel {
					t.Errorf("the server saw %v", reset)
				}
				p.respond(p.expect("/waiting").id, "yes")
				waiting.ok(t, "yes")
				if c.InFlight() != 0 || c.Available() != 1 {
					t.Errorf("%d in flight, %d available", c.InFlight(), c.Available())
				}
			})
		})
	}
}

func TestAGivenUpRequestThatWaitsForAStreamIsNeverSent(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{}, limit(1))
		first := get(t, c, "/first")
		p.settle()
		ctx, cancel := context.WithCancel(t.Context())
		k := start(c, request(t, http.MethodGet, "/given-up", nil).WithContext(ctx))
		p.settle()
		last := get(t, c, "/last")
		p.settle()
		cancel()
		if k.wait(t); !errors.Is(k.err, context.Canceled) {
			t.Errorf("got %v", k.err)
		}
		p.respond(p.expect("/first").id, "")
		first.ok(t, "")
		if p.path("/given-up") != nil {
			t.Error("it was sent")
		}
		p.respond(p.expect("/last").id, "")
		last.ok(t, "")
	})
}

func TestARequestWhoseContextHasEndedIsNeverSent(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		k := start(c, request(t, http.MethodGet, "/", nil).WithContext(ctx))
		if k.wait(t); !errors.Is(k.err, context.Canceled) {
			t.Errorf("got %v", k.err)
		}
		p.settle()
		if p.begun() != 0 {
			t.Error("it was sent")
		}
	})
}

func TestALateAnswerToAGivenUpRequestIsDropped(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{})
		ctx, cancel := context.WithCancel(t.Context())
		k := start(c, request(t, http.MethodGet, "/given-up", nil).WithContext(ctx))
		p.settle()
		cancel()
		k.wait(t)
		p.head(1, false, ":status", "200", "x-entry", "goes into the table")
		p.dropped(1)
		for range 6 { // more than the connection's window
			ctx, cancel := context.WithCancel(t.Context())
			k := start(c, request(t, http.MethodGet, "/", nil).WithContext(ctx))
			p.settle()
			id := p.last.id
			cancel()
			k.wait(t)
			p.dropped(id)
		}
		next := get(t, c, "/next")
		p.settle()
		p.head(p.expect("/next").id, true, ":status", "200", "x-entry", "goes into the table")
		next.ok(t, "")
		if got := next.response.Header.Get("X-Entry"); got != "goes into the table" {
			t.Errorf("the header tables differ: got %q", got)
		}
	})
}

// dropped answers a request that is over with as much as its window takes.
func (p *peer) dropped(id uint32) {
	p.t.Helper()
	for s := p.streams[id]; s.window > 0; {
		p.settle()
		n := min(p.window, s.window, 16384)
		if n <= 0 {
			p.t.Fatal("the client gives no room back for what it drops")
		}
		p.must(p.WriteData(id, false, make([]byte, n)))
		p.window, s.window = p.window-n, s.window-n
	}
}
