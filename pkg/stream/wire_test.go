package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kgo"
)

// encode returns one batch of values at offsets from 0, as kafka-go writes it.
func encode(t testing.TB, attributes protocol.Attributes, values ...string) []byte {
	t.Helper()
	var records []protocol.Record
	for i, v := range values {
		records = append(records, protocol.Record{
			Time: time.UnixMilli(1_790_000_000_000 + int64(i)), Key: protocol.NewBytes([]byte("k")),
			Value: protocol.NewBytes([]byte(v)), Headers: []Header{{Key: HeaderLane, Value: []byte("bulk")}, {Key: "x"}},
		})
	}
	var b bytes.Buffer
	set := protocol.RecordSet{Version: 2, Attributes: attributes, Records: protocol.NewRecordReader(records...)}
	if _, err := set.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()[4:]
}

// seal makes the checksum right again.
func seal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[batchCRCAt:], crc32.Checksum(b[batchAttributesAt:], castagnoli))
	return b
}

func decodeAll(b []byte, from int64) (values []string, d decoded) {
	d = reading{of: topicPartition{"t", 0}, win: newWindow(from, 1000, testLane()), from: from, givenUp: -1, end: 1 << 62, epoch: -1}.decode(b)
	for _, r := range d.records {
		values = append(values, string(r.Value))
	}
	return values, d
}

func TestBatchesAreReadWithEveryCodec(t *testing.T) {
	t.Parallel()
	for _, codec := range []protocol.Attributes{0, protocol.Gzip, protocol.Snappy, protocol.Lz4, protocol.Zstd} {
		b := encode(t, codec, "a", "", strings.Repeat("c", 5000))
		got, d := decodeAll(append(b, b[:30]...), 1) // a broker may cut the last batch
		if d.err != nil {
			t.Fatalf("%v: %v", codec, d.err)
		}
		if diff := cmp.Diff([]string{"", strings.Repeat("c", 5000)}, got); diff != "" {
			t.Errorf("%v: read from offset 1 (-want +got):\n%s", codec, diff)
		}
		r := d.records[1]
		if want := time.UnixMilli(1_790_000_000_002); !r.Time.Equal(want) || string(r.Key) != "k" || r.Offset != 2 {
			t.Errorf("%v: record is %v, %q, offset %d", codec, r.Time, r.Key, r.Offset)
		}
		if lane, ok := r.Header(HeaderLane); !ok || string(lane) != "bulk" {
			t.Errorf("%v: header is %q, %v", codec, lane, ok)
		}
		if d.next != 3 {
			t.Errorf("%v: goes on at %d, want 3", codec, d.next)
		}
	}
}

func TestReadingMovesPastBatchesWithoutRecords(t *testing.T) {
	t.Parallel()
	compacted := encode(t, 0, "a", "b")
	binary.BigEndian.PutUint32(compacted[batchAttributesAt+2:], 9) // the last offset stays when its record goes
	seal(compacted)
	control := encode(t, 0, "commit")
	binary.BigEndian.PutUint16(control[batchAttributesAt:], uint16(protocol.Control|protocol.Transactional))
	seal(control)
	tests := map[string]struct {
		batches []byte
		from    int64
		want    []string
		next    int64
	}{
		"compacted, from its start":          {compacted, 0, []string{"a", "b"}, 10},
		"compacted, from behind its records": {compacted, 2, nil, 10},
		"control batch":                      {control, 0, nil, 1},
		"nothing":                            {nil, 5, nil, 5},
	}
	for name, tt := range tests {
		got, d := decodeAll(tt.batches, tt.from)
		if d.err != nil || !cmp.Equal(tt.want, got) || d.next != tt.next {
			t.Errorf("%s: read %q, goes on at %d, %v; want %q and %d", name, got, d.next, d.err, tt.want, tt.next)
		}
	}
}

func TestLogAppendTimeIsTheBrokers(t *testing.T) {
	t.Parallel()
	b := encode(t, 0, "a")
	binary.BigEndian.PutUint16(b[batchAttributesAt:], uint16(logAppendTime))
	binary.BigEndian.PutUint64(b[batchAttributesAt+14:], 1_790_000_777_000) // max timestamp
	_, d := decodeAll(seal(b), 0)
	if want := time.UnixMilli(1_790_000_777_000); d.err != nil || !d.records[0].Time.Equal(want) {
		t.Errorf("time is %v, %v; want %v", d.records[0].Time, d.err, want)
	}
}

