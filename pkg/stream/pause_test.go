package stream

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAPausedSourceFetchesNothingAndShowsItsLag(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	topic := l.topic(1)
	p := l.publisher()
	l.publish(p, topic, 0, numbered(0, 10)...)
	m := l.run(SourceConfig{Lanes: []Lane{{Topics: []string{topic}}}}, nil)
	eventually(t, "the first records are read", func() bool { return len(m.all()) == 10 })

	m.Pause()
	m.Pause()
	l.publish(p, topic, 0, numbered(10, 11)...) // a request that is under way brings it; else nothing does
	eventually(t, "no request is under way", func() bool {
		lag, inFlight := m.Lag()[0].Lag, m.Stats().InFlightRecords
		return len(m.all()) == 11 || lag == 1 && inFlight == 0
	})
	read := len(m.all())
	l.publish(p, topic, 0, numbered(11, 16)...)
	eventually(t, "the lag shows what was not fetched", func() bool {
		lag := m.Lag()
		return len(lag) == 1 && lag[0].Lag == int64(16-read)
	})
	if got := len(m.all()); got != read || !m.Paused() {
		t.Errorf("%d records were read while it was paused", got-read)
	}
	if err := m.Ready(); err != nil {
		t.Errorf("a pause is no trouble: %v", err)
	}

	m.Resume()
	eventually(t, "the rest is read", func() bool { return len(m.all()) == 16 })
	if diff := cmp.Diff(map[int32][]string{0: numbered(0, 16)}, m.values()); diff != "" {
		t.Errorf("read differs (-want +got):\n%s", diff)
	}
}

func TestAPausedSourceStopsAtOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	topic := l.topic(1)
	m := l.run(SourceConfig{Lanes: []Lane{{Topics: []string{topic}}}}, nil)
	m.Pause()
	eventually(t, "it has joined", func() bool { return m.Ready() == nil })
	began := time.Now()
	m.stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopped after %s", took)
	}
}
