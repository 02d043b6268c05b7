package stream

import (
	"context"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"
)

const (
	// commitTimeout bounds a commit by way of whoever keeps the group now.
	commitTimeout = 3 * time.Second
	// commitRetry is the pause between two last commits of a generation.
	commitRetry = 200 * time.Millisecond
	// lastCommitAtStop bounds the last commit of a process that stops: it has a grace period to keep.
	lastCommitAtStop = time.Second
)

// mark is an offset on its way to the group.
type mark struct {
	p      *partition
	win    *window
	offset int64
}

// commit sends what is new of all partitions in one request, and says whether the group has it now. A position is
// committed even before anything was read from it, so that the start stays where it was. The group takes offsets from
// its present generation only: what a member commits that was thought dead is refused.
func (g *generation) commit() error {
	marks := g.uncommitted()
	if len(marks) == 0 {
		return nil
	}
	g.source.stats.commits.Add(1)
	err := g.group.CommitOffsets(offsetsOf(marks))
	if err == nil {
		for _, m := range marks {
			m.win.markCommitted(m.offset)
		}
	} else {
		err = g.commitElsewhere(marks)
	}
	if err != nil {
		g.source.stats.commitErrors.Add(1)
		g.source.commits.failed(err, zap.Int32("generation", g.group.ID))
		return err
	}
	g.source.commits.over()
	return nil
}

// uncommitted is what the group is to know. Offsets of a log that is no more mean nothing in the one in its place: there it
// is to begin at the first record, whoever reads it then.
func (g *generation) uncommitted() (marks []mark) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.all {
		if p.win == nil {
			continue
		}
		offset, dirty := p.win.uncommitted()
		if p.isRenewed() {
			offset, dirty = 0, true
		}
		if dirty {
			marks = append(marks, mark{p, p.win, offset})
		}
	}
	return marks
}

func offsetsOf(marks []mark) map[string]map[int]int64 {
	offsets := map[string]map[int]int64{}
	for _, m := range marks {
		if offsets[m.p.topic] == nil {
			offsets[m.p.topic] = map[int]int64{}
		}
		offsets[m.p.topic][int(m.p.partition)] = m.offset
	}
	return offsets
}

// commitElsewhere commits for the same member and generation by way of whoever keeps the group now: the generation's own
// connection leads to who kept it when it began. It is told of each partition, so that one that may not be committed
// leaves the others alone.
func (g *generation) commitElsewhere(marks []mark) error {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	req := kafka.OffsetCommitRequest{GroupID: g.group.GroupID, GenerationID: int(g.group.ID), MemberID: g.group.MemberID,
		Topics: map[string][]kafka.OffsetCommit{}}
	for _, m := range marks {
		req.Topics[m.p.topic] = append(req.Topics[m.p.topic], kafka.OffsetCommit{Partition: int(m.p.partition), Offset: m.offset})
	}
	res, err := g.source.cluster.client.OffsetCommit(ctx, &req)
	if err != nil {
		return err
	}
	answers := map[topicPartition]error{}
	for topic, partitions := range res.Topics {
		for _, p := range partitions {
			answers[topicPartition{topic, int32(p.Partition)}] = p.Error
		}
	}
	for _, m := range marks {
		answer, ok := answers[m.p.topicPartition]
		switch {
		case !ok:
			err = partitionError{m.p.topicPartition, errNotAnswered}
		case answer != nil:
			err = partitionError{m.p.topicPartition, answer}
		default:
			m.win.markCommitted(m.offset)
		}
	}
	return err
}

// conclude commits for the last time. A coordinator that dies ends every generation at once, and nobody can join before
// there is another: until then all members wait here, so that the next owners begin where these ended. It gives up where
// the group has gone on without this member, or may not take the offsets.
func (g *generation) conclude(stopping bool) {
	limit := g.source.cfg.SessionTimeout
	if stopping {
		limit = lastCommitAtStop
	}
	for deadline := time.Now().Add(limit); ; {
		err := g.commit()
		if err == nil || !heals(err) || errors.Is(err, kafka.UnknownTopicOrPartition) || time.Now().After(deadline) {
			break
		}
		time.Sleep(commitRetry)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.all {
		if p.win != nil {
			g.source.remember(p)
		}
	}
}

// leftover is what a generation has acknowledged on a partition and could not commit.
type leftover struct {
	acknowledged int64 // every offset before
	committed    int64 // by the group, as far as that generation knew
}

// nothingCommitted stands for the offset of a partition that the group has none of.
const nothingCommitted int64 = -1

// remember keeps what a generation could not commit of a partition.
func (s *Source) remember(p *partition) {
	acknowledged, dirty := p.win.uncommitted()
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.epoch >= 0 {
		s.seen[p.topicPartition] = seen{p.offset, p.epoch}
	}
	if !dirty {
		delete(s.left, p.topicPartition)
		return
	}
	s.left[p.topicPartition] = leftover{acknowledged, max(p.win.lastCommitted(), p.assigned, nothingCommitted)}
}

// resume is where to go on at a partition whose next offset is start by what the group has committed, negative =
// nothing. What this process has acknowledged needs no repeating, whoever owned the partition since. Where the group
// stands before what it had, the topic was made anew or an operator has moved it, and the group is obeyed.
func (s *Source) resume(tp topicPartition, committed, start int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	left, ok := s.left[tp]
	delete(s.left, tp)
	if !ok || max(committed, nothingCommitted) < left.committed {
		return start
	}
	return max(start, left.acknowledged)
}
