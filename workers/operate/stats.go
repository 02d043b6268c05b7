package operate

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// Group is what letters have in common that are counted together.
type Group struct {
	Topic      string        `json:"topic,omitempty"`
	Reason     push.Reason   `json:"reason,omitempty"`
	App        string        `json:"app,omitempty"`
	Platform   push.Platform `json:"platform,omitempty"`
	Credential string        `json:"credential,omitempty"`
}

// groupFields are the parts of a Group by name: each copies one.
var groupFields = map[string]func(to *Group, l *Letter){
	"topic":      func(to *Group, l *Letter) { to.Topic = l.Topic },
	"reason":     func(to *Group, l *Letter) { to.Reason = l.Reason },
	"app":        func(to *Group, l *Letter) { to.App = l.App },
	"platform":   func(to *Group, l *Letter) { to.Platform = l.Platform },
	"credential": func(to *Group, l *Letter) { to.Credential = l.Credential },
}

// GroupFields lists what letters can be counted by.
func GroupFields() []string { return []string{"topic", "reason", "app", "platform", "credential"} }

// Count is how many letters a group has, and what became of them.
type Count struct {
	Group
	Letters   int       `json:"letters"`
	Open      int       `json:"open"` // neither sent back nor discarded
	Redriven  int       `json:"redriven"`
	Discarded int       `json:"discarded"`
	Oldest    time.Time `json:"oldest"`
	Newest    time.Time `json:"newest"`
}

func (c *Count) add(l *Letter) {
	c.Letters++
	switch {
	case l.Discarded:
		c.Discarded++
	case l.Redriven > 0:
		c.Redriven++
	default:
		c.Open++
	}
	if c.Oldest.IsZero() || l.Time.Before(c.Oldest) {
		c.Oldest = l.Time
	}
	if l.Time.After(c.Newest) {
		c.Newest = l.Time
	}
}

// maxGroups bounds the groups of a count: records of im.* may name any app. What comes after them is counted under the app
// OtherApps.
const maxGroups = 10_000

// OtherApps stands for the apps of letters that found no room in a count.
const OtherApps = "(others)"

// Stats counts the letters that f chooses, those that were dealt with included, by the fields named, and returns the
// groups in their order and all of them together. It holds the counts alone.
func (d *DeadLetters) Stats(ctx context.Context, f Filter, by []string) ([]Count, Count, error) {
	for _, field := range by {
		if groupFields[field] == nil {
			return nil, Count{}, fmt.Errorf("letters are counted by %v, not by %s", GroupFields(), field)
		}
	}
	f.Redriven, f.Discarded = true, true
	counts, all := map[Group]*Count{}, Count{}
	err := d.Each(ctx, f, func(l Letter) bool {
		var g Group
		for _, field := range by {
			groupFields[field](&g, &l)
		}
		if counts[g] == nil && len(counts) >= maxGroups {
			g = Group{Topic: g.Topic, Reason: g.Reason, Platform: g.Platform, App: OtherApps}
		}
		if counts[g] == nil {
			counts[g] = &Count{Group: g}
		}
		counts[g].add(&l)
		all.add(&l)
		return true
	})
	if err != nil {
		return nil, all, err
	}
	rows := make([]Count, 0, len(counts))
	for _, c := range slices.SortedFunc(maps.Values(counts), func(x, y *Count) int {
		return cmp.Or(cmp.Compare(x.Topic, y.Topic), cmp.Compare(x.Reason, y.Reason), cmp.Compare(x.App, y.App),
			cmp.Compare(x.Platform, y.Platform), cmp.Compare(x.Credential, y.Credential))
	}) {
		rows = append(rows, *c)
	}
	return rows, all, nil
}
