package stream

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"

	"github.com/pushfleet/pushfleet/pkg/push"
)

func TestTopicNames(t *testing.T) {
	t.Parallel()
	topics := Topics{Prefix: "prod."}
	tests := map[string]string{
		topics.Messages():                    "prod.im.messages",
		topics.Devices():                     "prod.im.devices",
		topics.Presence():                    "prod.im.presence",
		topics.Groups():                      "prod.im.groups",
		topics.Receipts():                    "prod.im.receipts",
		topics.Offline():                     "prod.im.offline",
		topics.InputDead(topics.Messages()):  "prod.im.messages.dead",
		topics.InputDead(topics.Fanout()):    "prod.push.fanout.dead",
		topics.Registry():                    "prod.push.registry",
		topics.Fanout():                      "prod.push.fanout",
		topics.Events():                      "prod.push.events",
		topics.Control():                     "prod.push.control",
		topics.Callbacks():                   "prod.push.callbacks",
		topics.Work("apns", push.LaneUrgent): "prod.push.apns.urgent",
		topics.Retry("fcm", 10*time.Second):  "prod.push.fcm.retry.10s",
		topics.Parked("fcm"):                 "prod.push.fcm.parked",
		topics.Dead("fcm"):                   "prod.push.fcm.dead",
	}
	for got, want := range tests {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestDelaysAreNamedShortly(t *testing.T) {
	t.Parallel()
	tests := map[time.Duration]string{
		10 * time.Second: "10s", time.Minute: "1m", 10 * time.Minute: "10m", time.Hour: "1h", 24 * time.Hour: "24h",
		90 * time.Second: "1m30s", 90 * time.Minute: "1h30m", 20 * time.Millisecond: "20ms", 100 * time.Second: "1m40s",
		time.Hour + time.Second: "1h0m1s",
	}
	for d, want := range tests {
		if got := DelayName(d); got != want {
			t.Errorf("%v is named %s, want %s", d, got, want)
		}
	}
}

func TestKeysKeepTheirIDsApart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		key  []byte
		want string
		ids  []string
	}{
		{UserKey("demo", "bob"), "demo|bob", []string{"demo", "bob"}},
		{DeviceKey("demo", "bob", "bob-iphone"), "demo|bob|bob-iphone", []string{"demo", "bob", "bob-iphone"}},
		{MemberKey("demo", "team", "bob"), "demo|team|bob", []string{"demo", "team", "bob"}},
		{UserKey("a|b", "100%"), "a%7Cb|100%25", []string{"a|b", "100%"}},
		{UserKey("a", "%7C"), "a|%257C", []string{"a", "%7C"}},
	}
	for _, tt := range tests {
		if string(tt.key) != tt.want {
			t.Errorf("key %s, want %s", tt.key, tt.want)
		}
		ids, err := SplitKey(tt.key)
		if diff := cmp.Diff(tt.ids, ids); diff != "" || err != nil {
			t.Errorf("ids of %s: %v (-want +got):\n%s", tt.key, err, diff)
		}
	}
}

func TestKeysOfForeignMakeAreReadOrRefused(t *testing.T) {
	t.Parallel()
	for key, want := range map[string][]string{
		"demo|50%": {"demo", "50%"}, "a%7cb|%2": {"a|b", "%2"}, "demo": {"demo"},
		"": nil, "demo|": nil, "|bob": nil, "demo||bob": nil, "demo|a\nb": nil, "demo|\xff": nil, "demo|" + strings.Repeat("x", 129): nil,
	} {
		got, err := SplitKey([]byte(key))
		if diff := cmp.Diff(want, got); diff != "" || (err != nil) != (want == nil) {
			t.Errorf("%q: %v (-want +got):\n%s", key, err, diff)
		}
	}
	if _, err := SplitKey(nil); err == nil {
		t.Error("a null key is no error")
	}
}

