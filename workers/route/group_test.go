package route

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// toTeam is a message to all members of a group.
const toTeam = `{"GroupId":"team","GroupName":"Team","From_Account":"alice","From_Nick":"Alice","Random":1,` + text + `}`

// join makes users members of the group, a minute ago or at another time.
func (r *rig) join(t *testing.T, group string, at time.Time, users ...string) {
	t.Helper()
	var memberships []registry.Membership
	for _, user := range users {
		memberships = append(memberships, registry.Membership{App: "demo", Group: group, User: user, Joined: at})
	}
	for chunk := range slices.Chunk(memberships, 50) {
		if err := r.reg.ApplyMemberships(t.Context(), chunk); err != nil {
			t.Fatal(err)
		}
	}
}

// leave lets a user leave the group.
func (r *rig) leave(t *testing.T, group, user string, at time.Time) {
	t.Helper()
	if err := r.reg.ApplyMemberships(t.Context(), []registry.Membership{{App: "demo", Group: group, User: user, Left: at}}); err != nil {
		t.Fatal(err)
	}
}

// names makes users with the numbers from to to, the end excluded.
func names(from, to int) []string {
	var users []string
	for i := from; i < to; i++ {
		users = append(users, fmt.Sprintf("user-%05d", i))
	}
	return users
}

// everyTenth of the users, for those that have a phone.
func everyTenth(users []string) []string {
	var some []string
	for i := 0; i < len(users); i += 10 {
		some = append(some, users[i])
	}
	return some
}

// parts takes what route wrote to push.fanout since the last time, as records to be read.
func (r *rig) parts() []*stream.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	var parts []*stream.Record
	for i, m := range r.sent {
		if m.Topic == "push.fanout" {
			rec := &stream.Record{Topic: m.Topic, Offset: int64(i), Time: clock, Key: m.Key, Value: m.Value}
			rec.OnAck(func(acked bool) {
				if acked {
					r.mu.Lock()
					defer r.mu.Unlock()
					r.acks = append(r.acks, rec.Offset)
				}
			})
			parts = append(parts, rec)
		}
	}
	r.sent = nil
	return parts
}

// pushed counts the pushes that were written since the last time, by topic and user.
func (r *rig) pushed(t *testing.T) (byTopic map[string]int, byUser map[string]int) {
	t.Helper()
	byTopic, byUser = map[string]int{}, map[string]int{}
	for _, m := range r.sent {
		n, err := stream.DecodeNotification(m.Value)
		if err != nil {
			t.Fatal(err)
		}
		byTopic[m.Topic]++
		byUser[n.User]++
	}
	r.sent = nil
	return byTopic, byUser
}

func TestAMessageToAWholeGroupGoesToWhoWasAMemberThen(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, user := range []string{"alice", "bob", "carol", "dave", "erin"} {
		r.device(t, user, user+"-phone", 0)
	}
	r.join(t, "team", clock.Add(-time.Minute), "alice", "bob", "carol", "dave")
	r.leave(t, "team", "carol", clock.Add(-time.Second)) // before the message
	r.leave(t, "team", "dave", clock.Add(time.Second))   // after it, and so he was there
	r.join(t, "team", clock.Add(2*time.Second), "erin")  // after it
	r.route.Handle(t.Context(), []*stream.Record{r.record(0, toTeam)})
	slices.Sort(r.lines) // members have no order
	want := []string{
		"event bob bob-phone push background", "event dave dave-phone push background",
		`push.apns.normal bob-phone "Alice(Team):hello" badge 1`, `push.apns.normal dave-phone "Alice(Team):hello" badge 1`,
	}
	if !slices.Equal(r.lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(r.lines, "\n"), strings.Join(want, "\n"))
	}
}

func TestAGroupThatNobodyKnowsIsADeadLetterAndAnEmptyOneIsNot(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "team", clock.Add(-time.Hour), "bob")
	r.leave(t, "team", "bob", clock.Add(-time.Minute))
	unknown := strings.ReplaceAll(toTeam, `"team"`, `"nobody knows"`)
	r.route.Handle(t.Context(), []*stream.Record{r.record(0, toTeam), r.record(1, unknown)})
	want := []string{fmt.Sprintf("im.messages.dead %d bytes", len(unknown)), "event dead invalid_message"}
	if !slices.Equal(r.lines, want) || !slices.Equal(r.acks, []int64{0, 1}) && !slices.Equal(r.acks, []int64{1, 0}) {
		t.Errorf("got %q, acknowledged %v", r.lines, r.acks)
	}
	says := func(h stream.Header) bool {
		return h.Key == stream.HeaderAnswer && strings.Contains(string(h.Value), "no membership of this group is known")
	}
	if !slices.ContainsFunc(r.sent[0].Headers, says) {
		t.Errorf("the letter says %v", r.sent[0].Headers)
	}
}

