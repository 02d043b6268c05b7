package operate

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/pkg/stream/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token = "abababababababababababababababababababababababababababababababab"
	words = "secret words"
)

var topics = stream.Topics{Prefix: "p."}

// bench is a fleet's Kafka with empty topics.
type bench struct {
	*DeadLetters
	t       testing.TB
	cluster *stream.Cluster
	pub     *stream.Publisher
}

func newBench(t testing.TB) *bench {
	t.Helper()
	broker, err := embedded.Start(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	cluster := stream.OpenCluster(stream.ClusterConfig{Brokers: []string{broker.Addr()}})
	t.Cleanup(cluster.Close)
	platforms := []push.Platform{"apns", "fcm"}
	layout := stream.Layout{Topics: topics, Platforms: platforms, Delays: []time.Duration{10 * time.Second}, Partitions: 2}
	if _, err := cluster.Apply(t.Context(), layout); err != nil {
		t.Fatal(err)
	}
	pub := cluster.NewPublisher(stream.PublisherConfig{})
	t.Cleanup(func() { _ = pub.Close(context.Background()) })
	return &bench{DeadLetters: NewDeadLetters(cluster, topics, platforms), t: t, cluster: cluster, pub: pub}
}

// write publishes records and waits until they are durable.
func (b *bench) write(messages ...stream.Message) {
	b.t.Helper()
	if err := errors.Join(publish(b.t.Context(), b.pub, messages)...); err != nil {
		b.t.Fatal(err)
	}
}

// letters returns what f chooses.
func (b *bench) letters(f Filter) []Letter {
	b.t.Helper()
	var letters []Letter
	if err := b.Each(b.t.Context(), f, func(l Letter) bool {
		letters = append(letters, l)
		return true
	}); err != nil {
		b.t.Fatal(err)
	}
	return letters
}

// records returns what stands in a topic.
func (b *bench) records(topic string) []*stream.Record {
	b.t.Helper()
	var records []*stream.Record
	if err := b.cluster.Scan(b.t.Context(), topic, nil, func(r *stream.Record) bool {
		records = append(records, r)
		return true
	}); err != nil {
		b.t.Fatal(err)
	}
	return records
}

// redrive sends back what f chooses.
func (b *bench) redrive(f Filter) int {
	b.t.Helper()
	r := b.NewRedrive(b.pub, "ops@console", 0)
	for _, l := range b.letters(f) {
		if err := r.Add(b.t.Context(), l); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := r.Flush(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	return r.Done()
}

func notification(p push.Platform, device string) *push.Notification {
	return &push.Notification{ID: "id-" + device, App: "demo", User: "bob", Device: device, MsgKey: "c2c:alice:1_2_3", Platform: p,
		Token: token, Credential: "demo-" + string(p), Version: 3, Title: "t", Body: words, Ext: "{}", Badge: 5,
		Expires: time.Unix(1790604800, 0), Received: time.Unix(1790000000, 0)}
}

// dead is a notification's dead letter, as deliver writes it.
func dead(n *push.Notification, meta stream.Meta) stream.Message {
	meta.ID = n.ID
	return stream.Message{Topic: topics.Dead(n.Platform), Key: stream.DeviceKey(n.App, n.User, n.Device), Value: stream.EncodeNotification(n),
		Headers: meta.Headers(), Partition: stream.ByKey}
}

// deadInput is the dead letter of a record of im.*, as the role that could not read it writes it.
func deadInput(topic, value string, headers ...stream.Header) stream.Message {
	rec := &stream.Record{Topic: topic, Partition: 1, Offset: 7, Key: []byte("k"), Value: []byte(value), Headers: headers}
	return stream.DeadInput(topics, rec, push.ReasonInvalidMessage, "MsgBody: missing", time.Unix(1790000000, 0))
}
