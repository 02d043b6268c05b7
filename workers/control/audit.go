package control

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

// keyAudit is the first part of the key of what an operator did to dead letters; its id follows.
const keyAudit = "audit"

// Audit is what an operator did to dead letters: one command, written before its first letter and again at its end.
type Audit struct {
	ID      string    `json:"id"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended,omitzero"` // zero: it is under way, or was killed
	By      string    `json:"by"`             // as user@host
	Command string    `json:"command"`        // with the flags that choose letters
	Letters int       `json:"letters"`        // how many it dealt with, as of its end
	Problem string    `json:"problem,omitempty"`
}

// auditValue is the JSON of such a record.
type auditValue struct {
	Time    int64  // ms
	End     int64  `json:",omitempty"` // ms
	By      string `json:",omitempty"`
	Command string
	Letters int    `json:",omitempty"`
	Problem string `json:",omitempty"`
}

// AuditMessage is the record that tells of a; the one of its end takes the place of the first.
func AuditMessage(topics stream.Topics, a Audit) stream.Message {
	v := auditValue{Time: a.Began.UnixMilli(), By: a.By, Command: a.Command, Letters: a.Letters, Problem: a.Problem}
	if !a.Ended.IsZero() {
		v.End = a.Ended.UnixMilli()
	}
	return message(topics, stream.UserKey(keyAudit, a.ID), v)
}

// auditID reads the key of a record that is an audit.
func auditID(key []byte) (string, bool) {
	parts, err := stream.SplitKey(key)
	if err != nil || len(parts) != 2 || parts[0] != keyAudit {
		return "", false
	}
	return parts[1], true
}

// Audits returns what operators did to dead letters, oldest first. They are as many as commands were typed.
func Audits(ctx context.Context, reader Reader, topics stream.Topics) ([]Audit, error) {
	byID := map[string]Audit{}
	err := reader.Scan(ctx, topics.Control(), nil, func(r *stream.Record) bool {
		id, ok := auditID(r.Key)
		var v auditValue
		if !ok || json.Unmarshal(r.Value, &v) != nil {
			return true
		}
		a := Audit{ID: id, Began: time.UnixMilli(v.Time), By: v.By, Command: v.Command, Letters: v.Letters, Problem: v.Problem}
		if v.End > 0 {
			a.Ended = time.UnixMilli(v.End)
		}
		byID[id] = a
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", topics.Control(), err)
	}
	return slices.SortedFunc(maps.Values(byID), func(x, y Audit) int {
		return cmp.Or(x.Began.Compare(y.Began), cmp.Compare(x.ID, y.ID))
	}), nil
}
