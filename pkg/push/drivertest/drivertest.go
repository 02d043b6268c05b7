// Package drivertest is the conformance suite of [push.Driver]: what every platform promises, whatever its provider. A
// platform's test hands in a driver and what is particular to it; a failure names the promise that is broken. [Cost] and [Resident] are what their
// benchmarks measure by.
package drivertest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rivo/uniseg"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// Subject is what the suite is run on.
type Subject struct {
	// Open gives a fresh driver with the app and credential of Notification, whose key it can open. The suite closes it.
	Open func(t *testing.T) push.Driver
	// Notification gives a new alert that the driver can send. The suite puts texts, badge and type in its own way.
	Notification func() *push.Notification
	Tokens       []string // that the platform takes
	Limit        int      // of an alert's body, as Render gives it, in bytes
	Keyless      bool     // as in [push.Kind]
}

// now is what times to live are counted from.
var now = time.Unix(1790000000, 0)

// Run runs the whole suite.
func Run(t *testing.T, s Subject) {
	for name, test := range map[string]func(*testing.T, Subject){
		"hostile tokens are refused and never quoted":        hostileTokens,
		"rendering has no memory and changes nothing":        deterministic,
		"no token is rendered":                               noToken,
		"an app or a credential that is not there is named":  unknown,
		"a body is cut after a whole grapheme cluster":       cutOnClusters,
		"a body is cut no further than needed":               cutAtTheLimit,
		"nothing but the body is cut":                        tooLarge,
		"text goes out with the escapes that JSON needs":     text,
		"no badge and a badge of 0 are two things":           badge,
		"a background push shows nothing":                    background,
		"a send whose time is over reports each item once":   endedSend,
		"a closed driver gives no sender":                    closed,
		"a credential has room for at least one at a time":   concurrency,
		"one credential has one sender, another's is no one": senders,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

// open closes the driver with the test.
func open(t *testing.T, s Subject) push.Driver {
	t.Helper()
	driver := s.Open(t)
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	return driver
}

// render fails the test where n is refused.
func render(t *testing.T, d push.Driver, n *push.Notification) push.Request {
	t.Helper()
	request, refused := d.Render(n, now)
	if refused != nil {
		t.Fatalf("refused: %+v", refused)
	}
	if !json.Valid(request.Body) {
		t.Fatalf("not JSON: %s", request.Body)
	}
	return request
}

// values collects every string inside a rendered body, names apart.
func values(t *testing.T, body []byte) []string {
	t.Helper()
	var all []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			all = append(all, v)
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	var decoded any
	if err := json.Unmarshal(body, &decoded); err != nil {
		t.Fatal(err)
	}
	walk(decoded)
	return all
}

func hostileTokens(t *testing.T, s Subject) {
	d := open(t, s)
	for _, token := range s.Tokens {
		if err := d.CheckToken(token); err != nil {
			t.Errorf("a good token of %d bytes: %v", len(token), err)
		}
		for _, inside := range []string{"\x00", "\n", "\r\nx: y", "\x1b[31m", "\x7f", "\xff"} {
			hostile := token[:len(token)/2] + inside + token[len(token)/2:]
			err := d.CheckToken(hostile)
			if err == nil {
				t.Errorf("a token with %q inside is taken", inside)
			} else if strings.Contains(err.Error(), token[:len(token)/2]) {
				t.Errorf("the error quotes the token")
			}
		}
	}
	for name, token := range map[string]string{"no token": "", "a megabyte": strings.Repeat("ab", 1<<19)} {
		if err := d.CheckToken(token); err == nil || len(err.Error()) > 200 {
			t.Errorf("%s: got no error, or a long one", name)
		}
	}
}

func deterministic(t *testing.T, s Subject) {
	d := open(t, s)
	n := s.Notification()
	before := *n
	want := render(t, d, n)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if got, _ := d.Render(n, now); !cmp.Equal(want, got) {
				t.Errorf("another rendering: %s\nwant %s", cmp.Diff(want, got), want.Body)
			}
		})
	}
	wait.Wait()
	if diff := cmp.Diff(before, *n); diff != "" {
		t.Errorf("the notification was changed: %s", diff)
	}
}

func noToken(t *testing.T, s Subject) {
	d := open(t, s)
	n := s.Notification()
	n.Token = s.Tokens[0]
	request := render(t, d, n)
	if strings.Contains(string(request.Body), n.Token) {
		t.Error("the body holds the token")
	}
	for name, value := range request.Headers {
		if strings.Contains(value, n.Token) || strings.EqualFold(name, "authorization") {
			t.Errorf("the header %s holds a secret", name)
		}
	}
}

