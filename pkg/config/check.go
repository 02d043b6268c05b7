package config

import (
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// maxGrace leaves one of the fifteen seconds within which a process promises to end.
const maxGrace = 14 * time.Second

// minInFlightBytes holds a few of the largest records, of 1 MiB each.
const minInFlightBytes = 4 * MiB

// topicName is what Kafka takes in the name of a topic.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]*$`)

// check notes every value that is out of its range, and chooses the default app where there is only one.
func (c *Config) check(m *mistakes) {
	addresses(m, "kafka.brokers", c.Kafka.Brokers)
	if !topicName.MatchString(c.Kafka.Prefix) {
		m.add("kafka.prefix", "a topic's name takes letters, digits, full stop, underscore and hyphen")
	}
	if c.Kafka.Group == "" {
		m.add("kafka.group", "expected a name")
	}
	oneOf(m, "kafka.start", c.Kafka.Start, StartLatest, StartEarliest)
	atLeast(m, "kafka.max_age", c.Kafka.MaxAge, time.Second)

	addresses(m, "redis.addrs", c.Redis.Addrs)
	address(m, "api.listen", c.API.Listen)
	if c.API.TokensFile == "" {
		m.add("api.tokens_file", "expected a file name")
	}
	if c.Health.Listen != "" {
		address(m, "health.listen", c.Health.Listen)
	}
	c.checkDefaultApp(m)

	atLeast(m, "presence.foreground_lease", c.Presence.ForegroundLease, time.Second)
	atLeast(m, "presence.activity_limit", c.Presence.ActivityLimit, c.Presence.ForegroundLease)
	atLeast(m, "presence.max_lag", c.Presence.MaxLag, time.Millisecond)
	c.Retry.check(m)
	between(m, "brake.rejections", c.Brake.Rejections, 1, 100)
	between(m, "brake.percent", c.Brake.Percent, 1, 100)
	c.checkLanes(m)

	atLeast(m, "topics.partitions", c.Topics.Partitions, 1)
	atLeast(m, "topics.replication", c.Topics.Replication, 1)
	atLeast(m, "limits.in_flight", c.Limits.InFlight, 1)
	if c.Limits.InFlightBytes < minInFlightBytes {
		m.add("limits.in_flight_bytes", "expected at least 4MiB, for a few of the largest records")
	}
	c.Timeline.check(m)
	if c.Shutdown.Grace <= 0 || c.Shutdown.Grace > maxGrace {
		m.add("shutdown.grace", "expected more than 0s, at most %s", maxGrace)
	}
	oneOf(m, "log.level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf(m, "log.format", c.Log.Format, "json", "console")
}

func (c *Config) checkDefaultApp(m *mistakes) {
	if _, ok := c.Apps[c.DefaultApp]; ok {
		return
	}
	names := slices.Sorted(maps.Keys(c.Apps))
	switch {
	case c.DefaultApp != "":
		m.add("default_app", "%q is not one of the apps", c.DefaultApp)
	case len(names) == 1:
		c.DefaultApp = names[0]
	default:
		m.add("default_app", "with several apps one has to be named: %s", list(names))
	}
}

func (r Retry) check(m *mistakes) {
	if len(r.Delays) == 0 {
		m.add("retry.delays", "expected at least one delay")
	}
	for i, delay := range r.Delays {
		path := "retry.delays[" + strconv.Itoa(i) + "]"
		if delay < time.Second || delay%time.Second != 0 {
			m.add(path, "expected whole seconds, at least 1s: the delay is part of a topic's name")
		}
		if i > 0 && delay <= r.Delays[i-1] {
			m.add(path, "expected more than the delay before it")
		}
	}
	atLeast(m, "retry.max_attempts", r.MaxAttempts, 1)
	atLeast(m, "retry.park", r.Park, time.Second)
	atLeast(m, "retry.grace", r.Grace, 0)
}

const (
	minTimelineTTL   = time.Minute
	minTimelineBytes = 4 * MiB
	// minMessageBytes holds a few devices' events.
	minMessageBytes = 4 * KiB
)

func (t Timeline) check(m *mistakes) {
	atLeast(m, "timeline.ttl", t.TTL, minTimelineTTL)
	if t.Bytes < minTimelineBytes {
		m.add("timeline.bytes", "expected at least 4MiB")
	}
	if t.MessageBytes < minMessageBytes || t.MessageBytes > t.Bytes {
		m.add("timeline.message_bytes", "expected at least 4KiB, at most timeline.bytes")
	}
	if !(t.Sample >= 0 && t.Sample <= 1) { // nor no number
		m.add("timeline.sample", "expected a share from 0 to 1")
	}
	if len(t.Redis.Addrs) > 0 {
		addresses(m, "timeline.redis.addrs", t.Redis.Addrs)
	}
}

func (c *Config) checkLanes(m *mistakes) {
	for _, lane := range slices.Sorted(maps.Keys(c.Lanes)) {
		path := join("lanes", string(lane))
		if !slices.Contains(push.Lanes, lane) {
			m.add(path, "unknown key: the lanes are %s", list(push.Lanes))
		} else if weight := c.Lanes[lane]; weight < 1 || weight > 100 {
			m.add(path, "expected a weight from 1 to 100")
		}
	}
}

func addresses(m *mistakes, path string, all []string) {
	if len(all) == 0 {
		m.add(path, "expected at least one host:port")
	}
	for i, a := range all {
		address(m, path+"["+strconv.Itoa(i)+"]", a)
	}
}

func address(m *mistakes, path, a string) {
	_, port, err := net.SplitHostPort(a)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		m.add(path, "expected host:port, found %q", a)
	}
}

func oneOf[T ~string](m *mistakes, path string, value T, choices ...T) {
	if !slices.Contains(choices, value) {
		m.add(path, "expected one of %s", list(choices))
	}
}

func atLeast[T int | time.Duration](m *mistakes, path string, value, least T) {
	if value < least {
		m.add(path, "expected at least %v", least)
	}
}

func between(m *mistakes, path string, value, least, most int) {
	if value < least || value > most {
		m.add(path, "expected %d to %d", least, most)
	}
}
