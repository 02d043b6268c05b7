package fcm

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/messaging"
	"google.golang.org/api/option"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// sdk is the SDK's client over a courier.
func sdk(t *testing.T, base http.RoundTripper) *messaging.Client {
	t.Helper()
	app, err := firebase.NewApp(t.Context(), &firebase.Config{ProjectID: "p"},
		option.WithEndpoint("https://fcm.example/v1"),
		option.WithHTTPClient(&http.Client{Transport: &courier{base: base, now: time.Now}}))
	if err != nil {
		t.Fatal(err)
	}
	client, err := app.Messaging(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func answer(status int, header http.Header, body string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// TestSDKMakesOneRequest holds the SDK's own retries, redirects and waits away, whatever the answer.
func TestSDKMakesOneRequest(t *testing.T) {
	t.Parallel()
	lost := errors.New("connection lost")
	for _, c := range []struct {
		name   string
		answer func(*http.Request) (*http.Response, error)
		want   result
	}{
		{
			"accepted",
			func(*http.Request) (*http.Response, error) {
				return answer(200, nil, `{"name":"projects/p/messages/1"}`)
			},
			result{status: 200},
		},
		{
			"unavailable, with a wish",
			func(*http.Request) (*http.Response, error) {
				return answer(503, http.Header{"Retry-After": {"7"}}, withCode("UNAVAILABLE", "UNAVAILABLE"))
			},
			result{status: 503, code: "UNAVAILABLE", state: "UNAVAILABLE", retryAfter: 7 * time.Second},
		},
		{
			"a redirect",
			func(*http.Request) (*http.Response, error) {
				return answer(307, http.Header{"Location": {"https://elsewhere.example/"}}, "")
			},
			result{status: 307},
		},
		{
			"no connection",
			func(*http.Request) (*http.Response, error) { return nil, lost },
			result{err: lost},
		},
		{
			"lost while the message left",
			func(r *http.Request) (*http.Response, error) {
				_, _ = io.ReadFull(r.Body, make([]byte, 1))
				return nil, lost
			},
			result{err: lost, sent: true},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			requests := 0
			client := sdk(t, roundTripper(func(r *http.Request) (*http.Response, error) {
				requests++
				return c.answer(r)
			}))
			made := &call{Context: t.Context(), token: "access", body: []byte(`{"message":{}}`)}
			_, _ = client.Send(made, &messaging.Message{Token: "t"})
			if requests != 1 {
				t.Errorf("%d requests, want 1", requests)
			}
			if made.result != c.want {
				t.Errorf("got %+v, want %+v", made.result, c.want)
			}
		})
	}
}

func TestCourierPutsInOurBytes(t *testing.T) {
	t.Parallel()
	const body = `{"message":{"data":{"body":"<&>"},"token":"t"}}`
	client := sdk(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		sent, err := io.ReadAll(r.Body)
		if err != nil || string(sent) != body || r.ContentLength != int64(len(body)) {
			t.Errorf("got %d bytes %s, %v", r.ContentLength, sent, err)
		}
		if got := r.Header.Get("Authorization"); got != "Bearer access" {
			t.Errorf("authorization: got %q", got)
		}
		if got, want := r.URL.String(), "https://fcm.example/v1/projects/p/messages:send"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		return answer(200, nil, `{"name":"n"}`)
	}))
	name, err := client.Send(&call{Context: t.Context(), token: "access", body: []byte(body)}, &messaging.Message{Token: "t"})
	if name != "n" || err != nil {
		t.Errorf("got %q, %v", name, err)
	}
}

// TestUnprocessedRequest is a server that retires its connections: REFUSED_STREAM or GOAWAY before our stream.
func TestUnprocessedRequest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		refusal int // how many times in a row
		want    result
	}{
		{"once costs nothing", 1, result{status: 200}},
		{"twice is a network error, and nothing was sent", 2, result{err: errUnprocessed}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client := sdk(t, roundTripper(func(r *http.Request) (*http.Response, error) {
				for range c.refusal {
					_, _ = io.ReadAll(r.Body)
					again, err := r.GetBody()
					if err != nil {
						return nil, err
					}
					r.Body = again
				}
				if whole, _ := io.ReadAll(r.Body); string(whole) != "{}" {
					t.Errorf("repeated with %q", whole)
				}
				return answer(200, nil, `{"name":"n"}`)
			}))
			made := &call{Context: t.Context(), body: []byte("{}")}
			_, _ = client.Send(made, &messaging.Message{Token: "t"})
			if made.result != c.want {
				t.Errorf("got %+v, want %+v", made.result, c.want)
			}
		})
	}
}

func TestTheCallersEndOfTimeIsWhatCounts(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	client := sdk(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		_, _ = io.ReadAll(r.Body)
		cancel()
		return nil, errors.New("stream reset")
	}))
	made := &call{Context: ctx, body: []byte("{}")}
	_, _ = client.Send(made, &messaging.Message{Token: "t"})
	if want := (result{err: context.Canceled, sent: true}); made.result != want {
		t.Errorf("got %+v, want %+v", made.result, want)
	}
}
