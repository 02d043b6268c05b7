package route

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// damaged is a registry that cannot read what it holds about one user, one group or one message.
type damaged struct {
	Registry
	user, group, message string
}

func (d *damaged) Decide(ctx context.Context, requests []registry.DecideRequest) ([]registry.Decision, error) {
	if slices.ContainsFunc(requests, func(q registry.DecideRequest) bool { return q.User == d.user }) {
		return nil, registry.ErrMalformed
	}
	return d.Registry.Decide(ctx, requests)
}

func (d *damaged) Groups(ctx context.Context, refs []registry.GroupRef) ([]registry.GroupSize, error) {
	if slices.ContainsFunc(refs, func(g registry.GroupRef) bool { return g.Group == d.group }) {
		return nil, registry.ErrMalformed
	}
	return d.Registry.Groups(ctx, refs)
}

func (d *damaged) Messages(ctx context.Context, refs []registry.MessageRef) ([]bool, error) {
	if slices.ContainsFunc(refs, func(m registry.MessageRef) bool { return m.Key == d.message }) {
		return nil, registry.ErrMalformed
	}
	return d.Registry.Messages(ctx, refs)
}

// TestWhatCannotBeReadHoldsUpNoOther: a damaged key in Redis costs the messages that need it, each a dead letter, and
// nobody else's.
func TestWhatCannotBeReadHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	toBobAndCarol := strings.Replace(toBob, `"To_Account":"bob"`, `"To_Account":["bob","carol"]`, 1)
	toCarol := strings.NewReplacer(`"To_Account":"bob"`, `"To_Account":"carol"`, `"MsgSeq":1`, `"MsgSeq":2`).Replace(toBob)
	carols := []string{`push.apns.normal phone "Alice:hello" badge 1`, "event carol phone push background"}
	dead := []string{"im.messages.dead", "event dead invalid_message"}
	for name, c := range map[string]struct {
		damaged damaged
		first   string
		want    []string
	}{
		"a user":    {damaged{user: "bob"}, toBobAndCarol, append(append(append(slices.Clone(dead), "event bob dead invalid_message"), carols...), strings.Replace(carols[0], "1", "2", 1), carols[1])},
		"a group":   {damaged{group: "team"}, toTeam, append(slices.Clone(dead), carols...)},
		"a message": {damaged{message: toBobKey}, toBob, append(slices.Clone(dead), carols...)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.phones(t, 0, "bob", "carol")
			c.damaged.Registry = r.reg
			r.route.reg = &c.damaged
			r.route.Handle(t.Context(), []*stream.Record{r.record(0, c.first), r.record(1, toCarol)})
			for i, line := range r.lines {
				if strings.HasPrefix(line, dead[0]) {
					r.lines[i] = dead[0]
				}
			}
			slices.Sort(r.acks)
			if !slices.Equal(r.lines, c.want) || !slices.Equal(r.acks, []int64{0, 1}) {
				t.Errorf("acknowledged %v, got\n%s\nwant\n%s", r.acks, strings.Join(r.lines, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}
