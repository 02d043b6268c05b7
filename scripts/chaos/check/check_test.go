package check

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

// world is a phase in which everything went well, until a test changes it: bob's phone is in the background with 3
// unread from -10 s on, carol's in the foreground; alice writes to bob at 0 s, 1 s and 2 s, and to carol at 3 s.
type world struct {
	Input
	bob, carol *Device
}

func c2c(n int, to string) []byte {
	value, err := json.Marshal(map[string]any{"From_Account": "alice", "To_Account": to, "MsgSeq": n, "MsgRandom": n, "MsgTimeStamp": 100 + n})
	if err != nil {
		panic(err)
	}
	return value
}

func keyOf(n int) string { return fmt.Sprintf("c2c:alice:%d_%d_%d", n, n, 100+n) }

func newWorld() *world {
	w := &world{bob: &Device{User: "bob", ID: "phone", Token: "b"}, carol: &Device{User: "carol", ID: "phone", Token: "c"}}
	w.Settings = Settings{Slack: 2 * time.Second, Look: time.Second}
	w.Devices = []*Device{w.bob, w.carol}
	w.Changes = []Change{
		{Device: w.bob, State: Background, At: at(-10), Durable: at(-10), Report: true, Unread: 3},
		{Device: w.carol, State: Foreground, At: at(-10), Durable: at(-10)},
	}
	w.Groups = map[string][]string{"team": {"alice", "bob", "carol"}}
	w.Bad = map[string]bool{}
	for i := range 3 {
		n := i + 1
		w.record(n, float64(i), c2c(n, "bob"))
		w.push(n, float64(i)+0.1, 3+n)
	}
	w.record(4, 3, c2c(4, "carol"))
	w.event(4, "carol", 3.1, "filter", "foreground")
	return w
}

func (w *world) record(offset int, seconds float64, value []byte) {
	w.Records = append(w.Records, Record{Offset: int64(offset), Time: at(seconds), Value: value})
}

func (w *world) push(n int, seconds float64, badge int) {
	w.Pushes = append(w.Pushes, Push{Time: at(seconds), Token: "b", MsgKey: keyOf(n), Badge: badge, Accepted: true})
	w.event(n, "bob", seconds, "delivered", "")
}

func (w *world) event(n int, user string, seconds float64, disposition, reason string) {
	w.Events = append(w.Events, Event{MsgKey: keyOf(n), User: user, Device: "phone", Disposition: disposition, Reason: reason, Time: at(seconds)})
}

// move lets a phone step somewhere.
func (w *world) move(d *Device, state State, seconds float64) {
	w.Changes = append(w.Changes, Change{Device: d, State: state, At: at(seconds), Durable: at(seconds)})
}

