package h2

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
)

func TestAThousandCallersAtAColdStartOpenFewConnections(t *testing.T) {
	t.Parallel()
	for _, streams := range []uint32{100, 1000} {
		for _, first := range []int{0, 1} {
			bubble(t, Limits{Conns: 100}, Settings{FirstStreams: first}, func(t *testing.T, s *server, p *Pool) {
				s.allows(streams)
				s.answers(later(20 * time.Millisecond))
				fine(t, send(t, p, t.Context(), 1000)())
				if most := slices.Max(s.most()); most > int(streams) {
					t.Errorf("%d streams at a time, want %d at most", most, streams)
				}
				if len(s.seen()) > 4 {
					t.Errorf("%d streams, %d at first: %d connections", streams, first, len(s.seen()))
				}
			})
		}
	}
}

func TestANewConnectionCarriesFewRequestsUntilItsFirstAnswer(t *testing.T) {
	t.Parallel()
	for _, first := range []int{1, 3} {
		bubble(t, Limits{}, Settings{FirstStreams: first}, func(t *testing.T, s *server, p *Pool) {
			s.allows(1000)
			s.answers(later(time.Second))
			wait := send(t, p, t.Context(), 50)
			synctest.Wait()
			if got := s.conns[0].seen(); got != first {
				t.Errorf("before the first answer: %d requests, want %d", got, first)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if got := s.conns[0].seen(); got != 50 {
				t.Errorf("after it: %d requests, want all 50", got)
			}
			fine(t, wait())
		})
	}
}

func TestConnectionsFollowTheLoadOneByOne(t *testing.T) {
	t.Parallel()
	bubble(t, Limits{Conns: 3, Spread: 10, Grow: 5 * time.Second, Shrink: time.Minute}, Settings{}, func(t *testing.T, s *server, p *Pool) {
		s.answers(later(time.Second))
		ctx, stop := context.WithCancel(t.Context())
		var running []func() []error
		for range 40 {
			running = append(running, send(t, p, ctx, 1))
		}
		var grown []int
		for range 20 { // a new request for each that was answered
			time.Sleep(time.Second)
			synctest.Wait()
			for range 40 {
				running = append(running, send(t, p, ctx, 1))
			}
			synctest.Wait()
			grown = append(grown, p.Stats().Conns)
		}
		for i, n := range grown {
			if want := min(1+(i+1)/5, 3); n > want {
				t.Errorf("after %d s: %d connections, want %d at most", i+1, n, want)
			}
		}
		if last := grown[len(grown)-1]; last != 3 {
			t.Errorf("at last %d connections, want all 3", last)
		}
		for _, wait := range running {
			fine(t, wait())
		}
		stop()
		var shrunk []int
		for range 4 {
			time.Sleep(time.Minute)
			synctest.Wait()
			shrunk = append(shrunk, p.Stats().Conns)
		}
		if !slices.IsSortedFunc(shrunk, func(a, b int) int { return b - a }) || shrunk[len(shrunk)-1] != 1 {
			t.Errorf("minute by minute without load: %v connections, want one fewer each time down to 1", shrunk)
		}
		fine(t, send(t, p, t.Context(), 1)())
		if len(s.seen()) != 3 {
			t.Errorf("%d connections were opened, want 3", len(s.seen()))
		}
	})
}

func TestSlowAnswersDoNotHoldUpTheNextConnection(t *testing.T) {
	t.Parallel()
	for first, want := range map[int]int{0: 4, 1: 1} {
		bubble(t, Limits{Grow: time.Second}, Settings{FirstStreams: first}, func(t *testing.T, s *server, p *Pool) {
			s.allows(100)
			s.answers(later(time.Minute))
			wait := send(t, p, t.Context(), 400)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if got := p.Stats().Conns; got != want {
				t.Errorf("%d streams at first: %d connections before the first answer, want %d", first, got, want)
			}
			fine(t, wait())
		})
	}
}

func TestANewConnectionIsOpenedInTimeThoughNothingElseHappens(t *testing.T) {
	t.Parallel()
	bubble(t, Limits{Grow: time.Second}, Settings{}, func(t *testing.T, s *server, p *Pool) {
		s.answers(func(c *served, stream uint32) {
			c.locked(func() { _ = c.WriteSettings(limit(0)) })
			c.ok(stream)
		})
		fine(t, send(t, p, t.Context(), 1)())
		begun := time.Now()
		fine(t, send(t, p, t.Context(), 1)())
		if waited := time.Since(begun); waited != time.Second {
			t.Errorf("waited %v for the second connection, want 1 s", waited)
		}
	})
}

func TestARequestThatTheServerHasNotProcessedIsSentOnceMore(t *testing.T) {
	t.Parallel()
	reset := func(code http2.ErrCode) func(*served, uint32) {
		return func(c *served, stream uint32) { c.locked(func() { _ = c.WriteRSTStream(stream, code) }) }
	}
	above := func(c *served, stream uint32) {
		c.locked(func() { _ = c.WriteGoAway((stream-1)/2*2, http2.ErrCodeNo, nil) })
	}
	cut := func(c *served, _ uint32) { c.conn.Close() }
	for _, test := range []struct {
		name  string
		fault func(*served, uint32)
		times int
		sent  int // requests that the server saw
		err   bool
		not   bool // processed
	}{
		{"refused once", reset(http2.ErrCodeRefusedStream), 1, 2, false, false},
		{"refused twice", reset(http2.ErrCodeRefusedStream), 2, 2, true, true},
		{"above the last stream once", above, 1, 2, false, false},
		{"above the last stream twice", above, 2, 2, true, true},
		{"reset for another reason", reset(http2.ErrCodeInternal), 1, 1, true, false},
		{"cut off", cut, 1, 1, true, false},
		{"below the last stream, then cut off", func(c *served, stream uint32) {
			c.locked(func() { _ = c.WriteGoAway(stream, http2.ErrCodeNo, nil) })
			cut(c, stream)
		}, 1, 1, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, Limits{}, Settings{}, func(t *testing.T, s *server, p *Pool) {
				fine(t, send(t, p, t.Context(), 1)()) // the first request of a connection is a case of its own
				before := s.seen()[0]
				var faults atomic.Int64
				s.answers(func(c *served, stream uint32) {
					if faults.Add(1) <= int64(test.times) {
						test.fault(c, stream)
						return
					}
					c.ok(stream)
				})
				err := send(t, p, t.Context(), 1)()[0]
				if (err != nil) != test.err || errors.Is(err, ErrNotProcessed) != test.not {
					t.Errorf("got %v, want an error: %v, not processed: %v", err, test.err, test.not)
				}
				total := -before
				for _, n := range s.seen() {
					total += n
				}
				if total != test.sent {
					t.Errorf("the server saw it %d times, want %d", total, test.sent)
				}
			})
		})
	}
}

