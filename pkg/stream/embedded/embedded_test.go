package embedded_test

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"

	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/pkg/stream/embedded"
)

// brokerDir is set in the process that plays a broker which is killed.
const brokerDir = "PUSHFLEET_TEST_BROKER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(brokerDir); dir != "" {
		b, err := embedded.Start(embedded.Config{DataDir: dir, MinSessionTimeout: time.Second})
		if err != nil {
			panic(err)
		}
		if _, err := os.Stdout.WriteString(b.Addr() + "\n"); err != nil {
			panic(err)
		}
		select {} // until it is killed
	}
	goleak.VerifyTestMain(m)
}

func start(t *testing.T, cfg embedded.Config) *embedded.Broker {
	t.Helper()
	cfg.MinSessionTimeout = time.Second
	b, err := embedded.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// fill writes three records and commits an offset.
func fill(t *testing.T, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	client := kafka.Client{Addr: kafka.TCP(addr), Transport: transport}
	res, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: "kept", NumPartitions: 1, ReplicationFactor: 1}}})
	if err != nil || res.Errors["kept"] != nil {
		t.Fatal(err, res)
	}
	c := stream.OpenCluster(stream.ClusterConfig{Brokers: []string{addr}})
	defer c.Close()
	p := c.NewPublisher(stream.PublisherConfig{})
	for _, v := range []string{"a", "b", "c"} {
		p.Publish(ctx, stream.Message{Topic: "kept", Value: []byte(v)}, func(err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
	committed, err := client.OffsetCommit(ctx, &kafka.OffsetCommitRequest{
		GroupID: "g", GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{"kept": {{Partition: 0, Offset: 2}}},
	})
	if err != nil || committed.Topics["kept"][0].Error != nil {
		t.Fatal(err, committed)
	}
}

// check finds what fill left.
func check(t *testing.T, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := stream.OpenCluster(stream.ClusterConfig{Brokers: []string{addr}})
	defer c.Close()
	var got []string
	if err := c.Scan(ctx, "kept", nil, func(r *stream.Record) bool {
		got = append(got, string(r.Value))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if strings.Join(got, "") != "abc" {
		t.Errorf("records are %q", got)
	}
	rows, err := c.Lag(ctx, "g", []string{"kept"})
	if err != nil || len(rows) != 1 || rows[0].Committed != 2 || rows[0].Lag != 1 {
		t.Errorf("offsets are %+v, %v", rows, err)
	}
}

// quietAddr is a free address below the range from which the system gives ports to outgoing connections, so that none of
// other tests takes it between two brokers.
func quietAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(20_000+rand.IntN(12_000))))
		if err != nil {
			continue
		}
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		return ln.Addr().String()
	}
	t.Fatal("no free port in 100 tries")
	return ""
}

func TestRestartKeepsRecordsOffsetsAndAddress(t *testing.T) {
	t.Parallel()
	dir, addr := t.TempDir(), quietAddr(t)
	first := start(t, embedded.Config{DataDir: dir, Addr: addr})
	fill(t, addr)
	first.Close()
	second := start(t, embedded.Config{DataDir: dir, Addr: addr})
	if second.Addr() != addr {
		t.Errorf("address is %s, want %s", second.Addr(), addr)
	}
	check(t, addr)
}

func TestKilledBrokerKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), brokerDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 64)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, strings.TrimSpace(string(line[:n])))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	check(t, start(t, embedded.Config{DataDir: dir}).Addr())
}

func TestRetentionFreesOldRecords(t *testing.T) {
	t.Parallel()
	b := start(t, embedded.Config{RetentionInterval: 10 * time.Millisecond})
	c := stream.OpenCluster(stream.ClusterConfig{Brokers: []string{b.Addr()}})
	t.Cleanup(c.Close)
	if _, err := c.Apply(t.Context(), stream.Layout{}); err != nil {
		t.Fatal(err)
	}
	topic := stream.Topics{}.Messages()
	transport := &kafka.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := kafka.Client{Addr: kafka.TCP(b.Addr()), Transport: transport}
	old := time.Now().Add(-8 * 24 * time.Hour)
	if _, err := client.Produce(t.Context(), &kafka.ProduceRequest{Topic: topic, RequiredAcks: kafka.RequireAll,
		Records: kafka.NewRecordReader(kafka.Record{Time: old, Value: kafka.NewBytes([]byte("old"))})}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		n := 0
		if err := c.Scan(t.Context(), topic, nil, func(*stream.Record) bool { n++; return true }); err == nil && n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a record older than the retention is still there")
		}
	}
}

func TestAddressIsForOneBroker(t *testing.T) {
	t.Parallel()
	if _, err := embedded.Start(embedded.Config{Addr: "127.0.0.1:0", Brokers: 2}); err == nil {
		t.Error("two brokers at one address: no error")
	}
	taken := start(t, embedded.Config{})
	if _, err := embedded.Start(embedded.Config{Addr: taken.Addr()}); err == nil {
		t.Error("an address that is taken: no error")
	}
}
