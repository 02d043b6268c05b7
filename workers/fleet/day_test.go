package fleet_test

import (
	"os"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	"github.com/pushfleet/pushfleet/workers/simulate"
)

const (
	dayHours = 24
	daySpeed = 1800 // two seconds an hour: faster, a busy machine ages a token more on its way than Apple allows
	dayPause = time.Hour / 10
)

// day is what the providers do in 24 hours, besides what follows from the lives of tokens, of an hour each.
const day = `
seed: 24
apns: {latency: 20ms, wedge_expired: true, bind_connections: true, token_interval: 20m}
fcm: {latency: 20ms, token_life: 1h, revoke_at: [5h, 13h]}
faults:
- {name: rotation, where: connection, age: {p50: 2h, p99: 4h}, do: goaway}
- {name: goaway, from: 3h, until: 4h, every: 5, do: goaway, last: before}
- {name: brown-out, from: 6h, until: 7h, share: 0.3, do: answer, status: 503, reason: ServiceUnavailable}
- {name: expired, platform: apns, from: 9h, times: 1, do: answer, status: 403, reason: ExpiredProviderToken}
- {name: oauth is down, where: oauth, from: 11h, until: 13h, do: answer, status: 500, body: "<html>"}
- {name: cut, from: 15h, times: 1, do: cut, accepted: true}
- {name: reset, from: 18h, until: 20h, share: 0.2, do: reset_stream}
`

// TestDay plays a day on a fast clock to the simulators and to the platforms; time-outs, retries and pauses of circuits
// keep the true time. It has the machine for itself, and is played over each transport. Keys are replaced on the way, one
// of them by what is none. In the end every push has been delivered.
func TestDay(t *testing.T) {
	if os.Getenv("PUSHFLEET_TEST_KAFKA") == "" {
		t.Skip("takes two minutes: run scripts/integration ./workers/fleet")
	}
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) { playDay(t, transport) })
	}
}

func playDay(t *testing.T, transport string) {
	now := dayClock()
	f := embedded{
		now: now, transport: transport, concurrency: 100, settings: faultSettings, policies: map[string]string{"demo": ""},
	}.start(t)
	key, err := os.ReadFile(f.sim.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	write := func(content []byte) {
		if err := os.WriteFile(f.sim.KeyFile, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	renew := func() {
		if err := f.sim.FCM.WriteServiceAccount(simulate.Project, f.sim.ServiceAccountFile); err != nil {
			t.Fatal(err)
		}
	}
	replaced := map[int]func(){ // by hour
		2: renew, 4: func() { write([]byte("no key")) }, 16: func() { write(append(key, '\n')) }, 17: renew,
	}
	tokens := map[push.Platform][]string{"apns": f.phones("demo", "apns", faultUsers), "fcm": f.phones("demo", "fcm", faultUsers)}
	f.suffer(day)
	due := map[pair]string{}
	began, trueBegan := now(), time.Now()
	for sent := 0; time.Since(trueBegan) < dayHours*time.Hour/daySpeed; time.Sleep(10 * time.Millisecond) { // paces
		elapsed := now().Sub(began)
		for ; sent < int(elapsed/dayPause); sent++ {
			for p, phones := range tokens {
				due[pair{f.text(p, userOf(p, sent%faultUsers), sent), phones[sent%faultUsers]}] = userOf(p, sent%faultUsers)
			}
		}
		if replace := replaced[int(elapsed.Hours())]; replace != nil {
			delete(replaced, int(elapsed.Hours()))
			replace()
		}
	}
	ends := f.awaitEnds(len(due), false)
	c := faultCase{script: day, twice: true}
	c.judge(t, f, due, ends, time.Since(trueBegan))
	f.renewedWell()
}

// dayClock runs fast for a day, and true from then on, so that what is late is not late by days.
func dayClock() func() time.Time {
	start, fast := time.Now(), pushtest.Clock(daySpeed)
	return func() time.Time {
		over := time.Since(start) - dayHours*time.Hour/daySpeed
		if over < 0 {
			return fast()
		}
		return start.Add(dayHours*time.Hour + over)
	}
}

// renewedWell fails where tokens were not renewed through the day, or provider tokens much oftener than they age. It only
// tells of renewals that came too early: at this pace 10 ms on a busy machine are 18 s, and how slowly tokens follow each
// other is shown by the signer's tests, to the second.
func (f *embeddedFleet) renewedWell() {
	f.t.Helper()
	apns, access := f.sim.APNs.Control(), f.sim.FCM.AccessTokens()
	signed, counts := apns.Traffic.Counts(), apns.Ledger.Counts()
	f.t.Logf("%d provider tokens, %d answers to early ones, %d access tokens, %d connections to APNs, %d GOAWAYs",
		signed.Bearers, counts.Answers["429 TooManyProviderTokenUpdates"], access, signed.Connections, signed.GoAways)
	if signed.Bearers < dayHours/4 || signed.Bearers > 3*dayHours {
		f.t.Errorf("%d provider tokens in a day", signed.Bearers)
	}
	if access < dayHours/4 {
		f.t.Errorf("%d access tokens in a day", access)
	}
}