func TestRequestsMoveFromAConnectionThatEndsBeforeTheyHaveAStream(t *testing.T) {
	t.Parallel()
	bubble(t, Limits{Conns: 1}, Settings{}, func(t *testing.T, s *server, p *Pool) {
		s.allows(2)
		fine(t, send(t, p, t.Context(), 1)())
		s.answers(func(c *served, stream uint32) {
			if c.number > 0 {
				c.ok(stream)
			}
		})
		wait := send(t, p, t.Context(), 10) // two have a stream
		synctest.Wait()
		if got := p.Stats(); got.InFlight != 2 || got.Waiting != 8 {
			t.Fatalf("got %+v", got)
		}
		s.cut(0)
		var failed int
		for _, err := range wait() {
			if err != nil {
				failed++
			}
		}
		if failed != 2 {
			t.Errorf("%d requests failed, want those 2 that had a stream", failed)
		}
	})
}

func TestRequestsMoveFromAConnectionThatWasBrokenBeforeTheyWereWritten(t *testing.T) {
	t.Parallel()
	bubble(t, Limits{}, Settings{}, func(t *testing.T, s *server, p *Pool) {
		fine(t, send(t, p, t.Context(), 1)())
		reads := make(chan struct{})
		s.answers(func(c *served, stream uint32) {
			if c.number > 0 {
				c.ok(stream)
				return
			}
			<-reads // and so takes nothing more
		})
		var lost []func() []error
		for range 2 { // one that the server has read, and one that is being written
			lost = append(lost, send(t, p, t.Context(), 1))
			synctest.Wait()
		}
		moved := send(t, p, t.Context(), 5)
		synctest.Wait()
		s.cut(0)
		close(reads)
		for _, wait := range lost {
			if err := wait()[0]; err == nil || errors.Is(err, ErrNotProcessed) {
				t.Errorf("one that was written: got %v", err)
			}
		}
		fine(t, moved())
	})
}

