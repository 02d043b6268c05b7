package fleet

import (
	"fmt"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/pkg/telemetry"
	"github.com/pushfleet/pushfleet/workers/control"
	"github.com/pushfleet/pushfleet/workers/deliver"
)

// sendTimeout bounds one attempt: FCM asks for ten seconds at least.
const sendTimeout = 10 * time.Second

// deliver adds the worker pool of a platform.
func (f *fleet) deliver(p push.Platform) error {
	driver := f.drivers[p]
	if driver == nil {
		return fmt.Errorf("no such platform: %s", p)
	}
	group := string(RoleDeliver(p))
	log := f.log.Named(group)
	var lanes []stream.Lane
	for _, l := range push.Lanes {
		lanes = append(lanes, stream.Lane{Topics: []string{f.topics.Work(p, l)}, Weight: f.cfg.Lanes[l]})
	}
	source, err := f.newSource(stream.SourceConfig{Group: group, Lanes: lanes, MaxRecords: f.share.records, MaxBytes: f.share.bytes,
		DrainTimeout: f.end.drain})
	if err != nil {
		return err
	}
	policy := f.policy
	if kindOf(p).DoubtsUnregistered {
		policy.Grace = f.cfg.Retry.Grace
	}
	d := deliver.New(deliver.Config{Platform: p, Topics: f.topics, Owner: f.owner, Policy: policy, SendTimeout: sendTimeout,
		Concurrency: driver.Concurrency(), Share: max(f.share.records/2, 1), Weights: f.cfg.Lanes, Keyless: kindOf(p).Keyless, Now: time.Now,
		Brake:  deliver.Brake{Rejections: f.cfg.Brake.Rejections, Share: float64(f.cfg.Brake.Percent) / 100},
		Serves: func(p push.Platform) bool { return f.drivers[p] != nil },
		Known:  func(app, name string) bool { return f.knownCredential(app, p, name) }, AnyForeground: f.anyForeground,
		Hold: f.presence().check, Observe: f.attempted},
		deliver.Around{Registry: f.reg, Senders: driver.Sender, Publisher: f.pub, Events: f.recorder, Stops: f.board, Fetch: source, Logger: log})
	f.board.OnChange(func(c control.Change) {
		if c.Kind == control.Resumed {
			d.Reset(c.Target)
		}
	})
	f.metrics.WatchDeliver(p, func() telemetry.DeliverState { return deliverState(d) })
	f.workers = append(f.workers, d.Run)
	if keeper, ok := driver.(push.CredentialKeeper); ok {
		watch := newCredentialWatch(keeper, f.metrics, f.log.Named("credentials"), time.Now)
		watch.replaced = func(s push.CredentialState) { d.Reset(control.Target{Platform: p, App: s.App, Credential: s.Name}) }
		f.workers = append(f.workers, watch.run)
	}
	f.read(RoleDeliver(p), source, group, d.Handle)
	return nil
}

func deliverState(d *deliver.Deliver) telemetry.DeliverState {
	state := d.State()
	out := telemetry.DeliverState{Circuit: telemetry.CircuitState(state.Provider.String()), Paused: state.Stopped}
	for _, c := range state.Credentials {
		out.Credentials = append(out.Credentials, telemetry.SendingState{App: c.App, Credential: c.Credential,
			Circuit: telemetry.CircuitState(c.Circuit.String()), Paused: c.Paused, Braked: c.Braked, Limit: c.Limit,
			InFlight: c.Flying, Waiting: c.Waiting})
	}
	return out
}
