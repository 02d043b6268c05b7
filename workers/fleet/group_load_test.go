package fleet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/fleet"
)

const (
	groupMembers = 100_000 // every other one in the foreground, the rest with the app in the background
	chatUsers    = 1_000   // recipients of one-to-one messages, none of them a member
	chatRate     = 200     // messages a second
	chatBefore   = 5 * time.Second
)

// TestBigGroup sends one message to a group of 100,000 members while one-to-one messages go on, on real servers, and
// prints how long the group took and what the others noticed. It fails where a push is missing or comes twice, never for
// a time.
func TestBigGroup(t *testing.T) {
	kafka, redis := os.Getenv("PUSHFLEET_TEST_KAFKA"), os.Getenv("PUSHFLEET_TEST_REDIS")
	if kafka == "" || redis == "" || os.Getenv("PUSHFLEET_TEST_BENCH") == "" {
		t.Skip("needs real servers and minutes: run make bench")
	}
	t.Cleanup(func() { goleak.VerifyNone(t) })
	k := newKillTest(t, strings.Split(kafka, ","), redis)
	g := &groupLoad{app: k.cfg.DefaultApp, produced: map[string]time.Time{}}

	w := startWorker(t, k.binary, k.cfgFile, "route,deliver-apns,deliver-fcm,retry,devices,report")
	began := time.Now()
	k.publish(t, g.logins(k.topics, began), 0)
	k.publish(t, g.memberships(k.topics, began), 0)
	eventually(t, 5*time.Minute, time.Second, "every login and membership to be applied", func(ctx context.Context) error {
		return k.read(ctx, "devices", k.topics.Devices(), k.topics.Groups())
	})
	k.publish(t, g.presences(k.topics, time.Now()), 0)
	eventually(t, 5*time.Minute, time.Second, "every presence to be applied", func(ctx context.Context) error {
		return k.read(ctx, "devices", k.topics.Presence())
	})
	t.Logf("%d members and %d others set up in %s", groupMembers, chatUsers, time.Since(began).Round(time.Second))

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		g.chat(t, k, stop)
	}()
	end := func() {
		select {
		case <-stop:
		default:
			close(stop)
		}
		<-stopped
	}
	defer end()
	<-time.After(chatBefore)
	g.sent = time.Now()
	k.publish(t, []stream.Message{g.message(k.topics, g.sent)}, 0)
	eventually(t, 5*time.Minute, 100*time.Millisecond, "the group's pushes", func(context.Context) error {
		if n := k.accepted() - int(g.made.Load()); n < groupMembers/2 {
			return fmt.Errorf("%d arrived", n)
		}
		return nil
	})
	end()
	eventually(t, time.Minute, 100*time.Millisecond, "the last pushes", func(context.Context) error {
		if n, due := k.accepted(), groupMembers/2+int(g.made.Load()); n < due {
			return fmt.Errorf("%d of %d arrived", n, due)
		}
		return nil
	})
	w.stop(t, 15*time.Second)
	g.report(t, k)
	w.complaints(t)
}

// read says whether a group has read and settled everything in the topics.
func (k *killTest) read(ctx context.Context, group string, topics ...string) error {
	rows, err := k.cluster.Lag(ctx, fleet.Group(k.cfg, group), topics)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Lag > 0 {
			return fmt.Errorf("%d records of %s/%d left", row.Lag, row.Topic, row.Partition)
		}
	}
	return nil
}

// groupLoad is one big group and the one-to-one messages beside it.
type groupLoad struct {
	app      string
	sent     time.Time    // the group's message
	made     atomic.Int32 // one-to-one messages
	produced map[string]time.Time
}

// loadUser is a member where i is below groupMembers, else one of the others.
func loadUser(i int) string { return "load-user-" + strconv.Itoa(i) }

func loadToken(i int) string { return fmt.Sprintf("%064x", i+1) }

// events makes one event for each user.
func (g *groupLoad) events(topic string, event func(i int) map[string]any) []stream.Message {
	all := make([]stream.Message, 0, groupMembers+chatUsers)
	for i := range groupMembers + chatUsers {
		e := event(i)
		e["App"], e["User"], e["Device"] = g.app, loadUser(i), "phone"
		all = append(all, stream.Message{Topic: topic, Key: stream.UserKey(g.app, loadUser(i)), Value: encode(e), Partition: stream.ByKey})
	}
	return all
}

// logins give every user a phone, half of them on each platform.
func (g *groupLoad) logins(topics stream.Topics, now time.Time) []stream.Message {
	return g.events(topics.Devices(), func(i int) map[string]any {
		e := map[string]any{"Event": "login", "EventTime": now.Add(-time.Minute).UnixMilli(), "Token": loadToken(i), "Language": "en",
			"Platform": push.Platform("apns"), "Credential": "ios"}
		if i/2%2 == 1 {
			e["Platform"], e["Credential"] = push.Platform("fcm"), "android"
		}
		return e
	})
}

// presences put every other member into the foreground and everybody else into the background.
func (g *groupLoad) presences(topics stream.Topics, now time.Time) []stream.Message {
	return g.events(topics.Presence(), func(i int) map[string]any {
		e := map[string]any{"Event": "background", "EventTime": now.UnixMilli(), "Unread": 0}
		if i < groupMembers && i%2 == 1 {
			e = map[string]any{"Event": "heartbeat", "EventTime": now.UnixMilli(), "State": "foreground"}
		}
		return e
	})
}

