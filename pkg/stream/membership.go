package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"
)

const (
	// joinBackoff is the pause after a join that failed; kafka-go's default of 5 s would be felt at every restart of a
	// broker.
	joinBackoff = 500 * time.Millisecond
	// topicWait is how often a topic that does not exist is looked for. The answer comes from memory.
	topicWait = 250 * time.Millisecond
	// shortGeneration is a generation that ended without having done much: the next one waits for joinBackoff.
	shortGeneration = time.Second
	// closeTimeout bounds leaving the group, which can hang behind a dead member for as long as its time-outs.
	closeTimeout = 3 * time.Second
)

// Run joins the group and calls handle until ctx ends, then drains (still heartbeating), commits and leaves. handle is
// called from one goroutine at a time, with the records of each partition in order; it may return before the records
// are acknowledged. The ctx passed to handle ends when queued work must not be started any more: at 60 % of the drain
// limit after a revoke or stop. What is being sent then may finish and acknowledge; what is not sent is dropped with
// [Record.Drop], so that the drain does not wait for it.
//
// A Kafka that is away, or a topic that does not exist, at the start or later, is waited for: Run returns nil once ctx
// ended, and another error only where kafka-go rejects the configuration.
func (s *Source) Run(ctx context.Context, handle func(ctx context.Context, batch []*Record)) error {
	s.waitForTopics(ctx)
	if ctx.Err() != nil {
		return nil
	}
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID:                     s.cfg.Group,
		Brokers:                []string{anyBroker},
		Dialer:                 s.cluster.groupDialer(),
		Topics:                 s.topics,
		GroupBalancers:         []kafka.GroupBalancer{balancer{source: s}},
		HeartbeatInterval:      s.cfg.SessionTimeout / 10,
		SessionTimeout:         s.cfg.SessionTimeout,
		RebalanceTimeout:       s.cfg.RebalanceTimeout,
		JoinGroupBackoff:       joinBackoff,
		Timeout:                s.cfg.SessionTimeout / 3, // a commit that hangs must leave time for the drain
		WatchPartitionChanges:  true,
		PartitionWatchInterval: s.cfg.PartitionWatch,
		StartOffset:            kafka.FirstOffset,
	})
	if err != nil {
		return fmt.Errorf("group %s: %w", s.cfg.Group, err)
	}
	for ctx.Err() == nil {
		s.generation(ctx, group, handle)
	}
	s.leave(group)
	return nil
}

// waitForTopics returns once all topics exist, or ctx ended. kafka-go assigns nothing at all while one topic of a group
// is missing, and joins again without a pause.
func (s *Source) waitForTopics(ctx context.Context) {
	for {
		err := s.cluster.exist(ctx, s.topics)
		if err == nil {
			s.setIdle(errNotJoined)
			return
		}
		s.setIdle(err)
		if !sleep(ctx, topicWait) {
			return
		}
	}
}

// generation waits for the next assignment and lives through it.
func (s *Source) generation(ctx context.Context, group *kafka.ConsumerGroup, handle func(context.Context, []*Record)) {
	assignment, err := group.Next(ctx)
	divided, redivided := s.takeDivided()
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, kafka.RebalanceInProgress) {
			s.setIdle(err)
		}
		return
	}
	g := newGeneration(s, assignment, handle)
	g.divided, g.redivided = divided, redivided
	began := time.Now()
	s.absent.over()
	s.stats.generations.Add(1)
	s.setCurrent(g)
	s.log.Info("partitions assigned", zap.Int32("generation", assignment.ID), zap.Int("partitions", len(g.all)))
	drained := make(chan struct{})
	assignment.Start(func(revoked context.Context) {
		g.run(revoked, ctx)
		close(drained)
		if ctx.Err() != nil {
			<-revoked.Done() // the membership ends with leave, after the last commit
		}
	})
	<-drained
	s.setCurrent(nil)
	if ctx.Err() == nil && time.Since(began) < shortGeneration {
		sleep(ctx, joinBackoff)
		s.waitForTopics(ctx)
	}
}

// balancer deals the partitions out in turn, and notes how many of each topic it has dealt. Only the member that leads its
// group is asked.
type balancer struct {
	kafka.RoundRobinGroupBalancer
	source *Source
}

// AssignGroups implements kafka.GroupBalancer.
func (b balancer) AssignGroups(members []kafka.GroupMember, partitions []kafka.Partition) kafka.GroupMemberAssignments {
	divided := map[string]int{}
	for _, p := range partitions {
		divided[p.Topic]++
	}
	b.source.mu.Lock()
	b.source.divided = divided
	b.source.mu.Unlock()
	return b.RoundRobinGroupBalancer.AssignGroups(members, partitions)
}

// takeDivided is what this member has dealt out for the generation that begins, nil = another leads the group, and how many
// generations in a row ended because that was wrong.
func (s *Source) takeDivided() (divided map[string]int, redivided int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	divided, s.divided = s.divided, nil
	return divided, s.redivided
}

// redivide notes how many generations in a row ended because their partitions were dealt out wrongly.
func (s *Source) redivide(generations int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.redivided = generations
}

// leave ends the membership, so that the others get the partitions at once.
func (s *Source) leave(group *kafka.ConsumerGroup) {
	left := make(chan struct{})
	go func() {
		defer close(left)
		_ = group.Close() // never fails
	}()
	select {
	case <-left:
	case <-time.After(closeTimeout):
		s.log.Warn("leaving the group takes long: its members wait for the session time-out")
	}
	s.setIdle(errStopped)
}

// errStopped is the state after Run.
var errStopped = errors.New("stopped")

// setIdle says why nothing is read.
func (s *Source) setIdle(err error) {
	if err != errNotJoined && err != errStopped { //nolint:errorlint // states and not failures, never wrapped
		s.absent.failed(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = err
}

func (s *Source) setCurrent(g *generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.idle = g, errNotJoined
}
