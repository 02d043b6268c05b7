package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// An offset says little about a record once a log has lost its tail, or its topic was made anew: other records may stand
// there. So a log is asked whether it is still the one that was read: by its topic's id, and by where the leader epoch of
// the last record that was read ends in it (KIP-320). That happens when a generation begins, when a partition could not be
// read for a moment, and when records of another leader epoch come; topics are looked at every few seconds besides. Brokers
// older than Kafka 2.8 do not know topics' ids; with them only offsets count.

// topicID tells a topic from another one of its name; zero = not known.
type topicID [16]byte

// lineageTimeout bounds each question: reading waits for the answer.
const lineageTimeout = 3 * time.Second

// Versions of the requests: the first ones of metadata with a topic's id, and of epochs for consumers (Kafka 2.8, 2.3).
const (
	metadataWithIDs  = 10
	epochsOfConsumer = 3
)

// topicIDs asks a broker for the topics' ids, [noLeader] = any; what it does not know is left out.
func (c *Cluster) topicIDs(ctx context.Context, broker int32, topics []string) (map[string]topicID, error) {
	ctx, cancel := context.WithTimeout(ctx, lineageTimeout)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = metadataWithIDs
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		req.Topics = append(req.Topics, t)
	}
	res, err := c.raw(ctx, broker, req)
	if err != nil {
		return nil, fmt.Errorf("ids of topics: %w", err)
	}
	ids := map[string]topicID{}
	for _, t := range res.(*kmsg.MetadataResponse).Topics {
		if t.ErrorCode == 0 && t.Topic != nil {
			ids[*t.Topic] = t.TopicID
		}
	}
	return ids, nil
}

// epochEnds asks a broker, of partitions that it leads, for the offset behind the last record of a leader epoch, or of the
// newest epoch before it; -1 = its log has none of them. What it does not answer is an error of its partition.
func (c *Cluster) epochEnds(ctx context.Context, leader int32, epochs map[topicPartition]int32) (map[topicPartition]int64, map[topicPartition]error) {
	ctx, cancel := context.WithTimeout(ctx, lineageTimeout)
	defer cancel()
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.Version, req.ReplicaID = epochsOfConsumer, -1
	failed := make(map[topicPartition]error, len(epochs))
	for of, epoch := range epochs {
		failed[of] = errNotAnswered
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = of.partition, -1, epoch
		t := kmsg.NewOffsetForLeaderEpochRequestTopic()
		t.Topic, t.Partitions = of.topic, append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
	}
	res, err := c.raw(ctx, leader, req)
	if err != nil {
		for of := range failed {
			failed[of] = fmt.Errorf("end of a leader epoch: %w", err)
		}
		return nil, failed
	}
	ends := make(map[topicPartition]int64, len(epochs))
	for _, t := range res.(*kmsg.OffsetForLeaderEpochResponse).Topics {
		for _, p := range t.Partitions {
			of := topicPartition{t.Topic, p.Partition}
			if p.ErrorCode != 0 {
				failed[of] = kafka.Error(p.ErrorCode)
				continue
			}
			delete(failed, of)
			ends[of] = p.EndOffset
		}
	}
	return ends, failed
}

// lineageKnown says whether the brokers answer both questions. It asks once.
func (c *Cluster) lineageKnown(ctx context.Context) (bool, error) {
	switch c.lineage.Load() {
	case lineageAnswered:
		return true, nil
	case lineageTooOld:
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lineageTimeout)
	defer cancel()
	res, err := c.client.ApiVersions(ctx, &kafka.ApiVersionsRequest{})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		return false, fmt.Errorf("versions of the broker: %w", err)
	}
	newest := map[int]int{}
	for _, k := range res.ApiKeys {
		newest[k.ApiKey] = k.MaxVersion
	}
	if newest[int(kmsg.Metadata)] >= metadataWithIDs && newest[int(kmsg.OffsetForLeaderEpoch)] >= epochsOfConsumer {
		c.lineage.Store(lineageAnswered)
		return true, nil
	}
	c.lineage.Store(lineageTooOld)
	c.log.Warn("brokers are older than Kafka 2.8: a topic that is made anew, or loses its tail, is noticed by its offsets alone")
	return false, nil
}

// What is known of the brokers' age.
const (
	lineageUnknown int32 = iota
	lineageAnswered
	lineageTooOld
)

// suspect stops a partition until verify has asked whether its log is the one that was read, unless it is known to be
// another; guarded by g.mu.
func (g *generation) suspect(p *partition) {
	p.leader, p.located, p.suspect = noLeader, false, !p.isRenewed()
	notify(g.locate)
	notify(g.place)
}