func unknown(t *testing.T, s Subject) {
	d := open(t, s)
	n := s.Notification()
	n.App = "nobody's"
	dead(t, d, n, push.ReasonUnknownApp)
	n = s.Notification()
	n.Credential = "nobody's"
	if !s.Keyless {
		dead(t, d, n, push.ReasonUnknownCredential)
	}
}

func dead(t *testing.T, d push.Driver, n *push.Notification, want push.Reason) {
	t.Helper()
	_, got := d.Render(n, now)
	if got == nil || got.Disposition != push.Dead || got.Reason != want {
		t.Errorf("got %+v, want dead, %s", got, want)
	}
}

// clusters are what people write, in ways that are cut wrong easily.
var clusters = map[string]string{
	"ASCII": "x", "quotes": `"`, "control characters": "\x01", "markup": "<", "line ends": "\r\n", "line separators": "\u2028",
	"Chinese": "汉", "combined letters": "e\u0301", "flags": "🇩🇪", "a family": "👩‍👩‍👧‍👦", "Hangul": "\u1112\u1161\u11ab",
}

func cutOnClusters(t *testing.T, s Subject) {
	d := open(t, s)
	for name, cluster := range clusters {
		for shift := range 4 { // the limit falls on another place inside a cluster
			n := s.Notification()
			n.Title = strings.Repeat("t", shift)
			n.Body = strings.Repeat(cluster, 2*s.Limit/len(cluster)+1)
			request := render(t, d, n)
			kept := bodyOf(t, request.Body)
			if strings.Trim(kept, cluster) != "" || uniseg.GraphemeClusterCount(kept)*len(cluster) != len(kept) {
				t.Errorf("%s: cut inside a cluster", name)
			}
			quoted, err := json.Marshal(cluster) // an upper bound of what one more takes: it escapes more than is needed
			if err != nil {
				t.Fatal(err)
			}
			if left := s.Limit - len(request.Body); left < 0 || left >= len(quoted)-len(`""`) {
				t.Errorf("%s: %d bytes, %d left, and one more would take at most %d", name, len(request.Body), left, len(quoted)-2)
			}
		}
	}
}

