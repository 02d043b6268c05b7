package callback

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// TestRow22NothingIsLostOverAFailingReceiverAndARestart: 100,000 events, a receiver that fails three of ten times, and a stop in
// the middle, after which everything that was not acknowledged is read again.
func TestRow22NothingIsLostOverAFailingReceiverAndARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const records, each = 1000, 100
		all := packs(t, records, each)
		fate := newFate()
		r := newRig(t, nil)
		receiver := r.receiver
		receiver.answer = failing(0.3, rand.New(rand.NewPCG(1, 2)))
		for start := 0; start < records; start += 16 {
			if start == 512 { // some callbacks wait to be repeated, and others behind them
				fails := receiver.answer
				receiver.mu.Lock()
				receiver.answer = failing(1, rand.New(rand.NewPCG(1, 2)))
				receiver.mu.Unlock()
				generation, end := context.WithCancel(t.Context())
				go r.Handle(generation, []*stream.Record{fate.follow(all[512]), fate.follow(all[513])})
				time.Sleep(time.Minute)
				end()
				r.stop()
				synctest.Wait()
				if fate.isAcked(512) || fate.isAcked(513) {
					t.Error("what was not accepted was acknowledged at the stop")
				}
				r = newRig(t, nil)
				r.receiver.answer, r.receiver.told = fails, receiver.told
				var again []*stream.Record
				for _, rec := range all[:start] {
					if !fate.isAcked(rec.Offset) {
						again = append(again, fate.follow(rec))
					}
				}
				r.Handle(t.Context(), again)
			}
			batch := all[start:min(start+16, records)]
			for _, rec := range batch {
				fate.follow(rec)
			}
			r.Handle(t.Context(), batch)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if acked, _ := fate.counts(); acked != records {
			t.Errorf("%d of %d records acknowledged", acked, records)
		}
		twice := 0
		_, told := r.receiver.accepted()
		for _, n := range told {
			if n > 1 {
				twice++
			}
		}
		if len(told) != records*each || len(r.letters.taken()) != 0 {
			t.Errorf("%d of %d events told, %d dead letters", len(told), records*each, len(r.letters.taken()))
		}
		if twice > 16*each+4*MaxBatch {
			t.Errorf("%d events told twice", twice)
		}
		sizes := append(receiver.sizes, r.receiver.sizes...)
		full := 0
		for _, size := range sizes {
			if size == MaxBatch {
				full++
			}
			if size > MaxBatch {
				t.Errorf("a callback of %d events", size)
			}
		}
		if full < len(sizes)-10 {
			t.Errorf("%d of %d callbacks are full", full, len(sizes))
		}
		r.stop()
	})
}

func TestABatchWaitsNoLongerThanItsLinger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		fate := newFate()
		r.Handle(t.Context(), []*stream.Record{fate.follow(packs(t, 1, 3)[0])})
		time.Sleep(999 * time.Millisecond)
		synctest.Wait()
		if posts, _ := r.receiver.accepted(); posts != 0 {
			t.Error("it was not waited for more")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		posts, _ := r.receiver.accepted()
		if acked, _ := fate.counts(); posts != 1 || acked != 1 {
			t.Errorf("%d callbacks, %d acknowledged", posts, acked)
		}
		r.stop()
	})
}

// TestAReceiverThatIsDown: pauses grow, its wish is honored, nothing is lost; what is older than the longest age is a dead
// letter at the next failure.
func TestAReceiverThatIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MaxAge = time.Hour })
		var tries []time.Time
		wish := ""
		r.receiver.answer = func([]string) (int, http.Header, error) {
			tries = append(tries, time.Now())
			return http.StatusServiceUnavailable, http.Header{"Retry-After": {wish}}, nil
		}
		fate := newFate()
		r.Handle(t.Context(), []*stream.Record{fate.follow(packs(t, 1, 3)[0])})
		time.Sleep(50 * time.Minute)
		r.receiver.mu.Lock()
		for i := 1; i < len(tries); i++ {
			if pause := tries[i].Sub(tries[i-1]); pause < firstPause/2 || pause > longestPause*3/2 {
				t.Errorf("a pause of %s", pause)
			}
		}
		if len(tries) < 40 || len(tries) > 120 {
			t.Errorf("%d attempts in 50 minutes", len(tries))
		}
		wish = "300"
		r.receiver.mu.Unlock()
		time.Sleep(2 * time.Minute)
		before, _ := r.receiver.accepted()
		time.Sleep(3 * time.Minute)
		if after, _ := r.receiver.accepted(); after > before+1 {
			t.Errorf("%d attempts in three minutes, where the receiver wishes for five", after-before)
		}
		if acked, dropped := fate.counts(); acked != 0 || dropped != 0 || len(r.letters.taken()) != 0 {
			t.Errorf("before its age: %d acknowledged, %d dropped, %d letters", acked, dropped, len(r.letters.taken()))
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if acked, _ := fate.counts(); acked != 1 || len(r.letters.taken()) != 1 {
			t.Fatalf("after its age: %d acknowledged, %d letters", acked, len(r.letters.taken()))
		}
		checkLetter(t, r.letters.taken()[0], push.ReasonCallbackExpired, "503", 3)
		if r.dead() != 3 {
			t.Errorf("counted %d", r.dead())
		}
		r.stop()
	})
}