func TestDamagedBatchesAreErrorsAndNotRecords(t *testing.T) {
	t.Parallel()
	good := encode(t, 0, "a")
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	old := bytes.Clone(good)
	old[batchMagicAt] = 1
	short := seal(bytes.Clone(good))
	binary.BigEndian.PutUint32(short[batchHeaderSize-4:], 3) // claims three records
	seal(short)
	for name, b := range map[string][]byte{"a flipped bit": flipped, "an old format": old, "too few records": short} {
		first := append(bytes.Clone(good), b...)
		binary.BigEndian.PutUint64(first[len(good):], 1)
		got, d := decodeAll(first, 0)
		if d.err == nil {
			t.Errorf("%s: no error", name)
		}
		if len(got) == 0 || got[0] != "a" {
			t.Errorf("%s: read %q, want what stands before it", name, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(f, 0, "a", "b"))
	f.Add(encode(f, protocol.Snappy, "a", "b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > batchHeaderSize {
			seal(b) // or nothing behind the checksum is ever reached
		}
		_, d := decodeAll(b, 0)
		if d.next < 0 {
			t.Errorf("goes on at %d", d.next)
		}
		if d.err == nil {
			return
		}
		// What cannot be read becomes a record, so that reading goes on behind it.
		again := reading{of: topicPartition{"t", 0}, win: newWindow(d.next, 1000, testLane()), from: d.next, givenUp: d.next, end: 1 << 40, epoch: -1}.decode(b)
		if again.needs == 0 && again.next <= d.next {
			t.Errorf("stays at %d: %v", d.next, d.err)
		}
		for i, r := range again.records {
			if i > 0 && r.Offset <= again.records[i-1].Offset {
				t.Errorf("offset %d follows %d", r.Offset, again.records[i-1].Offset)
			}
		}
	})
}

func FuzzParseFetch(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, int16(11))
	f.Add(fetchResponse("im.messages", 3, encode(f, protocol.Snappy, "a", "b")), int16(11))
	f.Fuzz(func(t *testing.T, b []byte, version int16) {
		a, err := parseFetch(b, 4+version&7)
		if err != nil {
			return
		}
		size := 0
		for _, p := range a.partitions {
			size += len(p.batches)
		}
		if size > len(b) {
			t.Errorf("%d bytes of batches in a response of %d", size, len(b))
		}
	})
}

// fetchResponse is one of version 11, without its size and correlation id.
func fetchResponse(topic string, partition int32, batches []byte) []byte {
	b := make([]byte, 10) // throttle time, error, session
	b = binary.BigEndian.AppendUint32(b, 1)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(topic))), topic...)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(partition))
	b = binary.BigEndian.AppendUint16(b, 0)
	for _, offset := range []uint64{42, 42, 0} { // high watermark, last stable offset, log start
		b = binary.BigEndian.AppendUint64(b, offset)
	}
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, 1<<32-1) // no preferred replica
	return append(binary.BigEndian.AppendUint32(b, uint32(len(batches))), batches...)
}

func TestAFetchResponseIsReadWhole(t *testing.T) {
	t.Parallel()
	batches := encode(t, 0, "a")
	a, err := parseFetch(fetchResponse("im.messages", 3, batches), 11)
	want := topicPartition{"im.messages", 3}
	if err != nil || len(a.partitions) != 1 || a.partitions[0].topicPartition != want || a.partitions[0].highWatermark != 42 ||
		!bytes.Equal(a.partitions[0].batches, batches) {
		t.Errorf("%+v, %v", a, err)
	}
}

