package registry

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// markers names the epoch marker that stands next to a user's keys. A single node has one. A cluster has one in every
// slot: a script may only read keys of its own slot, a slot's marker is lost together with the slot's content, and it
// moves along when the cluster is resharded.
type markers struct {
	keys []string // by slot; one entry = one marker for everything
}

const slots = 16384

// markerKey names the epoch marker; on a cluster a colon and a tag follow.
const markerKey = "epoch"

func newMarkers(cluster bool) *markers {
	if !cluster {
		return &markers{keys: []string{markerKey}}
	}
	m := &markers{keys: make([]string, slots)}
	for n, missing := 0, slots; missing > 0; n++ {
		tag := strconv.Itoa(n)
		if at := &m.keys[slotOf(tag)]; *at == "" {
			*at = markerKey + ":{" + tag + "}"
			missing--
		}
	}
	return m
}

// of is the marker in the slot of a hash tag.
func (m *markers) of(tag string) string {
	if len(m.keys) == 1 {
		return m.keys[0]
	}
	return m.keys[slotOf(tag)]
}

// slotOf is the Redis Cluster slot of a hash tag: CRC16 (XMODEM) modulo 16384.
func slotOf(tag string) int {
	var crc uint16
	for i := range len(tag) {
		crc ^= uint16(tag[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % slots
}

// Complete sets the epoch marker on every master: the view is whole from now on. It is for a registry that is new on
// purpose; a lost one is whole after [Registry.CompleteRebuild].
func (r *Registry) Complete(ctx context.Context) error {
	since := r.opts.Now().UTC().Format(time.RFC3339)
	_, err := r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, key := range r.markers.keys {
			pipe.Set(ctx, key, since, 0)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("registry: set the epoch marker: %w", err)
	}
	return nil
}
