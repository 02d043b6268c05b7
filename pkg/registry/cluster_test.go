package registry

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// cluster is the real cluster that the environment names, seen node by node.
type cluster struct {
	t     *testing.T
	nodes map[string]*redis.Client // by node id
}

func openCluster(t *testing.T) (*cluster, *fixture) {
	t.Helper()
	addrs := os.Getenv("PUSHFLEET_TEST_REDIS_CLUSTER")
	if addrs == "" {
		t.Skip("PUSHFLEET_TEST_REDIS_CLUSTER names no cluster")
	}
	c := &cluster{t: t, nodes: make(map[string]*redis.Client)}
	for addr := range strings.SplitSeq(addrs, ",") {
		node := redis.NewClient(&redis.Options{Addr: addr, DisableIdentity: true})
		t.Cleanup(func() { node.Close() })
		c.nodes[c.do(node, "cluster", "myid").(string)] = node
	}
	f := newFixture(t, newRegistry(dialCluster(t, addrs), true, Options{}))
	if err := f.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, f
}

func (c *cluster) do(node *redis.Client, args ...any) any {
	c.t.Helper()
	answer, err := node.Do(c.t.Context(), args...).Result()
	if err != nil {
		c.t.Fatalf("%v: %v", args, err)
	}
	return answer
}

// owner is the id of the node that has a slot, and of one that has not.
func (c *cluster) owner(slot int) (owner, other string) {
	c.t.Helper()
	for _, item := range c.do(slices.Collect(maps.Values(c.nodes))[0], "cluster", "slots").([]any) {
		row := item.([]any)
		if from, to := int(row[0].(int64)), int(row[1].(int64)); from <= slot && slot <= to {
			owner = row[2].([]any)[2].(string)
		}
	}
	for id := range c.nodes {
		if id != owner {
			return owner, id
		}
	}
	return "", ""
}

// keys are those that a node has in a slot.
func (c *cluster) keys(node string, slot int) []string {
	c.t.Helper()
	var keys []string
	for _, key := range c.do(c.nodes[node], "cluster", "getkeysinslot", slot, 1000).([]any) {
		keys = append(keys, key.(string))
	}
	return keys
}

// A slot that moves to another master takes everything of its users and groups along. While it moves, calls may fail,
// never with a wrong answer and never as if waiting were of no use; when it has moved, they go on as if nothing had been.
// It changes the cluster that other tests share, so it is not parallel to them.
func TestSlotMovesToAnotherMaster(t *testing.T) { //nolint:paralleltest // as said
	c, f := openCluster(t)
	tag := userTag(f.app, "bob")
	slot := slotOf(tag)
	from, to := c.owner(slot)

	f.apply(f.event(EventLogin, 0, token("aa")), f.event(EventBackground, 5))
	f.now = at(10)
	if d := f.decide(f.message())[0]; d.Devices[0].Badge != 1 {
		t.Fatalf("before: %+v", d)
	}
	group := func(user string) Membership { // a group in bob's slot
		return Membership{App: f.app, Group: "bob", User: user, Joined: at(0)}
	}
	f.enlist(group("ann"))

	passing := func(when string) {
		t.Helper()
		_, decided := f.Decide(t.Context(), []DecideRequest{f.message(func(q *DecideRequest) { q.Counts = false })})
		_, admitted := f.Admit(t.Context(), []AdmitRequest{f.request(when)})
		_, applied := f.Apply(t.Context(), []DeviceEvent{f.event(EventBackground, 5)})
		_, sized := f.Groups(t.Context(), []GroupRef{{f.app, "bob"}})
		_, read := f.Members(t.Context(), f.app, "bob", 0, 1, at(0))
		joined := f.ApplyMemberships(t.Context(), []Membership{group("cat"), group("dan")})
		for what, err := range map[string]error{
			"decide": decided, "admit": admitted, "apply": applied, "groups": sized, "members": read, "join": joined,
		} {
			if errors.Is(err, ErrEmpty) || err != nil && Lasting(err) {
				t.Errorf("%s: %s: %v", when, what, err)
			}
		}
	}
	move := func(key string) {
		t.Helper()
		host, port, _ := strings.Cut(c.nodes[to].Options().Addr, ":")
		c.do(c.nodes[from], "migrate", host, port, key, 0, 5000)
	}
	c.do(c.nodes[to], "cluster", "setslot", slot, "importing", from)
	c.do(c.nodes[from], "cluster", "setslot", slot, "migrating", to)
	passing("nothing has moved yet")
	for len(c.keys(from, slot)) > 0 {
		keys := c.keys(from, slot)
		move(keys[0])
		passing(fmt.Sprintf("%q has moved", strings.ReplaceAll(keys[0], f.app, "app")))
	}
	c.do(c.nodes[to], "cluster", "setslot", slot, "node", to)
	c.do(c.nodes[from], "cluster", "setslot", slot, "node", to)

	if d := f.decide(f.message())[0]; len(d.Devices) != 1 || d.Devices[0].Badge != 2 {
		t.Errorf("after: %+v", d)
	}
	f.apply(f.event(EventForeground, 20))
	f.now = at(25)
	if got := f.reason(); got != "foreground" {
		t.Errorf("after: %s", got)
	}
	f.enlist(group("cat"), group("dan"))
	users, err := f.Members(t.Context(), f.app, "bob", 0, 1, at(0))
	slices.Sort(users)
	if err != nil || !slices.Equal(users, []string{"ann", "cat", "dan"}) {
		t.Errorf("after: the group has %q, %v", users, err)
	}
	if got := c.keys(from, slot); len(got) != 0 {
		t.Errorf("keys were left behind: %q", got)
	}
}