// verify asks about suspects. Each is read again as its answer comes; a broker that does not answer holds up its own.
func (g *generation) verify(ctx context.Context, suspects []*partition) {
	topics := map[string]bool{}
	for _, p := range suspects {
		topics[p.topic] = true
	}
	cluster := g.source.cluster
	known, err := cluster.lineageKnown(ctx)
	var ids map[string]topicID
	if err == nil && known {
		ids, err = cluster.topicIDs(ctx, noLeader, slices.Collect(maps.Keys(topics)))
	}
	for topic, id := range ids {
		g.identify(topic, id)
	}
	leaders, noLeaders := cluster.leaders(ctx, slices.Collect(maps.Keys(topics)))
	err = errors.Join(err, noLeaders)
	epochs := map[int32]map[topicPartition]int32{}
	asked := map[topicPartition]*partition{}
	g.mu.Lock()
	for _, p := range suspects {
		leader, led := leaders[p.topicPartition]
		switch {
		case !p.suspect: // its topic was made anew
		case err != nil:
			g.unanswered(ctx, p, err)
		case !known || p.epoch < 0:
			g.cleared(p, p.offset)
		case !led:
			g.unanswered(ctx, p, kafka.LeaderNotAvailable)
		default:
			if epochs[leader] == nil {
				epochs[leader] = map[topicPartition]int32{}
			}
			epochs[leader][p.topicPartition], asked[p.topicPartition] = p.epoch, p
		}
	}
	g.mu.Unlock()
	var wg sync.WaitGroup
	for leader, of := range epochs {
		wg.Go(func() {
			ends, failed := cluster.epochEnds(ctx, leader, of)
			g.mu.Lock()
			defer g.mu.Unlock()
			for tp, end := range ends {
				g.cleared(asked[tp], end)
			}
			for tp, err := range failed {
				g.unanswered(ctx, asked[tp], err)
			}
		})
	}
	wg.Wait()
}

// unanswered has a suspect asked about again; guarded by g.mu.
func (g *generation) unanswered(ctx context.Context, p *partition, err error) {
	if ctx.Err() == nil {
		p.fail(time.Now(), err)
	}
}

// cleared says that the log of a suspect is the one that was read, up to an offset; guarded by g.mu.
func (g *generation) cleared(p *partition, end int64) {
	p.suspect = false
	switch {
	case p.isRenewed(): // meanwhile; the epoch's end is one of the new log
	case end < p.offset:
		p.outOfRange, p.moved, p.valid = true, true, end
	case !p.outOfRange:
		p.located = true
		notify(g.place)
	}
}

// watchTopics looks now and then whether a topic was made anew: a partition that is not read meanwhile, or whose new log
// is longer at once, gets no error that would make it a suspect.
func (g *generation) watchTopics(ctx context.Context) {
	for sleep(ctx, g.source.cfg.PartitionWatch) {
		cluster := g.source.cluster
		if known, err := cluster.lineageKnown(ctx); err != nil || !known {
			continue
		}
		ids, err := cluster.topicIDs(ctx, noLeader, g.source.topics)
		if err != nil {
			continue
		}
		for topic, id := range ids {
			g.identify(topic, id)
		}
	}
}

// identify compares a topic's id with the one of the logs that this process has read, and has the partitions of a topic that
// was made anew read from their start. The process takes over the new id of a partition when its position is a new one: a
// generation that ends before leaves it to the next. A broker that lags may tell an id that was replaced: none is used twice.
func (g *generation) identify(topic string, id topicID) {
	s := g.source
	g.mu.Lock()
	defer g.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, former := s.replaced[id]; former || id == (topicID{}) {
		return
	}
	anew := false
	for _, p := range g.all {
		if p.topic != topic || p.renewed == id {
			continue
		}
		before, known := s.ids[p.topicPartition]
		switch {
		case !known:
			s.ids[p.topicPartition] = id
		case before != id:
			anew = true
			s.replaced[before] = struct{}{}
			delete(s.left, p.topicPartition)
			delete(s.seen, p.topicPartition)
			p.renewed, p.located, p.suspect = id, false, false
			p.outOfRange, p.moved, p.valid = true, true, -1
		}
	}
	if anew {
		s.log.Error("topic was made anew: reading it from its start", zap.String("topic", topic))
		notify(g.locate)
	}
}

// isRenewed says that the topic was made anew, and the position is still one of the former log; guarded by g.mu.
func (p *partition) isRenewed() bool { return p.renewed != topicID{} }

// errFormerLog says that a broker has not heard yet that a topic was made anew.
var errFormerLog = errors.New("the leader still has the log of the topic that was deleted")

// checkRenewed asks the leaders of partitions whose topic was made anew whether they know: one that does not would tell the
// bounds of the former log. awaited is the id that each is to have.
func (c *Cluster) checkRenewed(ctx context.Context, topic string, awaited map[topicPartition]topicID) error {
	if len(awaited) == 0 {
		return nil
	}
	leaders, err := c.leaders(ctx, []string{topic})
	if err != nil {
		return err
	}
	told := map[int32]topicID{}
	for tp, id := range awaited {
		leader, ok := leaders[tp]
		if !ok {
			return partitionError{tp, kafka.LeaderNotAvailable}
		}
		if _, ok := told[leader]; !ok {
			ids, err := c.topicIDs(ctx, leader, []string{topic})
			if err != nil {
				return err
			}
			told[leader] = ids[topic]
		}
		if told[leader] != id {
			return partitionError{tp, errFormerLog}
		}
	}
	return nil
}

// seen is how far a partition was read, and the leader epoch of the last record.
type seen struct {
	offset int64
	epoch  int32
}

// epochAt is a leader epoch at or behind the record before an offset, as far as this process has read; -1 = not known.
func (s *Source) epochAt(tp topicPartition, offset int64) int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.seen[tp]; ok && offset <= at.offset {
		return at.epoch
	}
	return -1
}