func (g *groupLoad) memberships(topics stream.Topics, now time.Time) []stream.Message {
	all := make([]stream.Message, groupMembers)
	for i := range all {
		value := encode(map[string]any{"App": g.app, "Group": "everybody", "User": loadUser(i), "JoinedTime": now.Add(-time.Minute).UnixMilli()})
		all[i] = stream.Message{Topic: topics.Groups(), Key: stream.MemberKey(g.app, "everybody", loadUser(i)), Value: value, Partition: stream.ByKey}
	}
	return all
}

func (g *groupLoad) message(topics stream.Topics, now time.Time) stream.Message {
	return stream.Message{Topic: topics.Messages(), Key: stream.UserKey(g.app, "everybody"), Partition: stream.ByKey,
		Value: encode(map[string]any{"App": g.app, "GroupId": "everybody", "GroupName": "Everybody", "From_Account": "speaker", "From_Nick": "Speaker",
			"Random": 1, "MsgTimeStamp": now.Unix(), "MsgBody": textBody("hello, everybody")})}
}

func textBody(text string) []any {
	return []any{map[string]any{"MsgType": "TIMTextElem", "MsgContent": map[string]any{"Text": text}}}
}

// chat produces one-to-one messages until stop is closed, each at its time.
func (g *groupLoad) chat(t *testing.T, k *killTest, stop <-chan struct{}) {
	pub := k.cluster.NewPublisher(stream.PublisherConfig{})
	tick := time.NewTicker(time.Second / chatRate)
	defer tick.Stop()
	for i := 1; ; i++ {
		select {
		case <-tick.C:
		case <-stop:
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
			defer cancel()
			if err := pub.Close(ctx); err != nil {
				t.Error(err)
			}
			return
		}
		now, to := time.Now(), loadUser(groupMembers+i%chatUsers)
		g.produced[fmt.Sprintf("c2c:chatter:%d_%d_%d", i, i, now.Unix())] = now
		pub.Publish(t.Context(), stream.Message{Topic: k.topics.Messages(), Key: stream.MemberKey(g.app, "chatter", to), Partition: stream.ByKey,
			Value: encode(map[string]any{"App": g.app, "From_Account": "chatter", "From_Nick": "Chatter", "To_Account": to, "MsgSeq": i, "MsgRandom": i,
				"MsgTimeStamp": now.Unix(), "MsgBody": textBody("message " + strconv.Itoa(i))})}, func(err error) {
			if err != nil {
				t.Errorf("not produced: %v", err)
			}
		})
		g.made.Add(1)
	}
}

// report prints the figures, and fails for what is missing or came twice.
func (g *groupLoad) report(t *testing.T, k *killTest) {
	t.Helper()
	pushed := map[string]int{}              // members' tokens
	arrived := map[string][]time.Duration{} // one-to-one, by message key
	var last time.Time
	for _, entry := range append(k.sim.APNs.Control().Ledger.Entries(""), k.sim.FCM.Control().Ledger.Entries("")...) {
		if entry.Status != http.StatusOK {
			continue
		}
		var body struct {
			MsgKey string `json:"msg_key"` // APNs
			Data   struct {
				MsgKey string `json:"msg_key"`
			} `json:"data"` // FCM
		}
		if err := json.Unmarshal(entry.Body, &body); err != nil {
			t.Fatalf("body of %s: %v", entry.ID, err)
		}
		key := body.MsgKey + body.Data.MsgKey
		produced, chat := g.produced[key]
		if !chat {
			pushed[entry.Token]++
			if entry.Time.After(last) {
				last = entry.Time
			}
			continue
		}
		arrived[key] = append(arrived[key], entry.Time.Sub(produced))
	}
	missing, twice := 0, 0
	for i := 0; i < groupMembers; i += 2 {
		switch n := pushed[loadToken(i)]; {
		case n == 0:
			missing++
		case n > 1:
			twice++
		}
	}
	if missing > 0 || twice > 0 || len(pushed) != groupMembers/2 {
		t.Errorf("of %d members in the background %d got no push and %d several; %d phones got one", groupMembers/2, missing, twice, len(pushed))
	}
	var before, during []time.Duration
	for key, produced := range g.produced {
		if len(arrived[key]) != 1 {
			t.Errorf("a one-to-one message arrived %d times", len(arrived[key]))
			continue
		}
		switch took := arrived[key][0]; {
		case produced.Before(g.sent):
			before = append(before, took)
		case produced.Before(last):
			during = append(during, took)
		}
	}
	took := last.Sub(g.sent)
	t.Logf("group of %d: %d pushes in %s, %.0f a second", groupMembers, len(pushed), took.Round(time.Millisecond), float64(len(pushed))/took.Seconds())
	t.Logf("one-to-one at %d/s before: %s", chatRate, quantiles(before))
	t.Logf("one-to-one at %d/s meanwhile: %s", chatRate, quantiles(during))
	// As a benchmark would say it, for scripts/bench.
	fmt.Printf("pkg: github.com/pushfleet/pushfleet/workers/fleet\nBenchmarkBigGroup 1 %.1f group-s %.1f one-to-one-p99-ms\n",
		took.Seconds(), quantile(during, 0.99).Seconds()*1000)
}

func quantiles(times []time.Duration) string {
	return fmt.Sprintf("p50 %s, p99 %s, most %s of %d", quantile(times, 0.5), quantile(times, 0.99), quantile(times, 1), len(times))
}

// quantile is 0 where there are no times.
func quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[min(len(times)-1, int(q*float64(len(times))))].Round(100 * time.Microsecond)
}
