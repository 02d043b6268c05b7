// Package embedded is a Kafka inside the process.
package embedded

import (
	"errors"
	"time"
)

// Config of the broker.
type Config struct {
	DataDir           string        // "" = in memory
	Addr              string        // host:port on the loopback interface; "" = a free port
	Brokers           int           // 1
	MinSessionTimeout time.Duration // of consumer groups; 0 = 1 s
}

// Broker is a running Kafka.
type Broker struct{}

// Start starts it.
func Start(cfg Config) (*Broker, error) { return nil, errors.ErrUnsupported }

// Addr is host:port.
func (b *Broker) Addr() string { return "" }

// Close stops it.
func (b *Broker) Close() {}