// bodyOf finds the text that was cut, without its ellipsis.
func bodyOf(t *testing.T, body []byte) string {
	t.Helper()
	var found []string
	for _, value := range values(t, body) {
		if kept, cut := strings.CutSuffix(value, "…"); cut {
			found = append(found, kept)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d texts end in an ellipsis, want the body alone", len(found))
	}
	return found[0]
}

func cutAtTheLimit(t *testing.T, s Subject) {
	d := open(t, s)
	n := s.Notification()
	n.Body = "x"
	n.Body = strings.Repeat("x", s.Limit-len(render(t, d, n).Body)+1)
	whole := render(t, d, n).Body
	if len(whole) != s.Limit || strings.Contains(string(whole), "…") {
		t.Errorf("a body that just fits was cut: %d bytes", len(whole))
	}
	n.Body += "x"
	over := render(t, d, n).Body
	if want := n.Body[:len(n.Body)-len("…")-1]; len(over) != s.Limit || bodyOf(t, over) != want {
		t.Errorf("one byte more: %d bytes, %d letters kept, want %d and %d", len(over), len(bodyOf(t, over)), s.Limit, len(want))
	}
}

func tooLarge(t *testing.T, s Subject) {
	d := open(t, s)
	long := strings.Repeat("e", s.Limit)
	for name, change := range map[string]func(n *push.Notification){
		"ext":                func(n *push.Notification) { n.Ext = long },
		"ext, no body":       func(n *push.Notification) { n.Ext, n.Body = long, "" },
		"ext, a large body":  func(n *push.Notification) { n.Ext, n.Body = long, long },
		"title":              func(n *push.Notification) { n.Title = long },
		"ext of background":  func(n *push.Notification) { n.Ext, n.Type = long, push.TypeBackground },
		"message key":        func(n *push.Notification) { n.MsgKey = long },
		"ext, in two halves": func(n *push.Notification) { n.Ext = long[:s.Limit/2+1]; n.Title = long[:s.Limit/2] },
	} {
		n := s.Notification()
		change(n)
		if _, got := d.Render(n, now); got == nil || got.Disposition != push.Dead || got.Reason != push.ReasonTooLarge {
			t.Errorf("%s: got %+v, want dead, too_large", name, got)
		}
	}
	n := s.Notification()
	n.Ext, n.Body = long[:s.Limit/2], long
	if body := render(t, d, n).Body; !slices.Contains(values(t, body), n.Ext) {
		t.Error("ext was touched for the sake of the body")
	}
}

func text(t *testing.T, s Subject) {
	d := open(t, s)
	n := s.Notification()
	n.Body = "<b>&'\u2028\u2029/é😀 \"\\\n\x01"
	n.Ext = n.Body
	body := render(t, d, n).Body
	if written := `<b>&'` + "\u2028\u2029" + `/é😀 \"\\\n\u0001`; strings.Count(string(body), written) != 2 {
		t.Errorf("body and ext are not in %s", body)
	}
	n.Body = "a\xffb"
	if body := render(t, d, n).Body; !slices.Contains(values(t, body), "a\ufffdb") {
		t.Errorf("bytes that are not UTF-8 became %s", body)
	}
}

func badge(t *testing.T, s Subject) {
	d := open(t, s)
	bodies := make(map[int]string)
	for _, count := range []int{push.NoBadge, 0, 424242} {
		n := s.Notification()
		n.Badge = count
		bodies[count] = string(render(t, d, n).Body)
	}
	if !strings.Contains(bodies[424242], "424242") {
		t.Error("the badge is missing")
	}
	if bodies[0] == bodies[push.NoBadge] || strings.ReplaceAll(bodies[424242], "424242", "0") != bodies[0] {
		t.Errorf("a badge of 0 is not written as any other: %s", bodies[0])
	}
	if len(bodies[push.NoBadge]) >= len(bodies[0]) {
		t.Errorf("no badge is written: %s", bodies[push.NoBadge])
	}
}

func background(t *testing.T, s Subject) {
	d := open(t, s)
	n := s.Notification()
	n.Type = push.TypeBackground
	n.Title, n.Subtitle, n.Body = "a title", "a subtitle", "a body"
	n.Sound, n.AndroidSound, n.Channel, n.Ext, n.MsgKey = "apple.caf", "android.mp3", "a channel", "the ext", "the key"
	n.Image = "https://e.example/image.png"
	got := values(t, render(t, d, n).Body)
	for _, shown := range []string{n.Title, n.Subtitle, n.Body, n.Sound, n.AndroidSound, n.Channel, n.Image, "default"} {
		if slices.Contains(got, shown) {
			t.Errorf("it holds %q", shown)
		}
	}
	for _, kept := range []string{n.Ext, n.MsgKey} {
		if !slices.Contains(got, kept) {
			t.Errorf("it lacks %q", kept)
		}
	}
	n = s.Notification()
	n.Type, n.Badge = push.TypeBackground, 0
	with := render(t, d, n).Body
	n.Badge = push.NoBadge
	if string(with) == string(render(t, d, n).Body) {
		t.Error("a badge of 0 is left out")
	}
}

func endedSend(t *testing.T, s Subject) {
	d := open(t, s)
	n := s.Notification()
	sender, err := d.Sender(n.App, n.Credential)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	const items = 3
	var mu sync.Mutex
	reports := make(map[int][]push.Outcome)
	sender.Send(ctx, []*push.Notification{n, s.Notification(), s.Notification()}, func(i int, o push.Outcome) {
		mu.Lock()
		defer mu.Unlock()
		reports[i] = append(reports[i], o)
	})
	for i := range items {
		if got := reports[i]; len(got) != 1 || got[0].Disposition != push.Retry || got[0].Reason == "" {
			t.Errorf("item %d: got %+v, want one retry", i, got)
		}
	}
	if len(reports) != items {
		t.Errorf("reports for %d items, want %d", len(reports), items)
	}
}

func closed(t *testing.T, s Subject) {
	d := s.Open(t)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	n := s.Notification()
	if _, err := d.Sender(n.App, n.Credential); err == nil || errors.Is(err, push.ErrUnknownCredential) {
		t.Errorf("got %v, want an error of its own", err)
	}
}

func concurrency(t *testing.T, s Subject) {
	if got := open(t, s).Concurrency(); got < 1 {
		t.Errorf("got %d", got)
	}
}

func senders(t *testing.T, s Subject) {
	d := open(t, s)
	n := s.Notification()
	first, err := d.Sender(n.App, n.Credential)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := d.Sender(n.App, n.Credential); err != nil || again != first {
		t.Errorf("a second call gave another sender, or %v", err)
	}
	if _, err := d.Sender("nobody's", n.Credential); !errors.Is(err, push.ErrUnknownCredential) {
		t.Errorf("an unknown app: got %v", err)
	}
	if _, err := d.Sender(n.App, "nobody's"); !s.Keyless && !errors.Is(err, push.ErrUnknownCredential) {
		t.Errorf("an unknown credential: got %v", err)
	}
}
