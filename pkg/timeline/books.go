package timeline

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// booksKey names the hash that says how many bytes of each class were appended in each part of time, less those that were
// evicted from it. A part has a list of its own, of the timelines that began in it, the oldest first; it goes with them.
const booksKey = "eb"

const (
	// parts of a timeline's lifetime. What a part holds leaves the books at once, when the last of it has expired: so
	// the books may show up to a twenty-fourth too much.
	parts = 24
	// keyOverhead is what a timeline costs beside its value: the key, its expiry and its place in the list. 192 bytes in
	// Redis 7 (go test -run TestRedisTakesWhatTheBooksSay on a real one).
	keyOverhead = 192
	// evictKeys at a time: about 200 KB.
	evictKeys = 500
	// evictRounds bounds what one call makes room for: far more than it can have appended.
	evictRounds = 20
)

// books are what one call knows of the bytes in Redis.
type books struct {
	limit int64 // of each class
	ttl   time.Duration
	now   int64                    // the part of time
	kept  [classes]map[int64]int64 // bytes by part
	gone  []string                 // fields
	begun [classes][]any           // keys of new timelines
	added [classes]int64
}

func openBooks(fields map[string]string, opts Options) *books {
	width := max(opts.TTL.Milliseconds()/parts, 1)
	b := &books{limit: opts.Bytes / int64(classes), ttl: opts.TTL, now: opts.Now().UnixMilli() / width}
	for c := range b.kept {
		b.kept[c] = make(map[int64]int64)
	}
	for field, value := range fields {
		c, part, ok := readField(field)
		bytes, err := strconv.ParseInt(value, 10, 64)
		if !ok || err != nil || part < b.now-parts-1 {
			b.gone = append(b.gone, field)
			continue
		}
		b.kept[c][part] = bytes
	}
	return b
}

func fieldOf(c class, part int64) string {
	return strconv.Itoa(int(c)) + ":" + strconv.FormatInt(part, 10)
}

func readField(field string) (class, int64, bool) {
	c, part, _ := strings.Cut(field, ":")
	number, errClass := strconv.Atoi(c)
	at, errPart := strconv.ParseInt(part, 10, 64)
	return class(number), at, errClass == nil && errPart == nil && number >= 0 && number < int(classes)
}

// listOf names the list of the timelines of a class that began in a part of time.
func listOf(c class, part int64) string { return "el:" + fieldOf(c, part) }

// add notes what is appended to a line's timeline.
func (b *books) add(l *line, bytes int, begins bool) {
	if begins {
		bytes += keyOverhead
		b.begun[l.class] = append(b.begun[l.class], l.key)
	}
	b.added[l.class] += int64(bytes)
}

// write brings the books up to date.
func (b *books) write(ctx context.Context, pipe redis.Pipeliner) {
	for c := range classes {
		if b.added[c] > 0 {
			pipe.HIncrBy(ctx, booksKey, fieldOf(c, b.now), b.added[c])
			b.kept[c][b.now] += b.added[c]
		}
		if list := listOf(c, b.now); len(b.begun[c]) > 0 {
			pipe.RPush(ctx, list, b.begun[c]...)
			pipe.PExpire(ctx, list, b.ttl+2*b.ttl/parts)
		}
	}
	if len(b.gone) > 0 {
		pipe.HDel(ctx, booksKey, b.gone...)
	}
}

func (b *books) total(c class) int64 {
	var sum int64
	for _, bytes := range b.kept[c] {
		sum += bytes
	}
	return max(sum, 0)
}

// evict deletes the oldest timelines of a class until it is within its limit, and says how many.
func (b *books) evict(ctx context.Context, client redis.UniversalClient, c class) (uint64, error) {
	var evicted uint64
	for range evictRounds {
		if len(b.kept[c]) == 0 || b.total(c) <= b.limit {
			break
		}
		part := slices.Min(slices.Collect(maps.Keys(b.kept[c])))
		keys, err := client.LPopCount(ctx, listOf(c, part), evictKeys).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return evicted, err
		}
		if len(keys) == 0 { // what is left in the books belongs to timelines that began before
			delete(b.kept[c], part)
			if err := client.HDel(ctx, booksKey, fieldOf(c, part)).Err(); err != nil {
				return evicted, err
			}
			continue
		}
		n, err := b.unlink(ctx, client, c, part, keys)
		evicted += n
		if err != nil {
			return evicted, err
		}
	}
	return evicted, nil
}

// unlink deletes timelines and takes their bytes off the books.
func (b *books) unlink(ctx context.Context, client redis.UniversalClient, c class, part int64, keys []string) (uint64, error) {
	sizes := make([]*redis.IntCmd, len(keys))
	_, err := client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, key := range keys {
			sizes[i] = pipe.StrLen(ctx, key)
			pipe.Unlink(ctx, key)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	var freed int64
	var evicted uint64
	for _, size := range sizes {
		if size.Val() > 0 {
			freed += size.Val() + keyOverhead
			evicted++
		}
	}
	b.kept[c][part] -= freed
	return evicted, client.HIncrBy(ctx, booksKey, fieldOf(c, part), -freed).Err()
}