func TestWhatIsFound(t *testing.T) {
	t.Parallel()
	calm, kills, cuts := Scenario{}, Scenario{Kills: true}, Scenario{LosesAnswers: true}
	for name, test := range map[string]struct {
		plant func(w *world)
		count func(v *Verdict) int
		want  int
		in    Scenario
		fails bool // a bar
	}{
		"all went well": {
			func(*world) {}, func(v *Verdict) int { return v.Pushed }, 3, calm, false,
		},
		"a push that never came": {
			func(w *world) { w.Pushes = w.Pushes[:2]; w.Events = w.Events[:2] },
			func(v *Verdict) int { return v.Lost }, 2, calm, true, // and carol's end with it
		},
		"a push that the provider did not take": {
			func(w *world) { w.Pushes[2].Accepted = false },
			func(v *Verdict) int { return v.Lost }, 1, calm, true,
		},
		"an end without a push: duplicate of what never came": {
			func(w *world) { w.Pushes = w.Pushes[:2]; w.event(3, "bob", 3, "filter", "duplicate") },
			func(v *Verdict) int { return v.Lost }, 1, calm, true,
		},
		"a push twice": {
			func(w *world) { w.push(3, 5, 6) }, func(v *Verdict) int { return v.Duplicates }, 1, calm, true,
		},
		"a push twice after an answer that was lost": {
			func(w *world) { w.Pushes[2].Unanswered = true; w.push(3, 5, 6) },
			func(v *Verdict) int { return v.Ambiguous }, 1, cuts, false,
		},
		"a push twice after an answer that nothing can have lost": {
			func(w *world) { w.Pushes[2].Unanswered = true; w.push(3, 5, 6) },
			func(v *Verdict) int { return v.Ambiguous }, 1, calm, true,
		},
		"a push twice after a time-out": {
			func(w *world) { w.event(3, "bob", 4, "retry", "timeout"); w.push(3, 5, 6) },
			func(v *Verdict) int { return v.Ambiguous }, 1, cuts, false,
		},
		"a push twice, and a time-out long before the first": {
			func(w *world) {
				w.Pushes[2].Time = at(5)
				w.event(3, "bob", 2.5, "retry", "timeout")
				w.push(3, 8, 6)
			}, func(v *Verdict) int { return v.Duplicates }, 1, cuts, true,
		},
		"a push twice, of which the provider took the first a moment after its connection was lost": {
			func(w *world) { w.event(3, "bob", 2.05, "retry", "ambiguous"); w.push(3, 5, 6) },
			func(v *Verdict) int { return v.Ambiguous }, 1, cuts, false,
		},
		"a push twice, and a time-out after that": {
			func(w *world) { w.push(3, 5, 6); w.event(3, "bob", 6, "retry", "timeout") },
			func(v *Verdict) int { return v.Duplicates }, 1, cuts, true,
		},
		"a push twice after an attempt that the provider has not processed": {
			func(w *world) { w.event(3, "bob", 4, "retry", "network"); w.push(3, 5, 6) },
			func(v *Verdict) int { return v.Duplicates }, 1, cuts, true,
		},
		"a push three times, of which one answer was lost, as both sides tell": {
			func(w *world) {
				w.Pushes[2].Unanswered = true
				w.event(3, "bob", 4, "retry", "ambiguous")
				w.push(3, 5, 6)
				w.push(3, 6, 6)
			}, func(v *Verdict) int { return 10*v.Ambiguous + v.Duplicates }, 11, cuts, true,
		},
		"a push three times, of which two answers were lost": {
			func(w *world) {
				w.event(3, "bob", 4, "retry", "ambiguous")
				w.push(3, 5, 6)
				w.event(3, "bob", 5.5, "retry", "timeout")
				w.push(3, 6, 6)
			}, func(v *Verdict) int { return 10*v.Ambiguous + v.Duplicates }, 20, cuts, false,
		},
		"a push twice after an answer that was lost, with kills": {
			func(w *world) { w.Pushes[2].Unanswered = true; w.push(3, 5, 6) },
			func(v *Verdict) int { return v.Repeated(kills) }, 1, kills, true, // one of three is more than 1 %
		},
		"an earlier message after a later one": {
			func(w *world) { w.Pushes[0].Time = at(1.5) }, func(v *Verdict) int { return v.Misordered }, 1, calm, true,
		},
		"an earlier message after a later one, by a second attempt": {
			func(w *world) { w.Pushes[0].Time = at(1.5); w.event(1, "bob", 0.2, "retry", "provider_unavailable") },
			func(v *Verdict) int { return v.Misordered }, 0, calm, false,
		},
		"a number that is too large": {
			func(w *world) { w.Pushes[1].Badge = 7 }, func(v *Verdict) int { return v.WrongBadges }, 1, calm, true,
		},
		"a number that is too small": {
			func(w *world) { w.Pushes[1].Badge = 4 }, func(v *Verdict) int { return v.WrongBadges }, 1, calm, true,
		},
		"numbers that forget a message": {
			func(w *world) { // all at once, so that each alone might have been decided before the others
				for i := range 3 {
					w.Records[i].Time, w.Pushes[i].Time, w.Pushes[i].Badge = at(0), at(1), 5
				}
			},
			func(v *Verdict) int { return v.WrongBadges }, 1, calm, true,
		},
		"numbers that forget a message, after a report that nobody had to know yet": {
			func(w *world) {
				w.Changes[0].At, w.Changes[0].Durable = at(-1), at(0.5) // and before it 2 unread
				w.Changes = append(w.Changes, Change{Device: w.bob, State: Background, At: at(-20), Durable: at(-20), Report: true, Unread: 2})
				for i := range 3 {
					w.Pushes[i].Badge = 3 + i
				}
			},
			func(v *Verdict) int { return v.WrongBadges }, 0, calm, false,
		},
		"a number without a message that was shown, and then taken back": {
			func(w *world) {
				w.event(1, "bob", 0.5, "filter", "foreground")
				w.move(w.bob, Foreground, 0.3)
				w.Changes = append(w.Changes, Change{Device: w.bob, State: Killed, At: at(0.6), Durable: at(0.6)})
				w.Pushes[1].Badge, w.Pushes[2].Badge = 4, 5
			}, func(v *Verdict) int { return v.WrongBadges + v.Stale + v.Late }, 0, calm, false,
		},
		"wrong numbers after Redis forgot them": {
			func(w *world) {
				w.Emptied = at(-5)
				for i := range 3 {
					w.Pushes[i].Badge = i + 1
				}
			}, func(v *Verdict) int { return v.WrongBadges }, 0, Scenario{Kills: true, LosesData: true}, false,
		},
		"a push to a phone in the foreground": {
			func(w *world) { w.move(w.bob, Foreground, -1) }, func(v *Verdict) int { return v.Stale }, 1, calm, true, // the third
		},
		"a push to a phone that is logged out": {
			func(w *world) { w.move(w.bob, LoggedOut, -5) }, func(v *Verdict) int { return v.Stale }, 3, calm, true,
		},
		"a push that was let go before the phone came to the foreground": {
			func(w *world) { w.move(w.bob, Foreground, -1); w.Events[2].Admitted = at(1.5) },
			func(v *Verdict) int { return v.UnderWay }, 2, calm, false, // the second within a look
		},
		"a push to a phone in the foreground, whose event was late in Kafka": {
			func(w *world) { w.move(w.bob, Foreground, -1); w.Changes[2].Durable = at(1) },
			func(v *Verdict) int { return v.Stale }, 0, calm, false,
		},
		"a push to a phone in the foreground, which Redis forgot": {
			func(w *world) { w.move(w.bob, Foreground, -6); w.Emptied = at(-3) },
			func(v *Verdict) int { return v.Forgotten }, 3, Scenario{LosesData: true}, false,
		},
		"no push, because of where the phone was too long ago": {
			func(w *world) {
				w.Changes = append(w.Changes, Change{Device: w.carol, State: Background, At: at(-0.5), Durable: at(-0.5), Report: true})
			},
			func(v *Verdict) int { return v.Late }, 1, calm, true,
		},
		"no push, because of where the phone was just now": {
			func(w *world) {
				w.Changes = append(w.Changes, Change{Device: w.carol, State: Background, At: at(1.5), Durable: at(1.5), Report: true})
			},
			func(v *Verdict) int { return v.Late + v.Lost }, 0, calm, false,
		},
		"a push of nobody's message": {
			func(w *world) { w.push(9, 5, 1) }, func(v *Verdict) int { return v.Unexpected }, 1, calm, true,
		},
		"a push to somebody else": {
			func(w *world) { w.Pushes[2].Token = "c" }, func(v *Verdict) int { return v.Unexpected }, 1, calm, true,
		},
		"a dead letter of a good message": {
			func(w *world) { w.Dead = append(w.Dead, w.Records[0].Value) }, func(v *Verdict) int { return v.WrongEnds }, 1, calm, true,
		},
		"a dead notification": {
			func(w *world) { w.DeadOut = 1 }, func(v *Verdict) int { return v.WrongEnds }, 1, calm, true,
		},
		"a token that was dropped": {
			func(w *world) { w.event(3, "bob", 2.2, "drop_token", "unregistered") }, func(v *Verdict) int { return v.WrongEnds }, 1, calm, true,
		},
		"a message that expired": {
			func(w *world) { w.event(3, "bob", 2.2, "filter", "expired") }, func(v *Verdict) int { return v.WrongEnds }, 1, calm, true,
		},
		"a bad record and its dead letter": {
			func(w *world) { w.record(5, 4, []byte("{")); w.Bad["{"] = true; w.Dead = [][]byte{[]byte("{")} },
			func(v *Verdict) int { return v.Lost + v.WrongEnds }, 0, calm, false,
		},
		"a bad record without a dead letter": {
			func(w *world) { w.record(5, 4, []byte("{")); w.Bad["{"] = true }, func(v *Verdict) int { return v.Lost }, 1, calm, true,
		},
		"a record that Kafka said it has": {
			func(w *world) { w.Produced = append(w.Produced, w.Records[0].Value, c2c(5, "bob")) },
			func(v *Verdict) int { return v.Lost }, 1, calm, true,
		},
		"a bad event without a dead letter": {
			func(w *world) { w.BadLetters = [][]byte{[]byte("?")} }, func(v *Verdict) int { return v.Lost }, 1, calm, true,
		},
		"a message that was produced twice and pushed once": {
			func(w *world) { w.record(5, 4, c2c(3, "bob")); w.event(3, "bob", 4.1, "filter", "duplicate") },
			func(v *Verdict) int { return v.Lost + v.Duplicates + v.WrongBadges }, 0, calm, false,
		},
		"a message to a group, which comes to all but its sender": {
			func(w *world) {
				w.record(5, 4, []byte(`{"From_Account":"alice","GroupId":"team","Random":5,"MsgTimeStamp":105}`))
				w.Pushes = append(w.Pushes, Push{Time: at(4.1), Token: "b", MsgKey: "group:team:5_105", Badge: 7, Accepted: true})
				w.Events = append(w.Events, Event{MsgKey: "group:team:5_105", User: "carol", Device: "phone", Disposition: "filter", Reason: "foreground", Time: at(4.1)})
			},
			func(v *Verdict) int { return v.Pushed + 100*v.Lost + 100*v.Unexpected }, 4, calm, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			test.plant(w)
			v := Run(w.Input)
			if got := test.count(v); got != test.want {
				t.Errorf("counted %d, want %d: %+v", got, test.want, v)
			}
			if missed := v.Missed(test.in); (len(missed) > 0) != test.fails {
				t.Errorf("bars missed: %v; want some: %t", missed, test.fails)
			}
		})
	}
}

func TestNoPushAtAllMissesABar(t *testing.T) {
	t.Parallel()
	if missed := Run(Input{}).Missed(Scenario{}); len(missed) == 0 {
		t.Error("a run in which nothing was pushed passes")
	}
}
