package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"
)

// Offsets of the fields of a record batch, format version 2.
const (
	batchLengthAt     = 8
	batchMagicAt      = 16
	batchCRCAt        = 17
	batchAttributesAt = 21
	batchHeaderSize   = 61

	logAppendTime protocol.Attributes = 1 << 3
)

// maxBatchBytes bounds a batch after decompression: larger than any topic of ours takes, small enough that a hostile
// batch cannot exhaust the process.
const maxBatchBytes = 64 << 20

var errCutShort = errors.New("record batch is cut short")

// castagnoli is the polynomial of the batches' checksum.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch is the header of one record batch, and its records as they were sent.
type batch struct {
	first, last    int64 // offsets; last is kept when compaction removes the last record
	epoch          int32 // of the leader that appended it
	attributes     protocol.Attributes
	firstTimestamp int64
	maxTimestamp   int64
	count          int
	crc            uint32
	whole          []byte // as it was sent
	checked        []byte // what the checksum covers
	records        []byte
}

// damage says that a batch cannot be read. Asking for it again helps only where it was sent wrongly.
type damage struct {
	first int64 // the batch's offset
	cause error
}

func (d *damage) Error() string {
	return fmt.Sprintf("record batch at offset %d: %v", d.first, d.cause)
}
func (d *damage) Unwrap() error { return d.cause }

var (
	errChecksum    = errors.New("checksum does not match")
	errCompression = errors.New("unknown compression")
)

// nextBatch takes the first batch off b. ok is false at the end, where a broker may have left a part of a batch. An error
// is about that batch alone.
func nextBatch(b []byte) (out batch, rest []byte, ok bool, err error) {
	if len(b) < batchMagicAt+1 {
		return batch{}, nil, false, nil
	}
	length := int(int32(binary.BigEndian.Uint32(b[batchLengthAt:])))
	end := batchLengthAt + 4 + length
	if length < 0 || end > len(b) {
		return batch{}, nil, false, nil
	}
	r := reader{b: b[:end]}
	out.whole, out.first = b[:end], r.int64()
	out.last = out.first
	if magic := b[batchMagicAt]; magic != 2 {
		return out, b[end:], true, &damage{out.first, fmt.Errorf("format %d is not supported", magic)}
	}
	if end < batchHeaderSize {
		return out, b[end:], true, &damage{out.first, errCutShort}
	}
	r.skip(4) // length
	out.epoch = r.int32()
	r.skip(1) // magic
	out.crc = uint32(r.int32())
	out.checked = r.b
	out.attributes = protocol.Attributes(r.int16())
	out.last = out.first + int64(r.int32())
	out.firstTimestamp = r.int64()
	out.maxTimestamp = r.int64()
	r.skip(14) // producer id, epoch and sequence
	out.count = int(r.int32())
	out.records = r.b
	return out, b[end:], true, nil
}

// each calls fn for every record from offset from on, until fn returns false. A control batch has none. The record is
// fn's to keep. An error is a damage.
func (b *batch) each(topic string, partition int32, from int64, fn func(*Record) bool) error {
	if b.attributes.Control() || b.last < from {
		return nil
	}
	if crc32.Checksum(b.checked, castagnoli) != b.crc {
		return &damage{b.first, errChecksum}
	}
	data := b.records
	if codec := b.attributes.Compression().Codec(); codec != nil {
		scratch := batchBuffers.Get().(*bytes.Buffer)
		defer putBatchBuffer(scratch)
		scratch.Reset()
		if err := decompress(scratch, codec, data); err != nil {
			return &damage{b.first, err}
		}
		data = scratch.Bytes()
	} else if b.attributes.Compression() != compress.None {
		return &damage{b.first, errCompression}
	}
	r := reader{b: data}
	for range b.count {
		body := reader{b: r.varbytes()}
		if r.failed {
			return &damage{b.first, errCutShort}
		}
		rec, err := b.record(&body, from)
		if err != nil {
			return &damage{b.first, err}
		}
		if rec == nil {
			continue
		}
		rec.Topic, rec.Partition = topic, partition
		if !fn(rec) {
			return nil
		}
	}
	return nil
}