// whole is a record of push.fanout with all of a group, however small.
func (r *rig) whole(t *testing.T, group string, chat *stream.Record) *stream.Record {
	t.Helper()
	sizes, err := r.reg.Groups(t.Context(), []registry.GroupRef{{App: "demo", Group: group}})
	if err != nil {
		t.Fatal(err)
	}
	part := &stream.Fanout{Chat: chat, Last: sizes[0].Buckets - 1, Buckets: sizes[0].Buckets}
	return r.recordOf("push.fanout", 0, stream.EncodeFanout(part))
}

// TestABigGroupIsSentToRangeByRange: everybody exactly once, while the group grows and its buckets split between the
// message and its ranges.
func TestABigGroupIsSentToRangeByRange(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const members = 1010
	r.join(t, "team", clock.Add(-time.Minute), names(0, members)...)
	r.join(t, "team", clock.Add(-time.Minute), "alice")
	phones := everyTenth(names(0, members))
	r.phones(t, 0, phones...)
	r.route.Handle(t.Context(), []*stream.Record{r.record(7, toTeam)})
	parts := r.parts()
	if len(parts) != 2 || !slices.Equal(r.acks, []int64{7}) {
		t.Fatalf("%d parts: %v, acknowledged %v", len(parts), r.lines, r.acks)
	}
	r.join(t, "team", clock.Add(time.Minute), names(members, 2*members)...)
	r.phones(t, 0, names(members, members+20)...)
	r.lines, r.acks = nil, nil
	r.route.HandleFanout(t.Context(), parts)
	byTopic, byUser := r.pushed(t)
	if len(byTopic) != 1 || byTopic["push.apns.bulk"] != len(phones) || len(byUser) != len(phones) || byUser["alice"] != 0 {
		t.Errorf("%v, %d users", byTopic, len(byUser))
	}
	if len(r.lines) != members+len(phones) { // an event for each, and the pushes
		t.Errorf("%d lines for %d members", len(r.lines), members)
	}
	if len(r.acks) != len(parts) {
		t.Errorf("acknowledged %v", r.acks)
	}
}

func TestARangeReadTwiceLeadsToTheSameNotifications(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	users := names(0, 20)
	r.join(t, "team", clock.Add(-time.Minute), users...)
	r.phones(t, 4, users...)
	parts := []*stream.Record{r.whole(t, "team", r.record(0, toTeam))}
	ids := func() []string {
		var ids []string
		for _, m := range r.sent {
			n, err := stream.DecodeNotification(m.Value)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, fmt.Sprint(n.ID, n.Badge))
		}
		r.sent = nil
		slices.Sort(ids)
		return ids
	}
	r.route.HandleFanout(t.Context(), parts)
	first := ids()
	r.route.HandleFanout(t.Context(), parts)
	if again := ids(); len(first) != len(users) || !slices.Equal(first, again) {
		t.Errorf("%d, then %d", len(first), len(again))
	}
}

func TestWhatBecameOfAMessageBeforeItsRangeWasRead(t *testing.T) {
	t.Parallel()
	late := clock.Add(time.Hour)
	for name, c := range map[string]struct {
		message string
		receipt string
		now     time.Time
		want    string
	}{
		"its life ended":   {strings.Replace(toTeam, "{", `{"MsgLifeTime":60,`, 1), "", late, "event filter expired"},
		"it was recalled":  {toTeam, `{"App":"demo","User":"alice","Receipt":"recall","MsgKey":"group:team:1_1790000000","ReceiptTime":1790000001000}`, clock, "event filter recalled"},
		"its app is gone":  {toTeam, "", time.Time{}, "event dead unknown_app"},
		"nothing happened": {toTeam, "", late, "event user-00000 filter logged_out"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := clock
			apps := map[string]Policy{"demo": {}}
			r := newRig(t, func(cfg *Config) { cfg.Now, cfg.Apps = func() time.Time { return now }, apps })
			r.join(t, "team", clock.Add(-time.Minute), "user-00000")
			parts := []*stream.Record{r.whole(t, "team", r.record(0, c.message))}
			if c.receipt != "" {
				r.route.HandleReceipts(t.Context(), []*stream.Record{r.recordOf("im.receipts", 0, []byte(c.receipt))})
			}
			if now = c.now; c.now.IsZero() {
				delete(apps, "demo")
				now = clock
			}
			r.lines, r.acks = nil, nil
			r.route.HandleFanout(t.Context(), parts)
			if !slices.Contains(r.lines, c.want) || len(r.acks) != 1 {
				t.Errorf("got %v, acknowledged %v, want %s", r.lines, r.acks, c.want)
			}
		})
	}
}

