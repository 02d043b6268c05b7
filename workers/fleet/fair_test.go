package fleet_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/workers/fleet"
)

// A flood of one app goes to the bulk lane once it is above the app's rate: what another app sends meanwhile is pushed
// while most of the flood still waits for the provider.
func TestOneAppsFloodLetsTheOthersGoOn(t *testing.T) {
	t.Parallel()
	f := startEmbedded(t, 20, "default_app: loud\nlimits: {in_flight: 800}\nshutdown: {grace: 2s}", map[string]string{
		"loud": "    rate: 20\n", "quiet": "",
	})
	const flood, messages = 2000, 50
	loud, quiet := f.phones("loud", "apns", 100), f.phones("quiet", "apns", messages)
	provider := f.sim.APNs.Control()
	f.slow(provider, 200*time.Millisecond) // 20 sends of a credential at a time: 100 pushes a second of each app

	f.flood("loud", "apns", len(loud), flood)
	eventually(t, patience, 50*time.Millisecond, "the flood to reach the provider", func(context.Context) error {
		if n := accepted(provider, loud); n < 50 {
			return fmt.Errorf("%d of it arrived", n)
		}
		return nil
	})
	began, before := time.Now(), accepted(provider, loud)
	f.flood("quiet", "apns", len(quiet), messages)
	eventually(t, patience, 50*time.Millisecond, "every message of the quiet app", func(context.Context) error {
		if n := accepted(provider, quiet); n < messages {
			return fmt.Errorf("%d arrived", n)
		}
		return nil
	})
	meanwhile := accepted(provider, loud) - before
	t.Logf("the quiet app's %d messages took %s; meanwhile %d of the loud app's %d arrived", messages,
		time.Since(began).Round(time.Millisecond), meanwhile, flood)
	if limit := flood / 4; meanwhile > limit { // the provider serves both apps alike
		t.Errorf("%d of the loud app's messages went before the quiet app's %d, more than %d", meanwhile, messages, limit)
	}
	before += meanwhile
	eventually(t, patience, 50*time.Millisecond, "the flood to go on", func(context.Context) error {
		if n := accepted(provider, loud); n <= before {
			return fmt.Errorf("%d arrived", n)
		}
		return nil
	})
}

// A provider that does not answer fills its own share of what the process holds, and nothing else.
func TestAProviderThatHangsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	f := startEmbedded(t, 500, "limits: {in_flight: 200}\nshutdown: {grace: 2s}", map[string]string{"demo": ""})
	const users, messages = 50, 300
	f.phones("demo", "apns", users)
	pixels := f.phones("demo", "fcm", users)
	f.slow(f.sim.APNs.Control(), time.Minute)
	f.flood("demo", "apns", users, messages)
	eventually(t, patience, 50*time.Millisecond, "the messages to be routed", func(ctx context.Context) error {
		rows, err := f.cluster.Lag(ctx, fleet.Group(f.cfg, "route"), []string{f.topics.Messages()})
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.Lag > 0 {
				return fmt.Errorf("%d are not", row.Lag)
			}
		}
		return nil
	})

	f.slow(f.sim.FCM.Control(), 50*time.Millisecond)
	began := time.Now()
	f.flood("demo", "fcm", users, messages)
	eventually(t, patience, 50*time.Millisecond, "every push of the other provider", func(context.Context) error {
		if n := accepted(f.sim.FCM.Control(), pixels); n < messages {
			return fmt.Errorf("%d arrived", n)
		}
		return nil
	})
	took := time.Since(began)
	t.Logf("%d pushes of the other provider took %s", messages, took.Round(time.Millisecond))
	if took := f.stop(); took > 6*time.Second {
		t.Errorf("the fleet stopped after %s, with a grace of 2 s", took)
	}
}