// salvage makes one record of a batch that cannot be read, at the first of its offsets that was not read yet: its value
// is the batch as it stands in the log. That is no value of ours: it begins with a zero byte, as the offset does, so it
// becomes a dead letter of whoever reads it.
func (b *batch) salvage(topic string, partition int32, from int64) *Record {
	value := bytes.Clone(b.whole)
	return &Record{Topic: topic, Partition: partition, Offset: max(from, b.first), Time: time.UnixMilli(b.maxTimestamp),
		Value: value, size: len(value) + recordOverhead}
}

// record reads one record; nil where it lies before from.
func (b *batch) record(r *reader, from int64) (*Record, error) {
	body := r.b
	r.skip(1) // attributes, unused by Kafka
	stamp := b.firstTimestamp + r.varint()
	offset := b.first + r.varint()
	if offset < from {
		return nil, nil
	}
	if b.attributes&logAppendTime != 0 {
		stamp = b.maxTimestamp
	}
	rec := &Record{Offset: offset, Time: time.UnixMilli(stamp)}
	whole := len(r.b)
	key, value := r.varbytes(), r.varbytes()
	n := r.varint()
	if r.failed || n < 0 || n > int64(len(r.b)) {
		return nil, errCutShort
	}
	if n > maxHeaders {
		rec.Value, rec.size = bytes.Clone(body), len(body)+recordOverhead
		return rec, nil
	}
	// One allocation for the record's bytes: a slow record then holds its own bytes and not its batch's.
	own := make([]byte, 0, whole)
	keep := func(p []byte) []byte {
		if p == nil {
			return nil
		}
		at := len(own)
		own = append(own, p...)
		return own[at:len(own):len(own)]
	}
	rec.Key, rec.Value = keep(key), keep(value)
	if n > 0 {
		rec.Headers = make([]Header, n)
		for i := range rec.Headers {
			rec.Headers[i] = Header{Key: headerName(r.varbytes()), Value: keep(r.varbytes())}
		}
	}
	if r.failed {
		return nil, errCutShort
	}
	rec.size = whole + recordOverhead + len(rec.Headers)*headerOverhead
	return rec, nil
}

// maxHeaders is far more than anybody writes. A header that takes two bytes in the log takes 40 here: a record with more
// is handed on as the bytes of its body, which no reader understands, so it becomes a dead letter.
const maxHeaders = 1000

// headerOverhead is what a header costs besides its value.
const headerOverhead = 40

// headerName saves an allocation for the names that nearly every record has.
func headerName(b []byte) string {
	switch string(b) {
	case HeaderID:
		return HeaderID
	case HeaderLane:
		return HeaderLane
	case HeaderAttempt:
		return HeaderAttempt
	case HeaderNotBefore:
		return HeaderNotBefore
	case HeaderFirstSeen:
		return HeaderFirstSeen
	case HeaderReason:
		return HeaderReason
	case HeaderAnswer:
		return HeaderAnswer
	case HeaderOrigin:
		return HeaderOrigin
	case HeaderRedrive:
		return HeaderRedrive
	case HeaderTraceparent:
		return HeaderTraceparent
	}
	return string(b)
}

// batchBuffers holds what batches are decompressed into.
var batchBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func putBatchBuffer(b *bytes.Buffer) {
	if b.Cap() <= 4<<20 {
		batchBuffers.Put(b)
	}
}

func decompress(into *bytes.Buffer, codec compress.Codec, data []byte) error {
	r := codec.NewReader(bytes.NewReader(data))
	defer r.Close()
	n, err := into.ReadFrom(io.LimitReader(r, maxBatchBytes+1))
	if err != nil {
		return err
	}
	if n > maxBatchBytes {
		return fmt.Errorf("larger than %d bytes", maxBatchBytes)
	}
	return nil
}
