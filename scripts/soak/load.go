package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

// users is how many there are; each has one phone in the background, those with an even number an iPhone.
const users = 20_000

// load produces one-to-one messages evenly, and counts them.
type load struct {
	produced atomic.Int64 // messages that Kafka has
	failed   atomic.Int64 // that it has not
	cancel   context.CancelFunc
	done     sync.WaitGroup // the producers, and what Kafka has not answered for
}

const loadTick = 5 * time.Millisecond

// login makes the users known, and returns when the fleet knows them all.
func (f *fleet) login(ctx context.Context) error {
	var written sync.WaitGroup
	var failed atomic.Pointer[error]
	for user := range users {
		for _, record := range logins(f.topics, user, time.Now()) {
			written.Add(1)
			f.pub.Publish(ctx, record, func(err error) {
				defer written.Done()
				if err != nil {
					failed.Store(&err)
				}
			})
		}
	}
	written.Wait() // ctx ends it
	if err := failed.Load(); err != nil {
		return fmt.Errorf("log users in: %w", *err)
	}
	for began := time.Now(); ; {
		unread, err := f.unread(ctx, "devices", f.topics.Devices())
		if err != nil || unread == 0 {
			return err
		}
		if time.Since(began) > patience {
			return fmt.Errorf("%d events of phones are unread after %s", unread, patience)
		}
		if err := f.pass(ctx, lagEvery); err != nil {
			return err
		}
	}
}

// startLoad produces so many messages a second, to one user after another, until stop.
func startLoad(ctx context.Context, f *fleet, rate int) *load {
	l := &load{}
	l.cancel = l.more(ctx, f, rate, func(n int) stream.Message { return message(f.topics, n%users, n, time.Now()) })
	return l
}

// more produces so many messages a second on top, until enough is called; next is the n-th. It must not be called after stop.
func (l *load) more(ctx context.Context, f *fleet, rate int, next func(n int) stream.Message) (enough context.CancelFunc) {
	running, enough := context.WithCancel(ctx)
	l.done.Go(func() {
		tick := time.NewTicker(loadTick)
		defer tick.Stop()
		began := time.Now()
		for made := 0; ; {
			select {
			case <-tick.C:
			case <-running.Done():
				return
			}
			for due := int(time.Since(began).Seconds() * float64(rate)); made < due; made++ {
				l.done.Add(1)
				f.pub.Publish(ctx, next(made), l.note)
			}
		}
	})
	return enough
}

func (l *load) note(err error) {
	defer l.done.Done()
	if err != nil {
		l.failed.Add(1)
		return
	}
	l.produced.Add(1)
}

// stop ends it, and returns when Kafka has answered for every message. It may be called again.
func (l *load) stop() {
	l.cancel()
	l.done.Wait()
}

func name(user int) string { return fmt.Sprintf("user-%d", user) }

// logins are what brings a user's phone to the background.
func logins(topics stream.Topics, user int, now time.Time) []stream.Message {
	platform, credential, token := "fcm", "android", fmt.Sprintf("soak-token-%d", user)
	if user%2 == 0 {
		platform, credential, token = "apns", "ios", fmt.Sprintf("%064x", user+1)
	}
	event := func(topic string, fields map[string]any) stream.Message {
		fields["App"], fields["User"], fields["Device"] = app, name(user), "phone"
		return stream.Message{Topic: topic, Key: stream.UserKey(app, name(user)), Value: encode(fields), Partition: stream.ByKey}
	}
	return []stream.Message{
		event(topics.Devices(), map[string]any{"Event": "login", "EventTime": now.Add(-5 * time.Second).UnixMilli(), "Platform": platform,
			"Credential": credential, "Token": token, "Language": "en"}),
		event(topics.Devices(), map[string]any{"Event": "background", "EventTime": now.UnixMilli(), "Unread": 0}),
	}
}

// message is the n-th, to a user.
func message(topics stream.Topics, user, n int, now time.Time) stream.Message {
	from := fmt.Sprintf("sender-%d", n%1000)
	return stream.Message{Topic: topics.Messages(), Key: fmt.Appendf(nil, "%s:%s", from, name(user)), Partition: stream.ByKey, Value: encode(map[string]any{
		"App": app, "From_Account": from, "From_Nick": "Sender", "To_Account": name(user), "MsgSeq": n + 1, "MsgRandom": n + 1,
		"MsgTimeStamp": now.Unix(), "MsgBody": []any{map[string]any{"MsgType": "TIMTextElem", "MsgContent": map[string]any{"Text": fmt.Sprintf("message %d", n)}}},
	})}
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("a map of strings and numbers did not marshal: " + err.Error())
	}
	return b
}
