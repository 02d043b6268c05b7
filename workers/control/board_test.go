package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// topic is a control topic of one partition.
type topic struct {
	mu      sync.Mutex
	records []*stream.Record
	down    bool
}

func (t *topic) fail(down bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.down = down
}

func (t *topic) Partitions(context.Context, string) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.down {
		return 0, errors.New("down")
	}
	return 1, nil
}

func (t *topic) Scan(_ context.Context, _ string, ranges []stream.Range, fn func(*stream.Record) bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	from := int64(0)
	if ranges != nil {
		from = ranges[0].From
	}
	for _, r := range t.records[from:] {
		fn(r)
	}
	return nil
}

func (t *topic) write(m stream.Message, err error) {
	if err != nil {
		panic(err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records = append(t.records, &stream.Record{Offset: int64(len(t.records)), Key: m.Key, Value: m.Value, Time: time.Now()})
}

func (t *topic) pause(target Target) { t.write(PauseMessage(stream.Topics{}, Pause{Target: target})) }
func (t *topic) resume(target Target) {
	t.write(ResumeMessage(stream.Topics{}, target))
}

func TestWhatIsPaused(t *testing.T) {
	t.Parallel()
	platform, app, credential := Target{Platform: "apns"}, Target{App: "demo"}, Target{App: "demo", Credential: "ios"}
	for name, test := range map[string]struct {
		write func(*topic)
		want  string // which of apns, fcm, demo/ios, demo/android, other/ios
	}{
		"nothing":                   {func(*topic) {}, ""},
		"a platform":                {func(t *topic) { t.pause(platform) }, "apns"},
		"an app":                    {func(t *topic) { t.pause(app) }, "demo/ios demo/android"},
		"a credential":              {func(t *topic) { t.pause(credential) }, "demo/ios"},
		"a platform that goes on":   {func(t *topic) { t.pause(platform); t.resume(platform) }, ""},
		"two, of which one goes on": {func(t *topic) { t.pause(app); t.pause(credential); t.resume(app) }, "demo/ios"},
		"a word that a credential can send stops nothing": {func(t *topic) {
			t.write(ReadyMessage(stream.Topics{}, "apns", "demo", "ios", time.Now()), nil)
			t.write(ReadyMessage(stream.Topics{}, "service", "demo", "", time.Now()), nil)
		}, ""},
		"what an operator did to dead letters stops nothing": {func(t *topic) {
			t.write(AuditMessage(stream.Topics{}, Audit{ID: "1", By: "ops@console"}), nil)
		}, ""},
		"a record that nobody can read": {func(t *topic) {
			t.write(stream.Message{Key: []byte("x|y|z"), Value: []byte("{")}, nil)
			t.write(stream.Message{Key: stream.UserKey(keyApp, "demo"), Value: []byte("{")}, nil)
		}, "demo/ios demo/android"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			records := &topic{}
			test.write(records)
			b := NewBoard(records, stream.Topics{}, zap.NewNop())
			if !b.PlatformPaused("fcm") || b.Ready(t.Context()) == nil {
				t.Error("before it was read, everything has to be paused")
			}
			if err := b.Read(t.Context()); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range []push.Platform{"apns", "fcm"} {
				if b.PlatformPaused(p) {
					got = append(got, string(p))
				}
			}
			for _, c := range []string{"demo/ios", "demo/android", "other/ios"} {
				app, credential, _ := strings.Cut(c, "/")
				if b.Paused(app, credential) {
					got = append(got, c)
				}
			}
			if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("paused (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChangesAreToldAsTheyCome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		records := &topic{down: true}
		records.pause(Target{App: "old"})
		b := NewBoard(records, stream.Topics{}, zap.NewNop())
		var got []string
		b.OnChange(func(c Change) { got = append(got, fmt.Sprintf("%d %s", c.Kind, c.Target)) })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); b.Run(ctx) }()
		time.Sleep(3 * time.Second)
		if b.Ready(ctx) == nil {
			t.Error("ready while Kafka is away")
		}
		records.fail(false)
		time.Sleep(2 * time.Second)
		records.pause(Target{App: "demo", Credential: "ios"})
		records.resume(Target{App: "old"})
		records.write(ReadyMessage(stream.Topics{}, "apns", "de|mo", "ios", time.Now()), nil)
		time.Sleep(followEvery)
		synctest.Wait()
		want := []string{"0 app demo, credential ios", "1 app old", "2 platform apns, app de|mo, credential ios"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
		if b.Paused("old", "x") || !b.Paused("demo", "ios") {
			t.Errorf("paused is %v", b.Pauses())
		}
		records.fail(true)
		time.Sleep(10 * time.Second)
		if !b.Paused("demo", "ios") || b.PlatformPaused("apns") {
			t.Error("what is known does not stay while Kafka is away")
		}
		cancel()
		<-done
	})
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for _, target := range []Target{{}, {Platform: "apns", App: "demo"}, {Credential: "ios"}, {App: "a\nb"}, {App: strings.Repeat("x", 129)}} {
		if _, err := PauseMessage(stream.Topics{}, Pause{Target: target}); err == nil {
			t.Errorf("%+v can be paused", target)
		}
	}
}
