package retry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/control"
)

// parkingLot is a parked topic of one partition: what is put back into it is read again.
type parkingLot struct {
	*room
	end    int64
	broken bool // Kafka does not say where the topic ends
	parked *Parked
	ctx    context.Context
}

func (l *parkingLot) breakKafka(broken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = broken
}

func (l *parkingLot) Publish(ctx context.Context, m stream.Message, done func(error)) {
	l.room.Publish(ctx, m, done)
	if m.Topic == "push.apns.parked" {
		go l.handle(m.Key, m.Value, m.Headers)
	}
}

func (l *parkingLot) handle(key, value []byte, headers []stream.Header) {
	l.mu.Lock()
	rec := &stream.Record{Topic: "push.apns.parked", Offset: l.end, Time: time.Now(), Key: key, Value: value, Headers: headers}
	l.end++
	l.mu.Unlock()
	l.parked.Handle(l.ctx, []*stream.Record{rec})
}

// park puts a notification of a credential into the topic.
func (l *parkingLot) park(credential string) {
	n := &push.Notification{ID: "n", App: "demo", User: "bob", Device: credential, Platform: "apns", Credential: credential, Expires: time.Now().Add(24 * time.Hour)}
	l.handle([]byte(credential), stream.EncodeNotification(n), stream.Meta{ID: "n", Lane: push.Lane(credential), Attempt: 2}.Headers())
}

func ready(credential string) control.Target {
	return control.Target{Platform: "apns", App: "demo", Credential: credential}
}

// The credentials are named like lanes, and their records go there, so that the log says whose they are.
func TestParkedRecordsComeBack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		act  func(*parkingLot)
		want string
	}{
		"when their credential sends again, and no other's": {
			func(l *parkingLot) {
				l.park("urgent")
				l.park("bulk")
				l.parked.Return(ready("urgent"))
				time.Sleep(30 * time.Second)
			}, "0s to push.apns.urgent; 0s to push.apns.parked",
		},
		"when an operator resumes their app": {
			func(l *parkingLot) {
				l.park("urgent")
				l.park("bulk")
				l.parked.Return(control.Target{App: "demo"})
				time.Sleep(30 * time.Second)
			}, "0s to push.apns.urgent; 0s to push.apns.bulk",
		},
		"by themselves, where nobody says so": {
			func(l *parkingLot) { l.park("urgent"); time.Sleep(90 * time.Second) }, "1m0s to push.apns.urgent",
		},
		"more and more rarely while that does not help": {
			func(l *parkingLot) {
				l.park("urgent")
				for range 6 {
					time.Sleep(61 * time.Second)
					l.park("urgent") // deliver's answer
				}
			}, "1m0s to push.apns.urgent; 2m0s to push.apns.urgent; 4m0s to push.apns.urgent; 4m0s to push.apns.urgent",
		},
		"in a sweep that ends where it began, though the same record comes again": {
			func(l *parkingLot) {
				l.park("bulk")
				l.parked.Return(ready("urgent"))
				time.Sleep(time.Second)
			}, "0s to push.apns.parked",
		},
		"one sweep after another, with a rest between": {
			func(l *parkingLot) {
				for range 3 {
					l.park("urgent")
					l.parked.Return(ready("urgent"))
					time.Sleep(500 * time.Millisecond)
				}
				time.Sleep(10 * time.Second)
			}, "0s to push.apns.urgent; 2s to push.apns.urgent; 2s to push.apns.urgent",
		},
		"once Kafka says where the topic ends": {
			func(l *parkingLot) {
				l.breakKafka(true)
				l.park("urgent")
				l.parked.Return(ready("urgent"))
				time.Sleep(2500 * time.Millisecond)
				l.breakKafka(false)
				time.Sleep(10 * time.Second)
			}, "3s to push.apns.urgent",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := &parkingLot{room: &room{start: time.Now()}, ctx: t.Context()}
				l.parked = NewParked(ParkedConfig{Platform: "apns", Sweep: time.Minute, Now: time.Now,
					Ends: func(context.Context) (map[int32]int64, error) {
						l.mu.Lock()
						defer l.mu.Unlock()
						if l.broken {
							return nil, errors.New("broken")
						}
						return map[int32]int64{0: l.end}, nil
					}}, l, l, zap.NewNop())
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); l.parked.Run(ctx) }()
				test.act(l)
				synctest.Wait()
				cancel()
				<-done
				if got := l.happened(); got != test.want {
					t.Errorf("steps\n got %s\nwant %s", got, test.want)
				}
			})
		})
	}
}

func TestParkedRecordsOfAnEndedGenerationAreDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &room{start: time.Now()}
		p := NewParked(ParkedConfig{Platform: "apns", Sweep: time.Minute, Now: time.Now,
			Ends: func(context.Context) (map[int32]int64, error) { return map[int32]int64{0: 9}, nil }}, r, r, zap.NewNop())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); p.Run(ctx) }()
		generation, end := context.WithCancel(ctx)
		p.Handle(generation, []*stream.Record{r.record(1, 0, 0, 0)})
		time.Sleep(3 * time.Second)
		end()
		synctest.Wait()
		if got, want := r.happened(), "3s ack 1 false"; got != want {
			t.Errorf("steps %s, want %s", got, want)
		}
		cancel()
		<-done
	})
}
