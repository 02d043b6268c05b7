package service_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// topic is an offline topic that answers when it is told to.
type topic struct {
	handed []handed
}

type handed struct {
	key   string
	value string
	done  func(error)
}

func (o *topic) offline(_ context.Context, app, user, device string, value []byte, done func(error)) {
	o.handed = append(o.handed, handed{app + "|" + user + "|" + device, string(value), done})
}

// send runs a send inside the test's bubble; the returned outcomes may be read once done is closed.
func send(t *testing.T, d push.Driver, ctx context.Context, batch ...*push.Notification) (outcomes []push.Outcome, done chan struct{}) {
	t.Helper()
	sender, err := d.Sender("demo", "")
	if err != nil {
		t.Fatal(err)
	}
	outcomes, done = make([]push.Outcome, len(batch)), make(chan struct{})
	reports := make([]int, len(batch))
	go func() {
		defer close(done)
		sender.Send(ctx, batch, func(i int, o push.Outcome) {
			outcomes[i] = o
			reports[i]++
		})
		if slices.Min(reports) != 1 || slices.Max(reports) != 1 {
			t.Errorf("reports: %v, want one each", reports)
		}
	}()
	return outcomes, done
}

func named(device string) *push.Notification {
	n := hello()
	n.Device = device
	return n
}

var ignoreErr = cmpopts.IgnoreFields(push.Outcome{}, "Err")

func TestDeliveredIsWhatIsDurableInTheTopic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := new(topic)
		d := open(t, settings(to.offline))
		defer d.Close()
		n := hello()
		want, _ := d.Render(n, time.Now())
		outcomes, done := send(t, d, t.Context(), n, named("b|c"))
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("it ended before a record was durable")
		default:
		}
		if len(to.handed) != 2 || to.handed[0].key != "demo|bob|bob-tablet" || to.handed[1].key != "demo|bob|b|c" {
			t.Fatalf("handed: %+v", to.handed)
		}
		if to.handed[0].value != string(want.Body) {
			t.Errorf("the record is %s, preview shows %s", to.handed[0].value, want.Body)
		}
		if strings.Contains(to.handed[0].value, n.Token) {
			t.Error("the record holds the handle")
		}
		to.handed[1].done(errors.New("leader not available"))
		to.handed[0].done(nil)
		<-done
		wanted := []push.Outcome{
			{Disposition: push.Delivered},
			{Disposition: push.Retry, Reason: push.ReasonNetwork, Scope: push.ScopeProvider, Ambiguous: true},
		}
		if diff := cmp.Diff(wanted, outcomes, ignoreErr); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTheEndOfTimeIsNotWaitedBeyond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := new(topic)
		d := open(t, settings(to.offline))
		defer d.Close()
		batch := make([]*push.Notification, d.Concurrency()+1)
		for i := range batch {
			batch[i] = hello()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		outcomes, done := send(t, d, ctx, batch...)
		<-done
		timeout := push.Outcome{Disposition: push.Retry, Reason: push.ReasonTimeout, Scope: push.ScopeProvider}
		if diff := cmp.Diff(timeout, outcomes[len(batch)-1], ignoreErr); diff != "" {
			t.Errorf("what was not handed over: %s", diff)
		}
		timeout.Ambiguous = true
		if diff := cmp.Diff(timeout, outcomes[0], ignoreErr); diff != "" {
			t.Errorf("what may be durable: %s", diff)
		}
		// The records are still on their way, and hold their places until the topic answers.
		if len(to.handed) != d.Concurrency() {
			t.Errorf("%d on their way, want %d", len(to.handed), d.Concurrency())
		}
		ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		outcomes, done = send(t, d, ctx, hello())
		synctest.Wait()
		to.handed[0].done(nil)
		synctest.Wait()
		to.handed[len(to.handed)-1].done(nil)
		<-done
		if diff := cmp.Diff([]push.Outcome{{Disposition: push.Delivered}}, outcomes); diff != "" {
			t.Errorf("after a place was free again: %s", diff)
		}
	})
}

func TestCloseEndsRunningSends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := open(t, settings(new(topic).offline))
		outcomes, done := send(t, d, t.Context(), hello())
		synctest.Wait()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		<-done
		want := []push.Outcome{{Disposition: push.Retry, Reason: push.ReasonTimeout, Ambiguous: true}}
		if diff := cmp.Diff(want, outcomes, ignoreErr); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWhatCanNeverBeSentIsDead(t *testing.T) {
	t.Parallel()
	large := hello()
	large.Ext = strings.Repeat("x", 64<<10)
	other := hello()
	other.App = "other"
	for name, test := range map[string]struct {
		to   offline
		n    *push.Notification
		want push.Reason
	}{
		"a record too large": {at, large, push.ReasonTooLarge},
		"nobody's app":       {at, other, push.ReasonUnknownApp},
		"a process that was given no way to the topic": {nil, hello(), push.ReasonPayloadRejected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := open(t, settings(test.to))
			defer d.Close()
			outcomes, done := send(t, d, t.Context(), test.n)
			<-done
			if got := outcomes[0]; got.Disposition != push.Dead || got.Reason != test.want {
				t.Errorf("got %+v, want dead, %s", got, test.want)
			}
		})
	}
}
