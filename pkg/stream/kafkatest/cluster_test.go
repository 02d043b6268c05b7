package kafkatest_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"

	"github.com/pushfleet/pushfleet/pkg/stream/kafkatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestANodeComesBackWithItsData starts three nodes, and has one killed, frozen and started again while records are
// written.
func TestANodeComesBackWithItsData(t *testing.T) {
	if os.Getenv("PUSHFLEET_TEST_KAFKA") == "" {
		t.Skip("needs PUSHFLEET_TEST_KAFKA: run scripts/integration ./pkg/stream/kafkatest")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	began := time.Now()
	c, err := kafkatest.Start(ctx, kafkatest.Config{Settings: map[string]string{"broker.session.timeout.ms": "3000"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	t.Logf("three nodes after %s", time.Since(began).Round(time.Millisecond))

	transport := &kafka.Transport{MetadataTTL: 200 * time.Millisecond}
	t.Cleanup(transport.CloseIdleConnections)
	client := &kafka.Client{Addr: kafka.TCP(c.Addrs()...), Transport: transport, Timeout: 5 * time.Second}
	retry := func(what string, try func() error) {
		t.Helper()
		for {
			err := try()
			if err == nil {
				return
			}
			select {
			case <-ctx.Done():
				t.Fatalf("%s: %v", what, err)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	retry("create the topic", func() error {
		res, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: "t", NumPartitions: 1, ReplicationFactor: -1}}})
		if err != nil {
			return err
		}
		return res.Errors["t"]
	})
	produce := func(value string) {
		t.Helper()
		retry("produce "+value, func() error {
			records := kafka.NewRecordReader(kafka.Record{Value: kafka.NewBytes([]byte(value))})
			res, err := client.Produce(ctx, &kafka.ProduceRequest{Topic: "t", RequiredAcks: kafka.RequireAll, Records: records})
			if err != nil {
				return err
			}
			return res.Error
		})
	}
	produce("all of them")

	began = time.Now()
	c.Kill(0)
	if conn, err := net.DialTimeout("tcp", c.Addrs()[0], time.Second); err == nil {
		_ = conn.Close()
		t.Error("a killed node still listens")
	}
	if err := c.Pause(0); err == nil {
		t.Error("a node that does not run was frozen")
	}
	produce("two of three")
	t.Logf("written without a node after %s", time.Since(began).Round(time.Millisecond))

	began = time.Now()
	if err := c.Restart(ctx, 0); err != nil {
		t.Fatal(err)
	}
	t.Logf("started again after %s", time.Since(began).Round(time.Millisecond))
	for i := range c.Addrs()[1:] {
		if err := c.Pause(i + 1); err != nil {
			t.Fatal(err)
		}
	}
	// One node of three may not take a record, and is not asked to: frozen ones only look alive.
	quick, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	records := kafka.NewRecordReader(kafka.Record{Value: kafka.NewBytes([]byte("one"))})
	if res, err := client.Produce(quick, &kafka.ProduceRequest{Topic: "t", RequiredAcks: kafka.RequireAll, Records: records}); err == nil && res.Error == nil {
		t.Error("one node of three took a record")
	}
	for i := range c.Addrs()[1:] {
		if err := c.Continue(i + 1); err != nil {
			t.Fatal(err)
		}
	}
	produce("all of them again")

	retry("read", func() error {
		res, err := client.Fetch(ctx, &kafka.FetchRequest{Topic: "t", Offset: 0, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: time.Second})
		if err != nil {
			return err
		}
		var values []string
		for {
			r, err := res.Records.ReadRecord()
			if err != nil {
				break
			}
			b, _ := kafka.ReadAll(r.Value)
			values = append(values, string(b))
		}
		if len(values) < 3 || values[0] != "all of them" || values[1] != "two of three" {
			return fmt.Errorf("read %q", values)
		}
		return nil
	})
}