func TestAServerThatCannotBeReachedIsTriedMoreAndMoreSeldom(t *testing.T) {
	t.Parallel()
	bubble(t, Limits{FirstRedial: time.Second, LastRedial: time.Minute}, Settings{}, func(t *testing.T, s *server, p *Pool) {
		s.play(func(to *script) { to.refuse = errors.New("no route") })
		var at []time.Duration
		begun, dials := time.Now(), 0
		for range 600 {
			errs := send(t, p, t.Context(), 3)()
			for _, err := range errs {
				var dial *DialError
				if !errors.As(err, &dial) || !errors.Is(err, ErrNotProcessed) {
					t.Fatalf("got %v", err)
				}
			}
			if now := s.dialed(); now > dials {
				dials = now
				at = append(at, time.Since(begun))
			}
			time.Sleep(time.Second)
		}
		if len(at) < 10 || len(at) > 40 {
			t.Errorf("in 10 min tried at %v, want 10 to 40 times", at)
		}
		s.play(func(to *script) { to.refuse = nil })
		time.Sleep(2 * time.Minute)
		fine(t, send(t, p, t.Context(), 3)())
	})
}

func TestAConnectionThatNeverAnswersIsAsIfItCouldNotBeSetUp(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(*served, uint32){
		"silent": never,
		"cut":    func(c *served, _ uint32) { c.conn.Close() },
		"ended":  func(c *served, _ uint32) { c.locked(func() { _ = c.WriteGoAway(0, http2.ErrCodeNo, nil) }) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, Limits{FirstRedial: time.Minute}, Settings{}, func(t *testing.T, s *server, p *Pool) {
				s.answers(answer)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := send(t, p, ctx, 1)()[0]; err == nil {
					t.Fatal("got an answer")
				}
				var dial *DialError
				if err := send(t, p, t.Context(), 1)()[0]; !errors.As(err, &dial) {
					t.Errorf("the next one: got %v", err)
				}
				if s.dialed() != 1 {
					t.Errorf("%d set-ups, want 1", s.dialed())
				}
			})
		})
	}
}

func TestARequestThatIsGivenUpTakesNoStreamFromTheOthers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		answer func(*served, uint32)
	}{{"on a stream", never}, {"in the queue", later(10 * time.Second)}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, Limits{Conns: 1}, Settings{}, func(t *testing.T, s *server, p *Pool) {
				s.allows(5)
				fine(t, send(t, p, t.Context(), 1)())
				s.answers(test.answer)
				for range 20 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					for _, err := range send(t, p, ctx, 20)() {
						if !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("got %v", err)
						}
					}
					cancel()
				}
				synctest.Wait()
				s.answers(nil)
				if got := p.Stats(); got.Conns != 1 || got.InFlight != 0 || got.Waiting != 0 {
					t.Errorf("got %+v, want one connection that carries nothing", got)
				}
				fine(t, send(t, p, t.Context(), 20)())
				if got := s.most()[0]; got > 5 || len(s.seen()) != 1 {
					t.Errorf("%d streams at a time on %d connections, want at most 5 on 1", got, len(s.seen()))
				}
			})
		})
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	t.Parallel()
	bubble(t, Limits{Conns: 1}, Settings{MaxQueued: 3}, func(t *testing.T, s *server, p *Pool) {
		s.allows(1)
		fine(t, send(t, p, t.Context(), 1)())
		s.answers(later(time.Second))
		busy := 0
		for _, err := range send(t, p, t.Context(), 10)() {
			switch {
			case errors.Is(err, ErrBusy) && errors.Is(err, ErrNotProcessed):
				busy++
			case err != nil:
				t.Errorf("got %v", err)
			}
		}
		if busy != 6 {
			t.Errorf("%d requests were turned away, want 6: one has a stream, and 3 wait", busy)
		}
	})
}

