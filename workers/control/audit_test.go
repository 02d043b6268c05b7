package control

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

func TestAuditsTellTheirEndWhereThereIsOne(t *testing.T) {
	t.Parallel()
	at := func(seconds int64) time.Time { return time.Unix(1_790_000_000+seconds, 0) }
	killed := Audit{ID: "b", Began: at(0), By: "ann@console", Command: "pushctl dead redrive --all"}
	done := Audit{ID: "a", Began: at(5), By: "ben@console", Command: "pushctl dead discard --all --note=x"}
	records := &topic{}
	records.pause(Target{App: "demo"})
	records.write(AuditMessage(stream.Topics{}, done), nil)
	records.write(AuditMessage(stream.Topics{}, killed), nil)
	done.Ended, done.Letters, done.Problem = at(9), 7, "interrupted"
	records.write(AuditMessage(stream.Topics{}, done), nil)
	records.write(stream.Message{Key: stream.UserKey(keyAudit, "c"), Value: []byte("{")}, nil)

	got, err := Audits(t.Context(), records, stream.Topics{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Audit{killed, done}, got); diff != "" {
		t.Errorf("audits (-want +got):\n%s", diff)
	}
}

func TestAuditsAreNoNewsToTheBoard(t *testing.T) {
	t.Parallel()
	records := &topic{}
	records.write(AuditMessage(stream.Topics{}, Audit{ID: "a", By: "ben@console"}), nil)
	core, logged := observer.New(zap.InfoLevel)
	b := NewBoard(records, stream.Topics{}, zap.New(core))
	b.OnChange(func(c Change) { t.Errorf("change %+v", c) })
	for range 2 { // changes are told from the second reading on
		if err := b.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		records.write(AuditMessage(stream.Topics{}, Audit{ID: "b", By: "ben@console"}), nil)
	}
	if logged.Len() != 0 {
		t.Errorf("the board logs %v", logged.All())
	}
}
