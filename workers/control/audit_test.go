package control

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
