package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Survey is what Redis holds, for people to look at. Counts and bytes are estimated from a sample where there are many
// keys; bytes are what Redis says of the keys, without its tables.
type Survey struct {
	Since   string                // when the epoch marker was set; "" = it is missing
	Keys    int64                 // of everything in Redis
	Kinds   map[string]KindSurvey // by prefix: see docs/decisions/registry-in-redis.md
	Devices int64
}

// KindSurvey is what one kind of keys takes.
type KindSurvey struct{ Keys, Bytes int64 }

// BytesPerDevice is what a device takes for good: its part of the user, of the settings and of its tokens' owners.
func (s *Survey) BytesPerDevice() float64 {
	if s.Devices == 0 {
		return 0
	}
	return float64(s.Kinds["u"].Bytes+s.Kinds["s"].Bytes+s.Kinds["t"].Bytes) / float64(s.Devices)
}

// surveySample is how many keys of each master are looked at.
const surveySample = 10_000

const surveyScan = 500 // keys in one step

// Survey looks at a sample of the keys of each master.
func (r *Registry) Survey(ctx context.Context) (Survey, error) {
	s := Survey{Kinds: make(map[string]KindSurvey)}
	since, err := r.client.Get(ctx, r.markers.keys[0]).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return s, fmt.Errorf("registry: read the epoch marker: %w", err)
	}
	s.Since = since
	var mu sync.Mutex
	err = r.eachMaster(ctx, func(ctx context.Context, node redis.Cmdable, _ string) error {
		one, err := surveyMaster(ctx, node)
		if err != nil {
			return fmt.Errorf("registry: survey: %w", err)
		}
		mu.Lock()
		defer mu.Unlock()
		s.Keys, s.Devices = s.Keys+one.Keys, s.Devices+one.Devices
		for kind, k := range one.Kinds {
			all := s.Kinds[kind]
			s.Kinds[kind] = KindSurvey{all.Keys + k.Keys, all.Bytes + k.Bytes}
		}
		return nil
	})
	return s, err
}

func surveyMaster(ctx context.Context, node redis.Cmdable) (Survey, error) {
	s := Survey{Kinds: make(map[string]KindSurvey)}
	keys, err := node.DBSize(ctx).Result()
	if err != nil {
		return s, err
	}
	var sampled int64
	for cursor := uint64(0); ; {
		found, next, err := node.Scan(ctx, cursor, "", surveyScan).Result()
		if err == nil {
			err = s.add(ctx, node, found)
		}
		if err != nil {
			return s, err
		}
		sampled += int64(len(found))
		if cursor = next; cursor == 0 || sampled >= surveySample {
			break
		}
	}
	s.Keys = keys
	if sampled > 0 && keys > sampled {
		scale := func(n int64) int64 { return int64(float64(n) * float64(keys) / float64(sampled)) }
		s.Devices = scale(s.Devices)
		for kind, k := range s.Kinds {
			s.Kinds[kind] = KindSurvey{scale(k.Keys), scale(k.Bytes)}
		}
	}
	return s, nil
}

// add counts keys. One that is gone meanwhile counts as nothing.
func (s *Survey) add(ctx context.Context, node redis.Cmdable, keys []string) error {
	sizes, users := make([]*redis.IntCmd, len(keys)), make([]*redis.StringCmd, len(keys))
	_, err := node.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, key := range keys {
			sizes[i] = pipe.MemoryUsage(ctx, key)
			if kindOf(key) == "u" {
				users[i] = pipe.Get(ctx, key)
			}
		}
		return nil
	})
	var answered redis.Error
	if err != nil && !errors.As(err, &answered) { // a server that has no such command says nothing of bytes
		return err
	}
	for i, key := range keys {
		kind := kindOf(key)
		k := s.Kinds[kind]
		s.Kinds[kind] = KindSurvey{k.Keys + 1, k.Bytes + sizes[i].Val()}
		if users[i] != nil {
			s.Devices += int64(strings.Count(users[i].Val(), record))
		}
	}
	return nil
}

// timelines is the kind of the keys in which the report role keeps timelines, where those have no Redis of their own.
const timelines = "timeline"

// kindOf is a key's prefix; timelines; "other" for what stands alone, and for what nobody here wrote.
func kindOf(key string) string {
	if key == "eb" || slices.Contains([]string{"er:", "ef:", "en:", "el:"}, key[:min(3, len(key))]) {
		return timelines
	}
	kind, _, ok := strings.Cut(key, ":{")
	switch kind {
	case "u", "s", "c", "b", "r", "y", "n", "t", "m", "g":
		if ok {
			return kind
		}
	}
	return "other"
}
