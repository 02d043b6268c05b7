package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	fetchapi "github.com/segmentio/kafka-go/protocol/fetch"
	produceapi "github.com/segmentio/kafka-go/protocol/produce"
)

// recordSize is the value of a rendered notification, about.
const recordSize = 600

// broker is the one under measurement.
type broker struct {
	addr      net.Addr
	transport *kafka.Transport
	offsets   []int64 // by partition: where the fetches of the running load begin
}

func topicOf(partitions int) string { return "cost-" + strconv.Itoa(partitions) }

func (b *broker) createTopic(ctx context.Context, partitions int) error {
	client := &kafka.Client{Addr: b.addr, Transport: b.transport}
	answer, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{
		{Topic: topicOf(partitions), NumPartitions: partitions, ReplicationFactor: 1},
	}})
	if err != nil {
		return err
	}
	if err := answer.Errors[topicOf(partitions)]; err != nil {
		return err
	}
	for range 50 { // what was created may not be led yet: 5 s
		if err = produce(ctx, b, load{partitions: partitions, records: 1}); err == nil {
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return err
}

// prepare notes the ends of the logs, and writes there what the load's fetches will read, as one batch a partition.
func (b *broker) prepare(ctx context.Context, l load) error {
	partitions := make([]kafka.OffsetRequest, l.partitions)
	for p := range partitions {
		partitions[p] = kafka.LastOffsetOf(p)
	}
	client := &kafka.Client{Addr: b.addr, Transport: b.transport}
	answer, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{topicOf(l.partitions): partitions},
	})
	if err != nil {
		return err
	}
	b.offsets = make([]int64, l.partitions)
	for _, p := range answer.Topics[topicOf(l.partitions)] {
		b.offsets[p.Partition] = p.LastOffset
	}
	if l.records == 0 {
		return nil
	}
	return produce(ctx, b, l)
}

func produce(ctx context.Context, b *broker, l load) error { return produceAs(ctx, b, l, 0) }

func produceSnappy(ctx context.Context, b *broker, l load) error {
	return produceAs(ctx, b, l, protocol.Snappy)
}

// produceAs writes the load's records, one batch a partition, and waits until they are durable.
func produceAs(ctx context.Context, b *broker, l load, attributes protocol.Attributes) error {
	value := make([]byte, recordSize)
	for i := range value {
		value[i] = byte('a' + i%17)
	}
	partitions := make([]produceapi.RequestPartition, l.partitions)
	for p := range partitions {
		records := make([]protocol.Record, l.records)
		for i := range records {
			records[i] = protocol.Record{Time: time.Now(), Key: protocol.NewBytes([]byte("app|user|device")), Value: protocol.NewBytes(value)}
		}
		partitions[p] = produceapi.RequestPartition{Partition: int32(p), RecordSet: protocol.RecordSet{
			Version: 2, Attributes: attributes, Records: protocol.NewRecordReader(records...),
		}}
	}
	answer, err := b.transport.RoundTrip(ctx, b.addr, &produceapi.Request{
		Acks: -1, Timeout: 5000, Topics: []produceapi.RequestTopic{{Topic: topicOf(l.partitions), Partitions: partitions}},
	})
	if err != nil {
		return err
	}
	for _, topic := range answer.(*produceapi.Response).Topics {
		for _, p := range topic.Partitions {
			if p.ErrorCode != 0 {
				return fmt.Errorf("partition %d: %w", p.Partition, kafka.Error(p.ErrorCode))
			}
		}
	}
	return nil
}

// fetch reads one batch of each partition.
func fetch(ctx context.Context, b *broker, l load) error {
	got, err := b.fetch(ctx, l)
	if want := l.partitions * l.records; err == nil && got < want {
		return fmt.Errorf("fetched %d of %d records", got, want)
	}
	return err
}

// fetchEnd finds nothing to read and does not wait.
func fetchEnd(ctx context.Context, b *broker, l load) error {
	_, err := b.fetch(ctx, l)
	return err
}

func (b *broker) fetch(ctx context.Context, l load) (int, error) {
	partitions := make([]fetchapi.RequestPartition, l.partitions)
	for p := range partitions {
		partitions[p] = fetchapi.RequestPartition{
			Partition: int32(p), CurrentLeaderEpoch: -1, FetchOffset: b.offsets[p], LogStartOffset: -1, PartitionMaxBytes: 1 << 20,
		}
	}
	answer, err := b.transport.RoundTrip(ctx, b.addr, &fetchapi.Request{
		ReplicaID: -1, MaxBytes: 8 << 20, SessionEpoch: -1,
		Topics: []fetchapi.RequestTopic{{Topic: topicOf(l.partitions), Partitions: partitions}},
	})
	if err != nil {
		return 0, err
	}
	got := 0
	for _, topic := range answer.(*fetchapi.Response).Topics {
		for _, p := range topic.Partitions {
			if p.ErrorCode != 0 {
				return got, fmt.Errorf("partition %d: %w", p.Partition, kafka.Error(p.ErrorCode))
			}
			n, err := drain(p.RecordSet.Records)
			if err != nil {
				return got, fmt.Errorf("partition %d: %w", p.Partition, err)
			}
			got += n
		}
	}
	return got, nil
}

// drain reads all records and gives their memory back.
func drain(records protocol.RecordReader) (n int, err error) {
	for records != nil {
		record, err := records.ReadRecord()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return n, err
		}
		for _, part := range []protocol.Bytes{record.Key, record.Value} {
			if part != nil {
				part.Close()
			}
		}
		n++
	}
	return n, nil
}