func TestARangeThatCannotBeReadIsKept(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	chat := &stream.Record{Topic: "im.messages", Time: clock, Value: []byte(`{"From_Account":`)}
	for i, value := range [][]byte{[]byte("no record"), stream.EncodeFanout(&stream.Fanout{Chat: chat, Buckets: 1})} {
		r.lines, r.acks = nil, nil
		r.route.HandleFanout(t.Context(), []*stream.Record{r.recordOf("push.fanout", int64(i), value)})
		want := []string{fmt.Sprintf("push.fanout.dead %d bytes", len(value)), "event dead invalid_message"}
		if !slices.Equal(r.lines, want) || len(r.acks) != 1 {
			t.Errorf("got %q, acknowledged %v, want %q", r.lines, r.acks, want)
		}
	}
}

// crowd is a registry with one endless group, which notes the most that it was ever asked at once.
type crowd struct {
	Registry
	buckets, inBucket int
	most, asked       int
	fail              error
}

func (c *crowd) Messages(_ context.Context, refs []registry.MessageRef) ([]bool, error) {
	return make([]bool, len(refs)), nil
}

func (c *crowd) Members(_ context.Context, _, _ string, bucket, _ int, _ time.Time) ([]string, error) {
	users := make([]string, c.inBucket)
	for i := range users {
		users[i] = fmt.Sprintf("user-%d-%d", bucket, i)
	}
	return users, nil
}

func (c *crowd) Decide(_ context.Context, requests []registry.DecideRequest) ([]registry.Decision, error) {
	if c.fail != nil && c.asked > c.buckets*c.inBucket/2 {
		return nil, c.fail
	}
	c.most, c.asked = max(c.most, len(requests)), c.asked+len(requests)
	return make([]registry.Decision, len(requests)), nil
}

func TestWhatARangeHoldsDoesNotGrowWithTheGroup(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := &crowd{buckets: 400, inBucket: 250}
	r.route.reg = c
	chat := &stream.Record{Topic: "im.messages", Time: clock, Value: []byte(toTeam)}
	part := stream.EncodeFanout(&stream.Fanout{Chat: chat, Last: c.buckets - 1, Buckets: c.buckets})
	r.route.HandleFanout(t.Context(), []*stream.Record{r.recordOf("push.fanout", 0, part)})
	if c.asked != 100_000 || c.most > decideChunk || len(r.acks) != 1 {
		t.Errorf("%d asked for, at most %d at once, acknowledged %v", c.asked, c.most, r.acks)
	}
}

func TestARangeIsLeftToBeReadAgainWhereItWasNotFinished(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := &crowd{buckets: 20, inBucket: 250, fail: errors.New("Redis is away")}
	r.route.reg = c
	chat := &stream.Record{Topic: "im.messages", Time: clock, Value: []byte(toTeam)}
	part := stream.EncodeFanout(&stream.Fanout{Chat: chat, Last: c.buckets - 1, Buckets: c.buckets})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r.route.HandleFanout(ctx, []*stream.Record{r.recordOf("push.fanout", 0, part)})
	if len(r.acks) != 0 {
		t.Errorf("acknowledged %v", r.acks)
	}
}