func checkLetter(t *testing.T, m stream.Message, reason push.Reason, answer string, events int) {
	t.Helper()
	headers := map[string]string{}
	for _, h := range m.Headers {
		headers[h.Key] = string(h.Value)
	}
	if m.Topic != "push.callbacks.dead" || string(m.Key) != "demo" || headers[stream.HeaderReason] != string(reason) ||
		headers[stream.HeaderAnswer] != answer || headers[stream.HeaderOrigin] != "push.events/0/0" || headers[stream.HeaderFirstSeen] == "" {
		t.Errorf("%s %s %v", m.Topic, m.Key, headers)
	}
	if items, err := unpack(m.Value, "demo"); err != nil || len(items) != events {
		t.Errorf("it holds %d events, %v", len(items), err)
	}
}

// TestTheOneEventThatIsRefusedIsFound, and becomes a dead letter alone.
func TestTheOneEventThatIsRefusedIsFound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		told, _ := Tell(event(42))
		r.receiver.answer = func(ids []string) (int, http.Header, error) {
			if slices.Contains(ids, told.EventID) {
				return http.StatusUnprocessableEntity, nil, nil
			}
			return http.StatusOK, nil, nil
		}
		fate := newFate()
		r.Handle(t.Context(), []*stream.Record{fate.follow(packs(t, 1, 100)[0])})
		time.Sleep(time.Minute)
		synctest.Wait()
		posts, accepted := r.receiver.accepted()
		if acked, _ := fate.counts(); acked != 1 || len(accepted) != 99 || len(r.letters.taken()) != 1 {
			t.Fatalf("%d acknowledged, %d told, %d letters", acked, len(accepted), len(r.letters.taken()))
		}
		checkLetter(t, r.letters.taken()[0], push.ReasonCallbackRefused, "422", 1)
		if posts > refusals+2*8 {
			t.Errorf("%d attempts", posts)
		}
		r.stop()
	})
}

// TestWhatAnOperatorSendsBackIsToldAgain, with the ids it had, and as young as its record.
func TestWhatAnOperatorSendsBackIsToldAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		told, _ := Tell(event(1))
		body := (&batch{items: []item{{json: told.encode()}}}).body("demo")
		fate := newFate()
		record := func(offset int64, key, value string) *stream.Record {
			return fate.follow(&stream.Record{Topic: "push.callbacks", Offset: offset, Key: []byte(key), Value: []byte(value), Time: time.Now()})
		}
		r.Handle(t.Context(), []*stream.Record{record(0, "demo", string(body)), record(1, "other", string(body)), record(2, "demo", "no batch"),
			record(3, "demo", `{"App":"other","Events":[]}`), record(4, "demo", `{"App":"demo","Events":[1]}`)})
		time.Sleep(time.Minute)
		synctest.Wait()
		_, accepted := r.receiver.accepted()
		if acked, _ := fate.counts(); acked != 5 || accepted[told.EventID] != 1 || len(accepted) != 1 {
			t.Errorf("%d acknowledged, told %v", acked, accepted)
		}
		if len(r.letters.taken()) != 3 {
			t.Errorf("%d letters of records that nobody can read", len(r.letters.taken()))
		}
		r.stop()
	})
}

