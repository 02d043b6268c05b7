package stream

import (
	"errors"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// TestATopicMadeAnewIsTakenOverWhole follows two partitions, read up to 107 of logs that ended there, while their topic is
// made anew with 10 records in each: whatever comes between the news and the new positions, reading begins at the first
// record, and once.
func TestATopicMadeAnewIsTakenOverWhole(t *testing.T) {
	t.Parallel()
	former, present := topicID{1}, topicID{2}
	for name, meanwhile := range map[string]func(s *Source, g *generation) *generation{
		"nothing comes": func(_ *Source, g *generation) *generation { return g },
		"the news comes again": func(_ *Source, g *generation) *generation {
			g.identify("t", present)
			return g
		},
		"a broker that lags tells the former topic": func(_ *Source, g *generation) *generation {
			g.identify("t", former)
			return g
		},
		"a fetch that was under way finds its offset behind the end": func(_ *Source, g *generation) *generation {
			g.partitionFailed(g.all[0], time.Now(), kafka.OffsetOutOfRange)
			if g.all[0].suspect {
				t.Error("it is asked whether the log is the one that was read")
			}
			return g
		},
		"the end of the epoch that was asked for is the new log's": func(_ *Source, g *generation) *generation {
			g.cleared(g.all[0], 10)
			return g
		},
		"the generation ends, and the next one gets the former offset": func(s *Source, g *generation) *generation {
			s.remember(g.all[0])
			next := generationOf(s)
			for _, p := range next.all {
				next.begin(p, 107, 107)
			}
			next.identify("t", present)
			return next
		},
	} {
		s, err := openCluster(t, "127.0.0.1:1").NewSource(SourceConfig{Group: "g", Lanes: []Lane{{Topics: []string{"t"}}}})
		if err != nil {
			t.Fatal(err)
		}
		g := generationOf(s)
		g.identify("t", former)
		for _, p := range g.all {
			g.begin(p, 107, 107)
			p.epoch = 3
			g.cleared(p, 107)
			p.win.markCommitted(107)
		}
		g.identify("t", present)
		for _, m := range g.uncommitted() {
			if m.offset != 0 {
				t.Errorf("%s: offset %d of the former log is committed", name, m.offset)
			}
		}

		g = meanwhile(s, g)
		first, second := g.all[0], g.all[1]
		g.reset(first, bound{first: 0, end: 10})
		if first.offset != 0 || !first.located || second.located {
			t.Errorf("%s: goes on at %d, located %t; the other one %t", name, first.offset, first.located, second.located)
		}
		first.offset = 5
		g.identify("t", present)
		g.identify("t", former)
		if !first.located || second.located {
			t.Errorf("%s: the one that has its position is read from its start once more, or the other one is not", name)
		}

		next := generationOf(s)
		next.begin(next.all[0], 5, 5)
		next.begin(next.all[1], 107, 107)
		next.identify("t", present)
		if next.all[0].isRenewed() || !next.all[1].isRenewed() {
			t.Errorf("%s: the next generation begins the one that was reset again, or takes the other one for read", name)
		}
	}
}

// generationOf is one that has two partitions of topic t.
func generationOf(s *Source) *generation {
	return newGeneration(s, &kafka.Generation{Assignments: map[string][]kafka.PartitionAssignment{
		"t": {{ID: 0, Offset: 107}, {ID: 1, Offset: 107}}}}, nil)
}

func TestALeaderThatHasNotHeardOfTheNewTopicIsNotAskedForBounds(t *testing.T) {
	t.Parallel()
	l := newFakeLab(t, 3)
	topic := l.topic(3)
	ids, err := l.cluster.topicIDs(t.Context(), noLeader, []string{topic})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		awaited map[topicPartition]topicID
		want    error
	}{
		"nothing was made anew":       {nil, nil},
		"its leader knows":            {map[topicPartition]topicID{{topic, 0}: ids[topic], {topic, 2}: ids[topic]}, nil},
		"its leader knows the former": {map[topicPartition]topicID{{topic, 1}: {1}}, errFormerLog},
		"there is no such partition":  {map[topicPartition]topicID{{topic, 7}: ids[topic]}, kafka.LeaderNotAvailable},
	} {
		if err := l.cluster.checkRenewed(t.Context(), topic, tt.awaited); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
}
