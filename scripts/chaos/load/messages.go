package load

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Of a hundred records, about so many are:
const (
	toGroupsNamed   = 15 // to some of a group, by name
	toGroupsWhole   = 7  // to all its members
	unimportant     = 10 // in the bulk lane
	repeatedPercent = 1  // produced once more
	badPermille     = 4  // such as no reader can use; of a thousand
)

// mostInARow is how many messages of one conversation come right after another.
const mostInARow = 4

// Messages makes messages; not for concurrent use.
type Messages struct {
	people *Population
	random *rand.Rand
	made   int
	left   int // of the row of messages in one conversation
	now    conversation
	again  *Record // to be produced a second time
}

// conversation is who speaks to whom.
type conversation struct {
	from  string
	to    []string // nil = all members
	group string
}

// NewMessages makes the messages of a seed.
func NewMessages(people *Population, seed uint64) *Messages {
	return &Messages{people: people, random: rand.New(rand.NewPCG(seed, 1<<33))}
}

// Next is one record of im.messages. bad says that no reader can use it.
func (m *Messages) Next(now time.Time) (r Record, bad bool) {
	if m.again != nil && m.random.IntN(20) == 0 { // a while after the first time
		r, m.again = *m.again, nil
		return r, false
	}
	m.made++
	if m.random.IntN(1000) < badPermille {
		return m.bad(now), true
	}
	if m.left == 0 {
		m.now, m.left = m.converse(), 1+m.random.IntN(mostInARow)
	}
	m.left--
	r = m.message(now)
	if m.again == nil && m.random.IntN(100) < repeatedPercent {
		again := r
		m.again = &again
	}
	return r, false
}

func (m *Messages) converse() conversation {
	p := m.people
	switch draw := m.random.IntN(100); {
	case draw < toGroupsNamed:
		c := conversation{from: "sender-1", group: fmt.Sprintf("ad-hoc-%d", m.random.IntN(groups))}
		for _, user := range m.random.Perm(len(p.Users))[:1+m.random.IntN(5)] {
			c.to = append(c.to, p.Users[user])
		}
		return c
	case draw < toGroupsNamed+toGroupsWhole:
		group := p.names[m.random.IntN(len(p.names))]
		members := p.Groups[group]
		return conversation{from: members[m.random.IntN(len(members))], group: group}
	}
	return conversation{from: fmt.Sprintf("sender-%d", m.random.IntN(20)), to: []string{p.Users[m.random.IntN(len(p.Users))]}}
}

func (m *Messages) message(now time.Time) Record {
	c := m.now
	fields := map[string]any{"App": m.people.App, "From_Account": c.from, "From_Nick": "Sender", "MsgTimeStamp": now.Unix(), "MsgBody": text(m.made)}
	key := "c2c:" + c.from
	if c.group != "" {
		key = "group:" + c.group
		fields["GroupId"], fields["Random"] = c.group, m.made
		if c.to != nil {
			fields["To_Account"] = c.to
		}
	} else {
		key += ":" + c.to[0]
		fields["To_Account"], fields["MsgSeq"], fields["MsgRandom"] = c.to[0], m.made, m.made
	}
	if m.random.IntN(100) < unimportant {
		fields["MsgPriority"] = "Low"
	}
	return Record{"im.messages", []byte(key), encode(fields)}
}

func text(n int) []any {
	return []any{map[string]any{"MsgType": "TIMTextElem", "MsgContent": map[string]any{"Text": fmt.Sprintf("message %d", n)}}}
}

// bad is a record that ends as a dead letter.
func (m *Messages) bad(now time.Time) Record {
	fields := map[string]any{"App": m.people.App, "From_Account": "sender-1", "To_Account": m.people.Users[0], "MsgSeq": m.made, "MsgRandom": m.made,
		"MsgTimeStamp": now.Unix(), "MsgBody": text(m.made)}
	r := Record{Topic: "im.messages", Key: []byte("bad")}
	switch m.made % 3 {
	case 0:
		delete(fields, "From_Account")
		r.Value = encode(fields)
	case 1:
		fields["App"] = "nobody's"
		r.Value = encode(fields)
	default:
		r.Value = encode(fields)
		r.Value = r.Value[:len(r.Value)/2]
	}
	return r
}