// TestALostPartitionsCallbacksAreGivenUp: what waits when its generation ends is dropped at once, so that its next owner
// tells it; what follows is not held up.
func TestALostPartitionsCallbacksAreGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		down := true
		r.receiver.answer = func([]string) (int, http.Header, error) {
			if down {
				return 0, nil, errors.New("connection refused")
			}
			return http.StatusOK, nil, nil
		}
		lost, revoke := context.WithCancel(t.Context())
		fate := newFate()
		all := packs(t, 20, 100)
		for _, rec := range all {
			fate.follow(rec)
		}
		handled := make(chan struct{})
		go func() { defer close(handled); r.Handle(lost, all[:19]) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case <-handled:
			t.Error("more is under way than may be")
		default:
		}
		revoke()
		synctest.Wait()
		<-handled
		if acked, dropped := fate.counts(); acked != 0 || dropped != 19 {
			t.Errorf("%d acknowledged, %d dropped", acked, dropped)
		}
		r.receiver.mu.Lock()
		down = false
		r.receiver.mu.Unlock()
		r.Handle(t.Context(), all[19:])
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if acked, _ := fate.counts(); acked != 1 {
			t.Error("the next generation's record is not told")
		}
		r.stop()
	})
}

// TestABatchIsOfOneGeneration: what is gathered goes out before the next generation's events come, and what still waits
// for more when its generation ends is dropped.
func TestABatchIsOfOneGeneration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		fate := newFate()
		all := packs(t, 3, 3)
		first, endFirst := context.WithCancel(t.Context())
		second, endSecond := context.WithCancel(t.Context())
		r.Handle(first, []*stream.Record{fate.follow(all[0])})
		r.Handle(second, []*stream.Record{fate.follow(all[1])})
		synctest.Wait()
		endFirst()
		if posts, _ := r.receiver.accepted(); posts != 1 || !fate.isAcked(0) || fate.isDropped(1) {
			t.Errorf("%d callbacks, the first acknowledged %t, the second dropped %t", posts, fate.isAcked(0), fate.isDropped(1))
		}
		endSecond()
		synctest.Wait()
		if posts, _ := r.receiver.accepted(); posts != 1 || !fate.isDropped(1) || fate.isAcked(1) {
			t.Errorf("%d callbacks, the second dropped %t, acknowledged %t", posts, fate.isDropped(1), fate.isAcked(1))
		}
		r.Handle(t.Context(), []*stream.Record{fate.follow(all[2])})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if posts, _ := r.receiver.accepted(); posts != 2 || !fate.isAcked(2) {
			t.Errorf("%d callbacks, the third acknowledged %t", posts, fate.isAcked(2))
		}
		r.stop()
	})
}

func TestALetterThatIsNotDurableKeepsItsRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.letters.err = errors.New("closed")
		r.receiver.answer = func([]string) (int, http.Header, error) { return http.StatusBadRequest, nil, nil }
		fate := newFate()
		r.Handle(t.Context(), []*stream.Record{fate.follow(packs(t, 1, 1)[0])})
		time.Sleep(time.Minute)
		synctest.Wait()
		if acked, dropped := fate.counts(); acked != 0 || dropped != 1 || r.dead() != 0 {
			t.Errorf("%d acknowledged, %d dropped, %d dead", acked, dropped, r.dead())
		}
		r.stop()
	})
}

func TestRecordsWithoutAWordForTheAppAreAcknowledged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		fate := newFate()
		pack, err := (&schemasv1.Events{Events: []*schemasv1.Event{{App: "other", Disposition: "delivered"}, {App: "demo", Disposition: "push"}}}).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		receipt, err := json.Marshal(map[string]any{"App": "demo", "User": "bob", "Device": "d", "Receipt": "read", "MsgKey": "m", "ReceiptTime": 1790000000000})
		if err != nil {
			t.Fatal(err)
		}
		for i, rec := range []*stream.Record{
			{Topic: "push.events", Value: pack}, {Topic: "push.events", Value: []byte("\xff")},
			{Topic: "im.receipts", Value: receipt}, {Topic: "im.receipts", Value: []byte("no receipt")},
		} {
			rec.Offset = int64(i)
			r.Handle(t.Context(), []*stream.Record{fate.follow(rec)})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		posts, _ := r.receiver.accepted()
		if acked, _ := fate.counts(); acked != 4 || posts != 0 || len(r.letters.taken()) != 0 {
			t.Errorf("%d acknowledged, %d callbacks, %d letters", acked, posts, len(r.letters.taken()))
		}
		r.stop()
	})
}
