package registry

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// request is for bob's phone, unless changed.
func (f *fixture) request(id string, change ...func(*AdmitRequest)) AdmitRequest {
	q := AdmitRequest{
		App: f.app, User: "bob", Device: "phone", ID: id, Owner: "me", Lease: 15 * time.Second, Platform: "apns", Version: 1,
	}
	for _, c := range change {
		c(&q)
	}
	return q
}

func mayShow(m *Mark) { m.MayShow = true }

func by(owner string) func(*AdmitRequest)  { return func(q *AdmitRequest) { q.Owner = owner } }
func attempt(n int) func(*AdmitRequest)    { return func(q *AdmitRequest) { q.Attempt = n } }
func redriven(n int) func(*AdmitRequest)   { return func(q *AdmitRequest) { q.Redrive = n } }
func on(device string) func(*AdmitRequest) { return func(q *AdmitRequest) { q.Device = device } }

func (f *fixture) admit(requests ...AdmitRequest) []Admission {
	f.t.Helper()
	admissions, err := f.Admit(f.t.Context(), requests)
	if err != nil {
		f.t.Fatal(err)
	}
	return admissions
}

func (f *fixture) settle(q AdmitRequest, state MarkState, reason push.Reason, change ...func(*Mark)) {
	f.t.Helper()
	m := Mark{App: q.App, User: q.User, ID: q.ID, Owner: q.Owner, Attempt: q.Attempt, Redrive: q.Redrive, State: state, Reason: reason}
	for _, c := range change {
		c(&m)
	}
	if err := f.Settle(f.t.Context(), []Mark{m}); err != nil {
		f.t.Fatal(err)
	}
}

func testAdmit(t *testing.T, f *fixture) {
	f.now = at(10)
	f.apply(f.event(EventLogin, 0, token("aa"), credential("main")), f.event(EventBackground, 5),
		f.event(EventLogin, 9, token("bb"), of("bob", "foreground")),
		f.event(EventLogin, 0, token("cc"), of("bob", "out")), f.event(EventLogout, 1, of("bob", "out")),
		f.event(EventLogin, 0, of("bob", "tokenless")),
		f.event(EventLogin, -8*24*3600, token("dd"), of("bob", "drawer")),
		f.event(EventKilled, 5, of("bob", "unbound")))
	current := push.Binding{Platform: "apns", Token: "aa", Credential: "main", Version: 1}
	filtered := func(r push.Reason) Admission { return Admission{Verdict: Filtered, Reason: r, Badge: push.NoBadge} }
	for _, row := range []struct {
		name string
		q    AdmitRequest
		want Admission
	}{
		{"go", f.request("1"), Admission{Verdict: Go, Badge: push.NoBadge}},
		{"bound anew", f.request("2", func(q *AdmitRequest) { q.Version = 9 }), Admission{Verdict: Go, Badge: push.NoBadge, Binding: &current}},
		{"another platform", f.request("3", func(q *AdmitRequest) { q.Platform = "fcm" }), Admission{Verdict: Moved, Badge: push.NoBadge, Binding: &current}},
		{"foreground", f.request("4", on("foreground")), filtered(push.ReasonForeground)},
		{"logged out", f.request("5", on("out")), filtered(push.ReasonLoggedOut)},
		{"no token", f.request("6", on("tokenless")), filtered(push.ReasonNoToken)},
		{"inactive", f.request("7", on("drawer")), filtered(push.ReasonInactive)},
		{"unknown device", f.request("8", on("nowhere")), filtered(push.ReasonLoggedOut)},
		{"presence alone", f.request("9", on("unbound")), filtered(push.ReasonLoggedOut)},
	} {
		if diff := cmp.Diff(row.want, f.admit(row.q)[0]); diff != "" {
			t.Errorf("%s: %s", row.name, diff)
		}
		again := row.want
		if again.Verdict == Filtered {
			again.Verdict = Done
		}
		if diff := cmp.Diff(again, f.admit(row.q)[0]); diff != "" {
			t.Errorf("%s, again: %s", row.name, diff)
		}
	}
	f.decide(f.message(), f.message())
	if got := f.admit(f.request("1"))[0]; got.Badge != 2 {
		t.Errorf("the badge is %d at the send, want the current 2", got.Badge)
	}
	// Moved leaves no lease: the other platform's worker may send it at once.
	if got := f.admit(f.request("3", by("the other platform")))[0]; got.Verdict != Go {
		t.Errorf("after the move: %s", got.Verdict)
	}
}

