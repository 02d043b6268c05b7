package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

// maxFetchResponse bounds what a broker can make us read at once. Brokers send one batch even where it is larger than
// what was asked for, so it lies far above any request's MaxBytes.
const maxFetchResponse = 256 << 20

// fetchPartition asks for one partition.
type fetchPartition struct {
	topicPartition
	offset   int64
	maxBytes int32
}

// fetched is a broker's answer for one partition. batches is valid until the answer is released.
type fetched struct {
	topicPartition
	err           error
	highWatermark int64
	batches       []byte
}

// answer is a whole fetch response.
type answer struct {
	partitions []fetched
	buffer     *[]byte
}

// ApiKey makes answer a protocol.Message.
func (*answer) ApiKey() protocol.ApiKey { return protocol.Fetch }

// release gives the buffer back; no batches may be used after it.
func (a *answer) release() {
	if a.buffer != nil && cap(*a.buffer) <= 4<<20 {
		fetchBuffers.Put(a.buffer)
	}
	a.buffer = nil
}

// fetchBuffers holds response buffers: without it every poll would make garbage of its response's size.
var fetchBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 64<<10); return &b }}

// fetch asks one broker for all the partitions in one request. They must have the same leader; a request that does not
// fit the transport's view of the leaders fails before it is sent.
func (c *Cluster) fetch(ctx context.Context, partitions []fetchPartition, wait time.Duration, maxBytes int32) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+requestTimeout)
	defer cancel()
	req := fetch.Request{
		ReplicaID: -1, SessionID: -1, SessionEpoch: -1, // no fetch session
		MaxWaitTime: int32(wait.Milliseconds()), MinBytes: 1, MaxBytes: maxBytes,
	}
	at := make(map[string]int, 4)
	for _, p := range partitions {
		i, ok := at[p.topic]
		if !ok {
			i = len(req.Topics)
			at[p.topic] = i
			req.Topics = append(req.Topics, fetch.RequestTopic{Topic: p.topic})
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, fetch.RequestPartition{
			Partition: p.partition, CurrentLeaderEpoch: -1, FetchOffset: p.offset, LogStartOffset: -1,
			PartitionMaxBytes: p.maxBytes,
		})
	}
	res, err := c.transport.RoundTrip(ctx, c.addr, &fetchCall{Request: &req, clientID: c.clientID})
	if err != nil {
		return nil, err
	}
	a := res.(*answer)
	a.topicNames(req.Topics)
	return a, nil
}

// topicNames replaces the names that were read by those of the request, so that they are not held with the response.
func (a *answer) topicNames(topics []fetch.RequestTopic) {
	for i := range a.partitions {
		for _, t := range topics {
			if t.Topic == a.partitions[i].topic {
				a.partitions[i].topic = t.Topic
			}
		}
	}
}

// fetchCall sends kafka-go's fetch request through kafka-go's connections and reads the response itself, because
// kafka-go's own decoder drops two things that reading depends on: where a batch ends (without it a compacted batch
// whose last record is gone is fetched for ever) and when the broker appended it.
type fetchCall struct {
	*fetch.Request
	clientID string
	version  int16
}

// Required is called with the versions that the connection has negotiated, right before RawExchange.
func (f *fetchCall) Required(versions map[protocol.ApiKey]int16) bool {
	f.version = versions[protocol.Fetch]
	return true
}

// RawExchange writes the request and reads the response.
func (f *fetchCall) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if f.version < 4 {
		return nil, fmt.Errorf("broker speaks fetch version %d, too old: Kafka 0.11 is the oldest", f.version)
	}
	// One request is in flight on a connection, so any correlation id will do.
	const correlation = 1
	if err := protocol.WriteRequest(rw, f.version, correlation, f.clientID, f.Request); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(rw, size[:]); err != nil {
		return nil, unexpectedEOF(err)
	}
	n := int32(binary.BigEndian.Uint32(size[:]))
	if n < 8 || n > maxFetchResponse {
		return nil, fmt.Errorf("fetch response of %d bytes", n)
	}
	buffer := fetchBuffers.Get().(*[]byte)
	if cap(*buffer) < int(n) {
		*buffer = make([]byte, n)
	}
	b := (*buffer)[:n]
	*buffer = b
	if _, err := io.ReadFull(rw, b); err != nil {
		return nil, unexpectedEOF(err)
	}
	if id := binary.BigEndian.Uint32(b); id != correlation {
		return nil, fmt.Errorf("fetch response to request %d, not to %d", id, correlation)
	}
	a, err := parseFetch(b[4:], f.version)
	if err != nil {
		return nil, err
	}
	a.buffer = buffer
	return a, nil
}

func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseFetch reads a fetch response of version 4 to 11, without its size and correlation id.
func parseFetch(b []byte, version int16) (*answer, error) {
	r := reader{b: b}
	r.skip(4) // throttle time
	if version >= 7 {
		if code := r.int16(); code != 0 {
			return nil, kafka.Error(code)
		}
		r.skip(4) // session
	}
	a := &answer{}
	for range r.count() {
		topic := string(r.bytes(int(r.int16())))
		for range r.count() {
			p := fetched{topicPartition: topicPartition{topic, r.int32()}}
			if code := r.int16(); code != 0 {
				p.err = kafka.Error(code)
			}
			p.highWatermark = r.int64()
			r.skip(8) // last stable offset
			if version >= 5 {
				r.skip(8) // log start offset
			}
			for range r.count() { // aborted transactions: pid and first offset
				r.skip(16)
			}
			if version >= 11 {
				r.skip(4) // preferred read replica
			}
			p.batches = r.bytes(max(0, int(r.int32())))
			if r.failed {
				return nil, errors.New("fetch response is cut short")
			}
			a.partitions = append(a.partitions, p)
		}
	}
	if r.failed {
		return nil, errors.New("fetch response is cut short")
	}
	return a, nil
}

// reader reads big-endian fields; after a failure it returns zeros.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.failed, r.b = true, nil
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) skip(n int) { r.bytes(n) }

func (r *reader) int16() int16 {
	if b := r.bytes(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.bytes(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.bytes(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// count is the length of an array, -1 for null. Every element takes at least a byte, which bounds a loop over it.
func (r *reader) count() int {
	n := int(r.int32())
	if n > len(r.b) {
		r.failed, r.b = true, nil
		return 0
	}
	return max(n, 0)
}

// varint reads a zigzag-encoded number.
func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// varbytes reads a length and that many bytes; nil for a length of -1.
func (r *reader) varbytes() []byte {
	n := r.varint()
	if n == -1 {
		return nil
	}
	if n < 0 || n > math.MaxInt32 {
		r.failed, r.b = true, nil
		return nil
	}
	return r.bytes(int(n))
}
