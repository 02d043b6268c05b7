package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/pushfleet/pushfleet/pkg/registry/redistest"
)

// redisServer is a real Redis. It writes each command to its append-only file before it answers: what a client was told
// outlives SIGKILL, though not a power cut.
type redisServer struct {
	*redistest.Server
	wiped int
}

func startRedis(ctx context.Context) (*redisServer, error) {
	s, err := redistest.Start(ctx, "--appendonly", "yes", "--appendfsync", "no")
	if err != nil {
		return nil, err
	}
	return &redisServer{Server: s}, nil
}

// wipe starts it again with an append-only file that holds nothing.
func (r *redisServer) wipe(ctx context.Context) error {
	r.wiped++
	return r.Restart(ctx, "--appenddirname", fmt.Sprintf("wiped-%d", r.wiped))
}

// version is what the server says of itself.
func (r *redisServer) version(ctx context.Context) string {
	info, err := r.Do(ctx, "INFO", "server")
	if err != nil {
		return "unknown"
	}
	_, rest, _ := strings.Cut(info, "redis_version:")
	version, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(version)
}