// TestDivide: about 1,000 members a record, and 16 MiB of the log for all of them.
func TestDivide(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		members, buckets, bytes int
		records                 int
	}{
		"just not small":                  {501, 3, 300, 1},
		"a few thousand":                  {5_000, 32, 300, 5},
		"a million":                       {1_000_000, 5_000, 300, 1_000},
		"a million, the largest message":  {1_000_000, 5_000, message.MaxRecord, 16},
		"a million, half of it":           {1_000_000, 5_000, message.MaxRecord / 2, 32},
		"no more records than buckets":    {100_000, 7, 300, 7},
		"shrunk to nothing, many buckets": {0, 5_000, 300, 1},
		"hostile: an empty value":         {501, 3, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parts := divide(registry.GroupSize{Members: c.members, Buckets: c.buckets}, c.bytes)
			if len(parts) != c.records {
				t.Errorf("%d records, want %d", len(parts), c.records)
			}
			next := 0
			for _, p := range parts {
				if p.first != next || p.last < p.first {
					t.Fatalf("buckets %d to %d after %d", p.first, p.last, next-1)
				}
				next = p.last + 1
			}
			if next != c.buckets {
				t.Errorf("%d of %d buckets", next, c.buckets)
			}
		})
	}
}

// TestAwkwardGroupIds: whatever a group is called, its records keep their keys apart and its members are found.
func TestAwkwardGroupIds(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"a|b", "100%", "{x}", "}{", strings.Repeat("群", 42), "../..", "g:{demo|team}:0", "%7C"} {
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.join(t, group, clock.Add(-time.Minute), names(0, 501)...)
			r.route.Handle(t.Context(), []*stream.Record{r.record(0, strings.ReplaceAll(toTeam, `"team"`, fmt.Sprintf("%q", group)))})
			parts := r.parts()
			if len(parts) != 1 {
				t.Fatalf("%d parts: %q", len(parts), r.lines)
			}
			if ids, err := stream.SplitKey(parts[0].Key); err != nil || !slices.Equal(ids, []string{"demo", group, "0"}) {
				t.Errorf("key %q: %q, %v", parts[0].Key, ids, err)
			}
			r.lines = nil
			r.route.HandleFanout(t.Context(), parts)
			if len(r.lines) != 501 {
				t.Errorf("%d members found", len(r.lines))
			}
		})
	}
}

// TestWhileMembershipsAreBehindOnlyMessagesToGroupsWait: an import of memberships must not hold up one-to-one messages,
// and a group's message must not miss who joined before it.
func TestWhileMembershipsAreBehindOnlyMessagesToGroupsWait(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.phones(t, 0, "bob", "carol")
	r.late = func() error { return errors.New("a membership is unread") }
	r.route.Handle(t.Context(), []*stream.Record{r.record(0, toTeam), r.record(1, toBob)})
	parts := r.parts()
	if len(parts) != 1 || !slices.Contains(r.lines, "event bob phone push background") || len(r.acks) != 2 {
		t.Fatalf("%d parts, acknowledged %v: %q", len(parts), r.acks, r.lines)
	}
	r.join(t, "team", clock.Add(-time.Minute), "bob", "carol") // what was unread
	looked := 0
	r.late = func() error {
		if looked++; looked < 3 {
			return errors.New("a membership is unread")
		}
		return nil
	}
	r.lines, r.acks = nil, nil
	r.route.HandleFanout(t.Context(), parts)
	if byTopic, byUser := r.pushed(t); byTopic["push.apns.normal"] != 2 || byUser["carol"] != 1 || len(r.acks) != 1 || looked != 3 {
		t.Errorf("looked %d times, acknowledged %v: %q", looked, r.acks, r.lines)
	}
}

// TestAGroupMessageThatNamesManyGoesOutInRanges: as one to a big group, so that its names hold up no other message.
func TestAGroupMessageThatNamesManyGoesOutInRanges(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	named := names(0, 1100)
	phones := everyTenth(named)
	r.phones(t, 0, phones...)
	list, err := json.Marshal(named)
	if err != nil {
		t.Fatal(err)
	}
	r.route.Handle(t.Context(), []*stream.Record{r.record(0, strings.Replace(toTeam, "{", `{"To_Account":`+string(list)+`,`, 1))})
	parts := r.parts()
	if len(parts) != 2 || len(r.lines) != 2 || len(r.acks) != 1 {
		t.Fatalf("%d parts, acknowledged %v: %.300v", len(parts), r.acks, r.lines)
	}
	r.route.HandleFanout(t.Context(), parts)
	if byTopic, byUser := r.pushed(t); byTopic["push.apns.bulk"] != len(phones) || len(byUser) != len(phones) || len(r.acks) != 3 {
		t.Errorf("%v to %d users, acknowledged %v", byTopic, len(byUser), r.acks)
	}
}
