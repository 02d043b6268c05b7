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
	daySpeed = 3600 // an hour a second
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

// TestDay plays a day on a clock that shows an hour each second, to the simulators and to the platforms; time-outs,
// retries and pauses of circuits keep the true time. Keys are replaced on the way, one of them by what is none. In the end
// every push has been delivered.
func TestDay(t *testing.T) {
	t.Parallel()
	if os.Getenv("PUSHFLEET_TEST_KAFKA") == "" {
		t.Skip("takes a minute: run scripts/integration ./workers/fleet")
	}
	now := pushtest.Clock(daySpeed)
	f := startEmbeddedAt(t, now, 100, faultSettings, map[string]string{"demo": ""})
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
	for sent := 0; now().Sub(began) < dayHours*time.Hour; time.Sleep(10 * time.Millisecond) { // paces
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

// renewedWell fails where a day did not renew tokens as often as their lives ask for, or provider tokens oftener than
// Apple allows.
func (f *embeddedFleet) renewedWell() {
	f.t.Helper()
	apns, access := f.sim.APNs.Control(), f.sim.FCM.AccessTokens()
	signed, counts := apns.Traffic.Counts(), apns.Ledger.Counts()
	f.t.Logf("%d provider tokens, %d access tokens, %d connections to APNs, %d GOAWAYs", signed.Bearers, access, signed.Connections, signed.GoAways)
	if signed.Bearers < dayHours || signed.Bearers > 3*dayHours {
		f.t.Errorf("%d provider tokens in a day", signed.Bearers)
	}
	if access < dayHours-2 { // Google gave none for two hours
		f.t.Errorf("%d access tokens in a day", access)
	}
	if n := counts.Answers["429 TooManyProviderTokenUpdates"]; n > 0 {
		f.t.Errorf("%d renewals were too early", n)
	}
}