func testAdmitChangedDevice(t *testing.T, f *fixture) {
	f.now = at(10)
	f.apply(f.event(EventLogin, 0, token("aa")), f.event(EventBackground, 5))
	q := f.request("1")
	f.admit(q)
	f.settle(q, MarkRetry, "")
	f.apply(f.event(EventTokenRejected, 11, version(1)))
	if got := f.admit(f.request("1", attempt(1)))[0]; got.Verdict != Filtered || got.Reason != push.ReasonNoToken {
		t.Errorf("its token was rejected meanwhile: %+v", got)
	}
	f.apply(f.event(EventToken, 12, token("bb")), f.event(EventForeground, 20))
	f.now = at(30)
	if got := f.admit(f.request("2"))[0]; got.Reason != push.ReasonForeground {
		t.Errorf("opened meanwhile: %+v", got)
	}
	f.now = at(500) // the lease is over
	if got := f.admit(f.request("3"))[0]; got.Verdict != Go || got.Binding == nil || got.Binding.Token != "bb" || got.Binding.Version != 3 {
		t.Errorf("bound anew: %+v", got)
	}
}

func testSettle(t *testing.T, f *fixture) {
	f.apply(f.event(EventLogin, 0, token("aa")), f.event(EventBackground, 5))
	f.now = at(10)
	type step struct {
		settle  bool
		state   MarkState
		q       []func(*AdmitRequest)
		seconds float64
		want    Verdict
		reason  push.Reason
	}
	ask := func(seconds float64, want Verdict, reason push.Reason, change ...func(*AdmitRequest)) step {
		return step{seconds: seconds, want: want, reason: reason, q: change}
	}
	mark := func(state MarkState, change ...func(*AdmitRequest)) step {
		return step{settle: true, state: state, q: change}
	}
	end := func(reason push.Reason, change ...func(*AdmitRequest)) step {
		return step{settle: true, state: MarkDone, reason: reason, q: change}
	}
	first := ask(0, Go, "")
	for i, story := range []struct {
		name  string
		steps []step
	}{
		{"delivered", []step{first, mark(MarkDone), ask(1, Done, ""), ask(1, Done, "", by("you"))}},
		{"leased", []step{first, ask(14.9, Leased, "", by("you")), ask(15, Go, "", by("you"))}},
		{"the owner asks again", []step{first, ask(1, Go, ""), ask(15, Leased, "", by("you")), ask(16, Go, "", by("you"))}},
		{"released", []step{first, mark(MarkReleased), ask(1, Go, "", by("you"))}},
		{"retry", []step{first, mark(MarkRetry), ask(1, Filtered, push.ReasonSuperseded), ask(2, Go, "", attempt(1), by("you"))}},
		{"superseded while the newer one is sent", []step{
			first, mark(MarkRetry), ask(1, Go, "", attempt(1)), ask(2, Filtered, push.ReasonSuperseded, by("you")), ask(2, Go, "", attempt(1)),
		}},
		{"dead", []step{first, mark(MarkDead), ask(1, Done, ""), ask(2, Go, "", redriven(1)), ask(3, Filtered, push.ReasonSuperseded)}},
		{"dead, redriven, delivered", []step{first, mark(MarkDead), ask(2, Go, "", redriven(1)), mark(MarkDone, redriven(1)), ask(3, Done, "", redriven(1)), ask(3, Done, "")}},
		{"delivered, then redriven", []step{first, mark(MarkDone), ask(1, Go, "", redriven(1))}},
		{"another owner cannot release", []step{first, mark(MarkReleased, by("you")), ask(1, Leased, "", by("you"))}},
		{"nor charge an attempt", []step{first, mark(MarkRetry, by("you")), ask(1, Go, "")}},
		{"nor call it dead", []step{first, mark(MarkDead, by("you")), ask(1, Go, "")}},
		{"but delivered is delivered", []step{first, ask(15, Go, "", by("you")), mark(MarkDone), ask(16, Done, "", by("you"))}},
		{"done is not turned back", []step{first, mark(MarkDone), mark(MarkRetry), mark(MarkReleased), mark(MarkDead), ask(1, Done, "")}},
		{"an older attempt does not turn back", []step{first, mark(MarkRetry), mark(MarkReleased), ask(1, Filtered, push.ReasonSuperseded)}},
		{"a superseded attempt does not end the newer one", []step{
			first, mark(MarkRetry), ask(1, Filtered, push.ReasonSuperseded), end(push.ReasonSuperseded), ask(2, Go, "", attempt(1)),
			end(push.ReasonSuperseded), ask(3, Leased, "", attempt(1), by("you")),
		}},
		{"nor does an older one that came too late", []step{first, mark(MarkRetry), end(push.ReasonExpired), ask(2, Go, "", attempt(1))}},
		{"what an older attempt delivered is delivered", []step{
			first, mark(MarkRetry, by("you")), ask(15, Go, "", by("you")), mark(MarkRetry, by("you")), mark(MarkDone), ask(16, Done, "", attempt(1)),
		}},
		{"an older redrive does not turn back", []step{first, mark(MarkDead), ask(1, Go, "", redriven(1)), mark(MarkDone), ask(2, Leased, "", redriven(1), by("you"))}},
		{"an attempt may be read after its mark is lost", []step{ask(0, Go, "", attempt(3), redriven(2)), mark(MarkDone, attempt(3), redriven(2)), ask(1, Done, "", attempt(3))}},
	} {
		t.Run(story.name, func(t *testing.T) {
			id := "story" + string(rune('a'+i))
			for n, s := range story.steps {
				q := f.request(id, s.q...)
				if s.settle {
					f.settle(q, s.state, s.reason)
					continue
				}
				f.now = at(10 + s.seconds)
				if got := f.admit(q)[0]; got.Verdict != s.want || got.Reason != s.reason {
					t.Errorf("step %d: %s %s, want %s %s", n, got.Verdict, got.Reason, s.want, s.reason)
				}
			}
			f.now = at(10)
		})
	}
	f.admit(f.request("left"))
	f.now = at(14)
	if got := f.admit(f.request("left", by("you")))[0]; got.LeaseLeft != 11*time.Second {
		t.Errorf("%s of the lease are left, want 11 s", got.LeaseLeft)
	}
	q := f.request("why")
	f.admit(q)
	f.settle(q, MarkDone, push.ReasonUnregistered)
	if got := f.admit(q)[0]; got.Verdict != Done || got.Reason != push.ReasonUnregistered {
		t.Errorf("a repeat says how it ended: %+v", got)
	}
	if got := f.ttl("why"); got < 14*time.Minute || got > 15*time.Minute {
		t.Errorf("a done mark lives %s, want the replay window of 15 min", got)
	}
	sentBack := f.request("redriven", redriven(1))
	f.admit(sentBack)
	f.settle(sentBack, MarkDone, "")
	filtered := f.request("redriven and filtered", redriven(1), on("out"))
	f.admit(filtered)
	for _, id := range []string{sentBack.ID, filtered.ID} {
		if got := f.ttl(id); got < 119*time.Minute || got > 2*time.Hour {
			t.Errorf("the end of what was %s is remembered for %s, want 2 h", id, got)
		}
	}
	if got := f.ttl("left"); got < 119*time.Minute || got > 2*time.Hour {
		t.Errorf("a lease's mark lives %s, want 2 h", got)
	}
}

func (f *fixture) ttl(id string) time.Duration {
	return f.client.PTTL(f.t.Context(), markKey(userTag(f.app, "bob"), id)).Val()
}
