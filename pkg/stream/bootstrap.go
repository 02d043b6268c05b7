package stream

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"github.com/segmentio/kafka-go"
)

// dialTimeout bounds the opening of a connection, also to a broker that accepts it and says nothing.
const dialTimeout = 3 * time.Second

// anyBroker is the one address that kafka-go's ConsumerGroup is given. It tries its addresses in their order and sticks
// to the first that takes a connection, which a broker that is frozen does, and a proxy before one that is dead.
const anyBroker = "any.broker.invalid:9092"

// groupDialer opens the consumer groups' connections: to anyBroker by any of the addresses, another one each time.
func (c *Cluster) groupDialer() *kafka.Dialer {
	direct := &net.Dialer{Timeout: dialTimeout}
	return &kafka.Dialer{
		ClientID: c.clientID, Timeout: dialTimeout,
		DialFunc: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != anyBroker {
				return direct.DialContext(ctx, network, address)
			}
			var errs []error
			for _, i := range rand.Perm(len(c.brokers)) {
				conn, err := direct.DialContext(ctx, network, c.brokers[i])
				if err == nil {
					return conn, nil
				}
				errs = append(errs, err)
			}
			return nil, errors.Join(errs...)
		},
	}
}
