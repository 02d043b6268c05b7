// Package examples_test runs the examples as a reader would, and looks at what they leave in Kafka.
package examples_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// realKafka is the address that scripts/kafka/run tells.
func realKafka(t *testing.T) string {
	t.Helper()
	addrs, _, _ := strings.Cut(os.Getenv("PUSHFLEET_TEST_KAFKA"), ",")
	if addrs == "" {
		t.Skip("needs PUSHFLEET_TEST_KAFKA: run scripts/integration ./examples")
	}
	return addrs
}

// TestProduceExamples: what each example produces is a message that pushfleet reads, under the key that it prints, and
// lies where every other producer would have put it.
func TestProduceExamples(t *testing.T) {
	t.Parallel()
	broker := realKafka(t)
	for name, command := range map[string][]string{
		"go":   {"go", "run", "./produce", "-broker", broker, "-topic", "TOPIC"},
		"java": {"java", "-cp", filepath.Join(os.Getenv("PUSHFLEET_TEST_KAFKA_LIBS"), "*"), "java/Produce.java", broker, "TOPIC"},
		"kcat": {"kcat/produce.sh", broker, "TOPIC"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "java" && os.Getenv("PUSHFLEET_TEST_KAFKA_LIBS") == "" {
				t.Skip("needs PUSHFLEET_TEST_KAFKA_LIBS, the folder of Kafka's Java client")
			}
			topic := createTopic(t, broker)
			printed := run(t, topic, command)
			records := readAll(t, broker, topic)
			if len(records) != 1 {
				t.Fatalf("%d records, want 1", len(records))
			}
			rec := records[0]
			checkPlace(t, rec)
			m, err := message.Parse(rec.Value, message.Envelope{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Time: rec.Time})
			if err != nil {
				t.Fatal(err)
			}
			if m.Key != printed {
				t.Errorf("message key %s, printed %s", m.Key, printed)
			}
			if diff := cmp.Diff([]string{"bob"}, m.Recipients); diff != "" {
				t.Errorf("recipients (-want +got):\n%s", diff)
			}
		})
	}
}

// TestGroupExample: a membership and its end, the second a null, both under the membership's key.
func TestGroupExample(t *testing.T) {
	t.Parallel()
	broker := realKafka(t)
	topic := createTopic(t, broker)
	run(t, topic, []string{"kcat/group.sh", broker, "TOPIC"})
	records := readAll(t, broker, topic)
	if len(records) != 2 {
		t.Fatalf("%d records, want 2", len(records))
	}
	for _, rec := range records {
		checkPlace(t, rec)
		if key := string(stream.MemberKey("demo", "team", "bob")); string(rec.Key) != key {
			t.Errorf("key %s, want %s", rec.Key, key)
		}
	}
	m, err := registry.ParseMembership(records[0].Value, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if m.App != "demo" || m.Group != "team" || m.User != "bob" {
		t.Errorf("membership of %s in %s of %s", m.User, m.Group, m.App)
	}
	if records[1].Value != nil {
		t.Errorf("value %q, want null", records[1].Value)
	}
}

const partitions = 8

// patience covers the start of a Java machine, and a compiler's, on a busy one.
const patience = 2 * time.Minute

// run runs an example on a topic and returns what it prints.
func run(t *testing.T, topic string, command []string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := range command {
		if command[i] == "TOPIC" {
			command[i] = topic
		}
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command[0], err, errs.String())
	}
	return strings.TrimSpace(string(out))
}

func createTopic(t *testing.T, broker string) string {
	t.Helper()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(broker), Transport: transport}
	topic := "examples-" + uuid.NewString()
	res, err := client.CreateTopics(t.Context(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{
		{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Errors[topic]; err != nil {
		t.Fatal(err)
	}
	return topic
}

// readAll reads a topic to its end, partition by partition.
func readAll(t *testing.T, broker, topic string) []*stream.Record {
	t.Helper()
	cluster := stream.OpenCluster(stream.ClusterConfig{Brokers: []string{broker}})
	defer cluster.Close()
	var records []*stream.Record
	if err := cluster.Scan(t.Context(), topic, nil, func(rec *stream.Record) bool {
		records = append(records, rec)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return records
}

// checkPlace: the record lies on the partition that murmur2 gives its key.
func checkPlace(t *testing.T, rec *stream.Record) {
	t.Helper()
	if want := stream.Murmur2Partition(rec.Key, partitions); rec.Partition != want {
		t.Errorf("key %s on partition %d, want %d", rec.Key, rec.Partition, want)
	}
}
