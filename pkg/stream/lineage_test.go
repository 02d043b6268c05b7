package stream

import (
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// TestATopicMadeAnewIsTakenOverWhole follows one partition, read up to 107 of a log that ended there, while its topic is
// made anew with 10 records: whatever comes between the news and its new position, reading begins at the first record.
func TestATopicMadeAnewIsTakenOverWhole(t *testing.T) {
	t.Parallel()
	former, present := topicID{1}, topicID{2}
	for name, meanwhile := range map[string]func(s *Source, g *generation) *generation{
		"nothing comes": func(_ *Source, g *generation) *generation { return g },
		"the news comes again": func(_ *Source, g *generation) *generation {
			g.identify("t", present)
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
			next.begin(next.all[0], 107, 107)
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
		p := g.all[0]
		g.begin(p, 107, 107)
		p.epoch = 3
		g.cleared(p, 107)
		g.identify("t", present)
		if s.ids["t"] != former {
			t.Errorf("%s: the process takes the new log for the one it has read", name)
		}
		if err := g.commit(); err != nil { // the group cannot be reached
			t.Errorf("%s: an offset of the former log is committed: %v", name, err)
		}

		g = meanwhile(s, g)
		p = g.all[0]
		g.reset(p, bound{first: 0, end: 10})
		if p.offset != 0 || !p.located {
			t.Errorf("%s: goes on at %d, located %t", name, p.offset, p.located)
		}
		if s.ids["t"] != present {
			t.Errorf("%s: it would be read from its start once more", name)
		}
		if g.identify("t", present); !p.located {
			t.Errorf("%s: it is read from its start once more", name)
		}
	}
}

// generationOf is one that has partition 0 of topic t.
func generationOf(s *Source) *generation {
	return newGeneration(s, &kafka.Generation{Assignments: map[string][]kafka.PartitionAssignment{"t": {{ID: 0, Offset: 107}}}}, nil)
}
