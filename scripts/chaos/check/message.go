package check

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// sent is a message as the contract reads it.
type sent struct {
	key     string // c2c:From:MsgSeq_MsgRandom_MsgTimeStamp or group:GroupId:Random_MsgTimeStamp
	thread  string // conversation and lane: order holds within
	first   Record // of the records that are this message, the one that was first
	records int
	to      []string
}

// wire is what the contract says of a message, as far as it decides who gets it.
type wire struct {
	From        string          `json:"From_Account"`
	To          json.RawMessage `json:"To_Account"`
	GroupID     string          `json:"GroupId"`
	MsgSeq      int64           `json:"MsgSeq"`
	MsgRandom   int64           `json:"MsgRandom"`
	Random      int64           `json:"Random"`
	Time        int64           `json:"MsgTimeStamp"`
	MsgPriority string          `json:"MsgPriority"`
}

func readMessage(r Record, groups map[string][]string) (sent, error) {
	var w wire
	if err := json.Unmarshal(r.Value, &w); err != nil {
		return sent{}, err
	}
	var to []string
	if len(w.To) > 0 {
		if err := json.Unmarshal(w.To, &to); err != nil {
			var one string
			if err := json.Unmarshal(w.To, &one); err != nil {
				return sent{}, err
			}
			to = []string{one}
		}
	}
	m := sent{first: r, records: 1}
	if w.GroupID != "" {
		m.key = fmt.Sprintf("group:%s:%d_%d", w.GroupID, w.Random, w.Time)
		m.thread = "group:" + w.GroupID
		if to == nil {
			to = groups[w.GroupID]
		}
	} else {
		m.key = fmt.Sprintf("c2c:%s:%d_%d_%d", w.From, w.MsgSeq, w.MsgRandom, w.Time)
		m.thread = "c2c:" + w.From
	}
	m.thread += " " + w.MsgPriority
	for _, user := range to {
		if user != w.From {
			m.to = append(m.to, user)
		}
	}
	return m, nil
}

// timeline is what a device went through, oldest first.
type timeline []Change

func (l timeline) String() string {
	var parts []string
	for _, c := range l {
		part := fmt.Sprintf("%s since %s, durable %s", c.State, clock(c.At), clock(c.Durable))
		if c.Report {
			part += fmt.Sprintf(", %d unread", c.Unread)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// known are the states that the fleet may go by at some moment from one time to another: those that the device had then,
// and those it had up to slack before, or until an event was durable.
func (l timeline) known(from, to time.Time, slack time.Duration) map[State]bool {
	states := map[State]bool{}
	for i, c := range l {
		if c.At.After(to) {
			break
		}
		if i+1 < len(l) {
			next := l[i+1]
			if !next.Durable.IsZero() && !next.Durable.Add(slack).After(from) {
				continue // it is over, and that is known
			}
		}
		states[c.State] = true
	}
	return states
}

// last is the newest change up to a time.
func (l timeline) last(at time.Time) (Change, bool) {
	var found Change
	ok := false
	for _, c := range l {
		if c.At.After(at) {
			break
		}
		found, ok = c, true
	}
	return found, ok
}