func TestMurmur2IsJavas(t *testing.T) {
	t.Parallel()
	// From Kafka's UtilsTest.testMurmur2.
	vectors := map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string":                       -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	}
	for key, want := range vectors {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
	}
	partitions := make([]int, 7)
	for i := range partitions {
		partitions[i] = i
	}
	for _, key := range numbered(0, 500) {
		want := (kafka.Murmur2Balancer{}).Balance(kafka.Message{Key: []byte(key)}, partitions...)
		if got := Murmur2Partition([]byte(key), 7); int(got) != want {
			t.Fatalf("partition of %q is %d, kafka-go says %d", key, got, want)
		}
	}
}

func TestApplyCreatesWhatIsMissingAndReportsWhatDiffers(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	layout := Layout{
		Topics: Topics{Prefix: "apply-" + l.topic(1) + "."}, Platforms: []push.Platform{"apns", "fcm"},
		Delays: []time.Duration{10 * time.Second, time.Minute}, Partitions: 3,
	}
	l.create(layout.Topics.Messages(), 2, kafka.ConfigEntry{ConfigName: "retention.ms", ConfigValue: "1000"},
		kafka.ConfigEntry{ConfigName: "max.message.bytes", ConfigValue: "1114112"},
		kafka.ConfigEntry{ConfigName: "retention.bytes", ConfigValue: "-1"})
	eventually(t, "the topic is known", func() bool {
		n, _ := l.cluster.Partitions(t.Context(), layout.Topics.Messages())
		return n == 2
	})
	done, err := l.cluster.Apply(t.Context(), layout)
	if err != nil {
		t.Fatal(err)
	}
	if want := len(layout.All()) - 1; len(done.Created) != want {
		t.Errorf("created %d topics, want %d", len(done.Created), want)
	}
	differs := []Difference{
		{layout.Topics.Messages(), "partitions", "3", "2"},
		{layout.Topics.Messages(), "retention.ms", "604800000", "1000"},
	}
	if diff := cmp.Diff(differs, done.Differences); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
	again, err := l.cluster.Apply(t.Context(), layout)
	if err != nil || len(again.Created) != 0 || !cmp.Equal(differs, again.Differences) {
		t.Errorf("the second time: %+v, %v", again, err)
	}
	for _, topic := range []string{layout.Topics.Work("fcm", push.LaneBulk), layout.Topics.Dead("apns")} {
		if n, err := l.cluster.Partitions(t.Context(), topic); n != 3 || err != nil {
			t.Errorf("%s has %d partitions, %v", topic, n, err)
		}
	}
}

func TestTopicsAreKeptAsPromised(t *testing.T) {
	t.Parallel()
	layout := Layout{Platforms: []push.Platform{"apns"}, Delays: []time.Duration{time.Minute}}
	settings := map[string]map[string]string{}
	for _, topic := range layout.All() {
		settings[topic.Name] = topic.Settings
	}
	tests := []struct{ topic, setting, want string }{
		{"im.messages", "cleanup.policy", "delete"},
		{"im.messages", "max.message.bytes", "1114112"}, // 1 MiB and what is around it
		{"im.messages.dead", "max.message.bytes", "2228224"},
		{"im.messages.dead", "retention.ms", "2592000000"},
		{"im.presence", "retention.ms", "86400000"},
		{"im.groups", "cleanup.policy", "compact"},
		{"push.registry", "cleanup.policy", "compact"},
		{"push.apns.bulk", "retention.ms", "604800000"},
		{"push.apns.bulk", "retention.bytes", "-1"},
		{"push.apns.retry.1m", "message.timestamp.type", "LogAppendTime"},
		{"push.apns.parked", "retention.bytes", "-1"},
		{"push.apns.dead", "max.message.bytes", "2228224"},
		{"push.fanout", "max.message.bytes", "2228224"},
	}
	for _, tt := range tests {
		if got := settings[tt.topic][tt.setting]; got != tt.want {
			t.Errorf("%s: %s is %q, want %q", tt.topic, tt.setting, got, tt.want)
		}
	}
}
