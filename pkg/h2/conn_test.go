package h2

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func TestOnlyWhatComesAgainEntersTheTable(t *testing.T) {
	t.Parallel()
	m := newMaker(Settings{Indexed: []string{"apns-topic"}})
	table := newTable()
	var sizes []int
	for range 3 {
		r := post(t, t.Context())
		r.Header = http.Header{
			"Apns-Topic": {"com.example.app"}, "apns-id": {"6c9f3f25"}, "Authorization": {"bearer " + strings.Repeat("x", 200)}, "Host": {"other"},
			"Connection": {"close"}, "Te": {"gzip"},
		}
		s, err := m.stream(r)
		if err != nil {
			t.Fatal(err)
		}
		block := table.block(s.out)
		sizes = append(sizes, len(block))
		if len(sizes) > 1 {
			continue // the table that the decoder would need is the first block's
		}
		got, err := hpack.NewDecoder(4096, nil).DecodeFull(block)
		if err != nil {
			t.Fatal(err)
		}
		sensitive := make(map[string]bool)
		for i, f := range got {
			sensitive[f.Name] = f.Sensitive
			if f.IsPseudo() != (i < 4) {
				t.Errorf("%s is at place %d", f.Name, i)
			}
		}
		want := map[string]bool{
			":method": false, ":scheme": false, ":authority": false, ":path": true, "apns-topic": false, "apns-id": true,
			"authorization": true, "content-length": true,
		}
		if diff := cmp.Diff(want, sensitive); diff != "" {
			t.Errorf("fields, and whether they are kept out of every table (-want +got):\n%s", diff)
		}
	}
	if sizes[1] >= sizes[0]-20 || sizes[2] != sizes[1] {
		t.Errorf("blocks of %v bytes, want the second one without authority and topic, and the third one like it", sizes)
	}
}

func TestAConnectionWithoutMoreStreamIDsIsReplaced(t *testing.T) {
	t.Parallel()
	bubble(t, Limits{}, Settings{}, func(t *testing.T, s *server, p *Pool) {
		s.allows(1)
		_, first, err := p.Do(post(t, t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		first.mu.Lock()
		first.nextID = lastStream - 2
		first.mu.Unlock()
		for range 5 {
			fine(t, send(t, p, t.Context(), 1)())
		}
		synctest.Wait()
		if diff := cmp.Diff([]int{3, 3}, s.seen()); diff != "" {
			t.Errorf("requests by connection (-want +got):\n%s", diff)
		}
		if !s.ended()[0] {
			t.Error("the first connection is still open")
		}
	})
}

func TestRequestsThatAreGivenUpDoNotFloodAServerThatIsBehind(t *testing.T) {
	t.Parallel()
	bubble(t, Limits{Conns: 1}, Settings{PingTimeout: time.Hour}, func(t *testing.T, s *server, p *Pool) {
		s.allows(10)
		fine(t, send(t, p, t.Context(), 1)())
		s.play(func(to *script) { to.answer, to.mute = never, true })
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			send(t, p, ctx, 10)()
			cancel()
		}
		if got := s.seen()[0]; got > 1+2*10 {
			t.Errorf("the server got %d requests while it answered no ping, want no more than the limit twice", got-1)
		}
	})
}

func TestALongBodyIsSentAgainWhereItCanBeReadAgain(t *testing.T) {
	t.Parallel()
	for name, can := range map[string]bool{"again": true, "once": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, Limits{}, Settings{MaxBody: 10}, func(t *testing.T, s *server, p *Pool) {
				fine(t, send(t, p, t.Context(), 1)())
				var refused atomic.Bool
				s.answers(func(c *served, stream uint32) {
					if refused.CompareAndSwap(false, true) {
						c.locked(func() { _ = c.WriteRSTStream(stream, http2.ErrCodeRefusedStream) })
						return
					}
					c.ok(stream)
				})
				r := post(t, t.Context())
				content := strings.Repeat("x", 1000)
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader(content)), 1000
				r.GetBody = nil
				if can {
					r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }
				}
				_, err := p.RoundTrip(r)
				if (err == nil) != can || err != nil && !errors.Is(err, ErrNotProcessed) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestABodyThatFailsOrBlocksEndsItsRequestAlone(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	for _, test := range []struct {
		name   string
		body   func() io.ReadCloser
		length int64
		want   error
	}{
		{"breaks, of unknown length", func() io.ReadCloser {
			return io.NopCloser(io.MultiReader(strings.NewReader("half"), failing{broken}))
		}, -1, broken},
		{"breaks, and is short", func() io.ReadCloser {
			return io.NopCloser(io.MultiReader(strings.NewReader("half"), failing{broken}))
		}, 8, broken},
		{"blocks until it is closed", func() io.ReadCloser { in, _ := io.Pipe(); return in }, -1, context.DeadlineExceeded},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, Limits{}, Settings{}, func(t *testing.T, s *server, p *Pool) {
				fine(t, send(t, p, t.Context(), 1)())
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				r := post(t, ctx)
				r.Body, r.ContentLength, r.GetBody = test.body(), test.length, nil
				if _, err := p.RoundTrip(r); !errors.Is(err, test.want) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				fine(t, send(t, p, t.Context(), 5)())
				if len(s.seen()) != 1 {
					t.Errorf("%d connections, want 1", len(s.seen()))
				}
			})
		})
	}
}

// failing is a reader without any content.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAResponseThatIsTooLargeShowsItsStatusAndItsBeginning(t *testing.T) {
	t.Parallel()
	server, transport := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, strings.Repeat("x", 5000))
	}, Limits{}, Settings{MaxResponse: 1000})
	for range 3 {
		r, err := http.NewRequest(http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if response.StatusCode != http.StatusTeapot || len(body) > 1000 || !errors.Is(err, ErrTooLarge) {
			t.Errorf("got %d, %d bytes, %v", response.StatusCode, len(body), err)
		}
	}
}