func TestARetiredConnectionFinishesWhatItCarries(t *testing.T) {
	t.Parallel()
	bubble(t, Limits{}, Settings{}, func(t *testing.T, s *server, p *Pool) {
		s.answers(later(time.Second))
		_, carrier, err := p.Do(post(t, t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		wait := send(t, p, t.Context(), 5)
		synctest.Wait()
		if !p.Retire(carrier) || p.Retire(carrier) {
			t.Error("want it to be in use once")
		}
		fine(t, send(t, p, t.Context(), 5)())
		fine(t, wait())
		synctest.Wait()
		if diff := cmp.Diff([]int{6, 5}, s.seen()); diff != "" {
			t.Errorf("requests by connection (-want +got):\n%s", diff)
		}
		if !cmp.Equal(s.ended(), []bool{true, false}) {
			t.Error("want the first connection closed, and the second one open")
		}
	})
}

func TestCloseEndsWhateverWaits(t *testing.T) {
	t.Parallel()
	for name, dial := range map[string]func(*server) DialFunc{
		"for its answer":   func(s *server) DialFunc { return s.dial },
		"for a connection": func(*server) DialFunc { return hang },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &server{script: script{answer: never, settings: []http2.Setting{limit(2)}}}
				p := NewPool(dial(s), Limits{Conns: 1, Dial: time.Hour}, Settings{})
				wait := send(t, p, t.Context(), 10)
				synctest.Wait()
				begun := time.Now()
				p.Close()
				for _, err := range append(wait(), send(t, p, t.Context(), 1)()...) {
					if !errors.Is(err, ErrClosed) {
						t.Errorf("got %v", err)
					}
				}
				if took := time.Since(begun); took > lastWords {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

func TestAnErrorNeverQuotesTheRequest(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*http.Request){
		"a method":        func(r *http.Request) { r.Method = "se cret" },
		"a field's name":  func(r *http.Request) { r.Header["secret secret"] = []string{"x"} },
		"a field's value": func(r *http.Request) { r.Header["Authorization"] = []string{"secret\n"} },
		"a host":          func(r *http.Request) { r.Host = "secret secret" },
		"a path":          func(r *http.Request) { r.URL.Opaque = "secret" },
		"a query":         func(r *http.Request) { r.URL.RawQuery = "secret\r\nx: y" },
		"a scheme":        func(r *http.Request) { r.URL.Scheme = "secret" },
		"no URL":          func(r *http.Request) { r.URL = nil },
		"trailers":        func(r *http.Request) { r.Trailer = http.Header{"Secret": nil} },
		"CONNECT":         func(r *http.Request) { r.Method = http.MethodConnect },
		"a longer body":   func(r *http.Request) { r.ContentLength = 3 },
		"a shorter body":  func(r *http.Request) { r.ContentLength = 300 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, Limits{}, Settings{}, func(t *testing.T, s *server, p *Pool) {
				r := post(t, t.Context())
				change(r)
				_, err := p.RoundTrip(r)
				if !errors.Is(err, ErrNotProcessed) {
					t.Errorf("got %v", err)
				}
				if text := fmt.Sprint(err); slices.ContainsFunc([]string{"secret", "cret", "content\""}, func(s string) bool { return strings.Contains(text, s) }) {
					t.Errorf("it quotes the request: %s", text)
				}
				if len(s.seen()) > 0 {
					t.Error("a connection was opened for it")
				}
			})
		})
	}
}