// FuzzRecordHeaders writes a record with two headers by kafka-go and reads it here.
func FuzzRecordHeaders(f *testing.F) {
	f.Add(HeaderAttempt, []byte("1"), "", []byte(nil), byte(0))
	f.Add("Content-Type", []byte("application/json"), HeaderOrigin, []byte("im.messages/2/17"), byte(2))
	f.Fuzz(func(t *testing.T, k1 string, v1 []byte, k2 string, v2 []byte, codec byte) {
		want := []Header{{Key: k1, Value: v1}, {Key: k2, Value: v2}}
		var b bytes.Buffer
		set := protocol.RecordSet{Version: 2, Attributes: protocol.Attributes(codec % 5),
			Records: protocol.NewRecordReader(protocol.Record{Value: protocol.NewBytes([]byte("v")), Headers: want})}
		if _, err := set.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		d := reading{of: topicPartition{"t", 0}, win: newWindow(0, 10, testLane()), from: 0, givenUp: -1, end: 1, epoch: -1}.decode(b.Bytes()[4:])
		if d.err != nil || len(d.records) != 1 {
			t.Fatalf("%d records, %v", len(d.records), d.err)
		}
		if diff := cmp.Diff(want, d.records[0].Headers, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestARecordOfEndlessHeadersIsHandedOnAsItsBytes(t *testing.T) {
	t.Parallel()
	for headers, whole := range map[int]bool{maxHeaders: true, maxHeaders + 1: false} {
		var b bytes.Buffer
		set := protocol.RecordSet{Version: 2, Records: protocol.NewRecordReader(
			protocol.Record{Value: protocol.NewBytes([]byte("first")), Headers: make([]Header, headers)},
			protocol.Record{Value: protocol.NewBytes([]byte("second"))})}
		if _, err := set.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		got, d := decodeAll(b.Bytes()[4:], 0)
		if d.err != nil || len(got) != 2 || got[1] != "second" {
			t.Fatalf("%d headers: read %d records, %v", headers, len(got), d.err)
		}
		if r := d.records[0]; whole != (got[0] == "first") || whole != (len(r.Headers) == headers) || !whole && got[0][0] != 0 {
			t.Errorf("%d headers: the record has %d, value %.20q", headers, len(r.Headers), got[0])
		}
	}
}

func TestBrokerWritesRetryTopicsWithItsOwnTime(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	if l.fake != nil {
		t.Skip("kfake leaves the producer's time: see docs/decisions")
	}
	topic := l.topic(1, kafka.ConfigEntry{ConfigName: "message.timestamp.type", ConfigValue: "LogAppendTime"})
	before := time.Now().Truncate(time.Millisecond)
	client := l.kgo()
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("x"), Timestamp: time.UnixMilli(1)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	err := l.cluster.Scan(t.Context(), topic, nil, func(r *Record) bool {
		if r.Time.Before(before) {
			t.Errorf("time is %v, want when it was appended", r.Time)
		}
		return true
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTransactionMarkersAreSteppedOver(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	topic := l.topic(1)
	client := l.kgo(kgo.TransactionalID(topic))
	for i := range 3 {
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		r := &kgo.Record{Topic: topic, Value: []byte(fmt.Sprint(i))}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := client.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
	m := l.run(SourceConfig{Group: "txn-" + topic, Lanes: []Lane{{Topics: []string{topic}}}}, nil)
	eventually(t, "the position is behind the last marker", func() bool {
		return l.committedOffsets("txn-"+topic, topic, 1)[0] == 6
	})
	if diff := cmp.Diff([]string{"0", "1", "2"}, m.values()[0]); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	// Three more fetches at the tail take two long polls at least: it does not spin on the marker.
	fetches, began := m.Stats().Fetches, time.Now()
	eventually(t, "three more fetches", func() bool { return m.Stats().Fetches >= fetches+3 })
	if took := time.Since(began); took < fetchWait {
		t.Errorf("three fetches at the tail took %v, want long polls of %v", took, fetchWait)
	}
	if got := l.scanAll(topic)[0]; !cmp.Equal([]string{"0", "1", "2"}, got) {
		t.Errorf("scanned %q", got)
	}
}

// kgo is another client's producer, for what ours does not write.
func (l *lab) kgo(opts ...kgo.Opt) *kgo.Client {
	l.t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(l.addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(client.Close)
	return client
}

func TestCompactedTopicIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	l := newFakeLab(t, 1)
	topic := l.topic(1, kafka.ConfigEntry{ConfigName: "cleanup.policy", ConfigValue: "compact"})
	p := l.publisher()
	l.publish(p, topic, 0, numbered(0, 50)...)
	l.publish(p, topic, 0, "last")
	l.fake.Cluster().Compact()
	if got := l.scanAll(topic)[0]; len(got) == 0 || len(got) > 10 || got[len(got)-1] != "last" {
		t.Errorf("scanned %q", got)
	}
	m := l.run(SourceConfig{Group: "compact", Lanes: []Lane{{Topics: []string{topic}}}}, nil)
	eventually(t, "it is read to its end", func() bool { return l.committedOffsets("compact", topic, 1)[0] == 51 })
	if got := m.values()[0]; len(got) == 0 || got[len(got)-1] != "last" {
		t.Errorf("read %q", got)
	}
}

func TestScanOfRanges(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	topic := l.topic(3)
	p := l.publisher()
	for id := range int32(3) {
		l.publish(p, topic, id, numbered(0, 20)...)
	}
	scan := func(ranges []Range, limit int) map[int32][]string {
		t.Helper()
		out := map[int32][]string{}
		n := 0
		err := l.cluster.Scan(t.Context(), topic, ranges, func(r *Record) bool {
			out[r.Partition] = append(out[r.Partition], string(r.Value))
			n++
			return n != limit
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	tests := map[string]struct {
		ranges []Range
		want   map[int32][]string
	}{
		"everything":       {nil, map[int32][]string{0: numbered(0, 20), 1: numbered(0, 20), 2: numbered(0, 20)}},
		"one record":       {[]Range{{1, 7, 8}}, map[int32][]string{1: numbered(7, 8)}},
		"a tail":           {[]Range{{2, 15, -1}}, map[int32][]string{2: numbered(15, 20)}},
		"behind the end":   {[]Range{{2, 20, 90}}, map[int32][]string{}},
		"from two of them": {[]Range{{0, -1, 2}, {2, 18, 90}}, map[int32][]string{0: numbered(0, 2), 2: numbered(18, 20)}},
	}
	for name, tt := range tests {
		if diff := cmp.Diff(tt.want, scan(tt.ranges, -1)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := scan([]Range{{0, -1, -1}}, 5)[0]; !cmp.Equal(numbered(0, 5), got) {
		t.Errorf("stopped after 5: %q", got)
	}
	if err := l.cluster.Scan(t.Context(), "absent-"+topic, nil, nil); !errors.Is(err, ErrNoTopic) {
		t.Errorf("of a topic that does not exist: %v", err)
	}
	if err := l.cluster.Scan(t.Context(), topic, []Range{{3, 0, 1}}, nil); err == nil {
		t.Error("of a partition that does not exist: no error")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.cluster.Scan(ended, topic, nil, nil); err == nil {
		t.Error("after its context ended: no error")
	}
}

func TestHeadAndLag(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	topic := l.topic(3)
	p := l.publisher()
	l.publish(p, topic, 0, numbered(0, 5)...)
	l.publish(p, topic, 1, numbered(0, 5)...)
	group := "head-" + topic
	commit(t, l, group, topic, 0, 5)
	commit(t, l, group, topic, 1, 3)
	heads, err := l.cluster.Head(t.Context(), group, topic)
	if err != nil {
		t.Fatal(err)
	}
	want := []PartitionLag{
		{Topic: topic, Partition: 0, Committed: 5, End: 5},
		{Topic: topic, Partition: 1, Committed: 3, End: 5, Lag: 2},
		{Topic: topic, Partition: 2, Committed: -1},
	}
	for i, h := range heads {
		if diff := cmp.Diff(want[i], h.PartitionLag); diff != "" {
			t.Errorf("partition %d (-want +got):\n%s", i, diff)
		}
		if old := time.Since(h.Oldest) < time.Minute; old != (i == 1) {
			t.Errorf("partition %d: oldest unread %v", i, h.Oldest)
		}
	}
	rows, err := l.cluster.Lag(t.Context(), "new-"+topic, []string{"absent-" + topic, topic})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 || rows[0].Lag != 5 || rows[0].Committed != -1 {
		t.Errorf("lag of a group that has read nothing: %+v", rows)
	}
}
