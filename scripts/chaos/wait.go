package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"
)

// freeAddr is an address of the loopback interface that nobody listens on, outside the range from which the system picks
// ports for outgoing connections: what is started again needs the port that it had.
func freeAddr() (string, error) {
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000))
		ln, err := net.Listen("tcp", addr)
		if err == nil && ln.Close() == nil {
			return addr, nil
		}
	}
	return "", errors.New("no free port between 20000 and 32000")
}

// sleep says whether it slept to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// eventually polls until check returns nil; its error says what was missing at the limit.
func eventually(ctx context.Context, limit, every time.Duration, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if !sleep(ctx, every) {
			return fmt.Errorf("waited %s for %s: %w", limit, what, err)
		}
	}
}
