package stream

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxRawResponse bounds the response to a rawCall: metadata of thousands of partitions stays below it.
const maxRawResponse = 16 << 20

// rawCall sends a request that kafka-go does not know through kafka-go's connections.
type rawCall struct {
	kmsg.Request
	broker   int32 // noLeader = any
	clientID string
}

// ApiKey makes rawCall a protocol.Message.
func (c *rawCall) ApiKey() protocol.ApiKey { return protocol.ApiKey(c.Key()) }

// Broker makes the transport send the request there.
func (c *rawCall) Broker(cluster protocol.Cluster) (protocol.Broker, error) {
	if c.broker == noLeader {
		return protocol.Broker{ID: -1}, nil
	}
	b, ok := cluster.Brokers[c.broker]
	if !ok {
		return b, fmt.Errorf("broker %d is not known", c.broker)
	}
	return b, nil
}

// Required makes the connection hand itself to RawExchange.
func (*rawCall) Required(map[protocol.ApiKey]int16) bool { return true }

// rawAnswer is what a rawCall got.
type rawAnswer struct {
	kmsg.Response
}

// ApiKey makes rawAnswer a protocol.Message.
func (a *rawAnswer) ApiKey() protocol.ApiKey { return protocol.ApiKey(a.Key()) }

// RawExchange writes the request and reads the response.
func (c *rawCall) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	const correlation = 1 // one request is in flight on a connection
	req := kmsg.NewRequestFormatter(kmsg.FormatterClientID(c.clientID)).AppendRequest(nil, c.Request, correlation)
	if _, err := rw.Write(req); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(rw, size[:]); err != nil {
		return nil, unexpectedEOF(err)
	}
	n := int32(binary.BigEndian.Uint32(size[:]))
	if n < 4 || n > maxRawResponse {
		return nil, fmt.Errorf("response of %d bytes", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(rw, b); err != nil {
		return nil, unexpectedEOF(err)
	}
	r := reader{b: b}
	if id := r.int32(); id != correlation {
		return nil, fmt.Errorf("response to request %d, not to %d", id, correlation)
	}
	if c.IsFlexible() {
		r.skip(1) // tagged fields of the header, of which there are none
	}
	res := c.ResponseKind()
	if err := res.ReadFrom(r.b); err != nil {
		return nil, err
	}
	return &rawAnswer{res}, nil
}

// raw sends a request to a broker; noLeader = any.
func (c *Cluster) raw(ctx context.Context, broker int32, req kmsg.Request) (kmsg.Response, error) {
	res, err := c.transport.RoundTrip(ctx, c.addr, &rawCall{req, broker, c.clientID})
	if err != nil {
		return nil, err
	}
	return res.(*rawAnswer).Response, nil
}
