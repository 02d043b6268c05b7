package registry

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
)

// meddler lets something happen right before each trip to Redis.
type meddler struct {
	redis.UniversalClient
	before func()
}

func (m *meddler) Pipeline() redis.Pipeliner {
	m.before()
	return m.UniversalClient.Pipeline()
}

// meddled is the fixture's registry for a reader to whom something happens before each of its trips.
func (f *fixture) meddled(before func()) *Registry {
	return &Registry{
		client: &meddler{f.client, before}, scripts: f.scripts, markers: f.markers, opts: f.opts,
	}
}

// Whoever divides a group by the buckets that it has meets each of its members exactly once, although others join and
// leave, buckets are split and the whole group is lost and restored before each single trip to Redis.
func testEverybodyExactlyOnce(t *testing.T, f *fixture) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	now := 0.0
	members := make(map[string]bool) // as of the message
	var history []Membership         // all of it, for the restore
	enlist := func(ms ...Membership) {
		history = append(history, ms...)
		f.enlist(ms...)
	}
	newcomers := 0
	newcomer := func() string {
		newcomers++
		return fmt.Sprintf("user%06d", newcomers)
	}

	var first []Membership
	for range 150 + random.IntN(150) {
		user := newcomer()
		members[user] = true
		first = append(first, f.join(user, float64(random.IntN(100))))
	}
	enlist(first...)
	planned := f.size().Buckets
	if planned < 2 {
		t.Fatalf("%d members are in %d buckets", len(members), planned)
	}

	const sent = 1000 // when the message was sent
	now = sent + 1
	present := slices.Sorted(maps.Keys(members))
	trips := 0
	reader := f.meddled(func() {
		trips++
		var batch []Membership
		changes := random.IntN(300)
		if trips == 1 {
			changes = 1000 // so many that what was split off the first bucket was split in turn
		}
		for range changes {
			now++
			if random.IntN(4) > 0 || len(present) == 0 {
				batch = append(batch, f.join(newcomer(), now))
				continue
			}
			at := random.IntN(len(present))
			batch = append(batch, f.leave(present[at], now))
			present = slices.Delete(present, at, at+1)
		}
		f.now = at(now)
		enlist(batch...)
		if random.IntN(12) == 0 {
			f.lose()
			if err := f.RestoreMemberships(t.Context(), history); err != nil {
				t.Fatal(err)
			}
		}
	})
	met := make(map[string]int)
	for bucket := range planned {
		users, err := reader.Members(t.Context(), f.app, "team", bucket, planned, at(sent))
		if err != nil {
			t.Fatal(err)
		}
		for _, user := range users {
			met[user]++
		}
	}
	t.Logf("seed %d: planned %d buckets, %d at the end, %d trips", seed, planned, f.size().Buckets, trips)
	for user := range members {
		if met[user] != 1 {
			t.Errorf("seed %d: %s was met %d times", seed, user, met[user])
		}
		delete(met, user)
	}
	for user := range met {
		t.Errorf("seed %d: %s joined after the message was sent", seed, user)
	}
}

// lose removes all that Redis knows of the group.
func (f *fixture) lose() {
	f.t.Helper()
	tag := userTag(f.app, "team")
	for b := range f.size().Buckets {
		if err := f.client.Del(f.t.Context(), bucketKey(tag, b)).Err(); err != nil {
			f.t.Fatal(err)
		}
	}
	if err := f.client.Del(f.t.Context(), groupKey(tag)).Err(); err != nil {
		f.t.Fatal(err)
	}
}

// A group that came back with fewer buckets than a reader planned with still has everybody for it.
func testRestoredGroupIsSmaller(t *testing.T, f *fixture) {
	var all, stayed []Membership
	for i := range 600 {
		m := f.join(fmt.Sprint("user", i), 0)
		all = append(all, m)
		if i%3 == 0 {
			stayed = append(stayed, m)
		}
	}
	f.enlist(all...)
	before := f.size()
	f.lose()
	if err := f.RestoreMemberships(t.Context(), stayed); err != nil {
		t.Fatal(err)
	}
	if after := f.size(); after.Buckets >= before.Buckets || after.Members != len(stayed) {
		t.Fatalf("restored: %+v, before %+v", after, before)
	}
	met := make(map[string]int)
	for bucket := range before.Buckets {
		users, err := f.Members(t.Context(), f.app, "team", bucket, before.Buckets, at(1))
		if err != nil {
			t.Fatal(err)
		}
		for _, user := range users {
			met[user]++
		}
	}
	want := make(map[string]int)
	for _, m := range stayed {
		want[m.User] = 1
	}
	if diff := cmp.Diff(want, met); diff != "" {
		t.Error(diff)
	}
}

// Several writers of one group split its buckets under each other's hands, and nobody is put where nobody looks.
func testSeveralWritersOfOneGroup(t *testing.T, f *fixture) {
	others := 0
	writer := f.meddled(func() {
		if others == 900 {
			return
		}
		var batch []Membership
		for range 100 {
			others++
			batch = append(batch, f.join(fmt.Sprint("other", others), 0))
		}
		f.enlist(batch...)
	})
	var own []Membership
	for i := range 300 {
		own = append(own, f.join(fmt.Sprint("own", i), 0))
	}
	for some := range slices.Chunk(own, 60) {
		if err := writer.ApplyMemberships(t.Context(), some); err != nil {
			t.Fatal(err)
		}
	}
	if others != 900 {
		t.Fatalf("the writer was disturbed %d times", others/100)
	}
	if size := f.size(); size.Members != 1200 || size.Buckets != 1200/bucketLoad+1 {
		t.Errorf("1200 members: %+v", size)
	}
	if got := f.members(at(0)); len(got) != 1200 || len(slices.Compact(got)) != 1200 {
		t.Errorf("%d members were met", len(got))
	}
}

// Two writers who see at once that a group has to grow split one bucket, not two.
func testTwoSplitAtOnce(t *testing.T, f *fixture) {
	team := GroupRef{f.app, "team"}
	var many []Membership
	for i := range 4 * bucketLoad {
		many = append(many, f.join(fmt.Sprint("user", i), 0))
	}
	grow, err := f.writeMembers(t.Context(), many, false)
	if err != nil || grow[team] != 1 {
		t.Fatalf("to grow: %v, %v", grow, err)
	}
	answers, err := f.run(t.Context(), "split", []*redis.StringCmd{f.splitCall(t.Context(), team, 1), f.splitCall(t.Context(), team, 1)})
	if err != nil || !slices.Equal(answers, []string{"G2", "G2"}) {
		t.Errorf("split: %q, %v", answers, err)
	}
	if err := f.splitBuckets(t.Context(), grow); err != nil {
		t.Fatal(err)
	}
	if size := f.size(); size.Buckets != 4 || len(f.members(at(0))) != len(many) {
		t.Errorf("%+v, %d members were met", size, len(f.members(at(0))))
	}
}

func TestEmptyRedisKnowsNoGroupsAndNoMessages(t *testing.T) {
	t.Parallel()
	for _, cluster := range []bool{false, true} {
		t.Run(fmt.Sprintf("cluster %t", cluster), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, newRegistry(dial(t, serve(t), 0), cluster, Options{}))
			ctx := t.Context()
			ref := MessageRef{App: f.app, Key: "c2c:alice:1_2_3", Origin: "im.messages/0/1"}
			refuse := func(when string, keys int64) {
				t.Helper()
				_, sized := f.Groups(ctx, []GroupRef{{f.app, "team"}})
				_, read := f.Members(ctx, f.app, "team", 0, 1, at(0))
				_, registered := f.Messages(ctx, []MessageRef{ref})
				_, recalled := f.Recall(ctx, ref, f.now)
				for what, err := range map[string]error{
					"join": f.ApplyMemberships(ctx, []Membership{f.join("bob", 0)}), "groups": sized, "members": read,
					"messages": registered, "recall": recalled,
				} {
					if !errors.Is(err, ErrEmpty) {
						t.Errorf("%s, %s: %v", when, what, err)
					}
				}
				if n := f.client.DBSize(ctx).Val(); n != keys {
					t.Errorf("%s: there are %d keys, want %d", when, n, keys)
				}
			}
			refuse("new", 0)
			if err := f.RestoreMemberships(ctx, []Membership{f.join("ann", 0)}); err != nil {
				t.Fatal(err)
			}
			refuse("while it is rebuilt", 2)
			if err := f.Complete(ctx); err != nil {
				t.Fatal(err)
			}
			if got := f.members(at(0)); !slices.Equal(got, []string{"ann"}) {
				t.Errorf("restored: %q", got)
			}
		})
	}
}

// Every bucket is found by whoever knows how many there are, and takes its users from one other.
func TestBuckets(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		hash := random.Uint32()
		buckets := 1 + random.IntN(5000)
		was := bucketOf(hash, buckets)
		if was < 0 || was >= buckets {
			t.Fatalf("hash %d is in bucket %d of %d", hash, was, buckets)
		}
		if now := bucketOf(hash, buckets+1); now != was && (now != buckets || was != parentOf(buckets)) {
			t.Fatalf("hash %d went from bucket %d of %d to %d", hash, was, buckets, now)
		}
		if moved := int(hash%uint32(2*topBit(buckets))) == buckets; moved != (bucketOf(hash, buckets+1) == buckets) {
			t.Fatalf("hash %d: the script moves it to bucket %d: %t", hash, buckets, moved)
		}
		if fewer := 1 + random.IntN(buckets); bucketNow(was, fewer) != bucketOf(hash, fewer) {
			t.Fatalf("hash %d in bucket %d of %d is not in %d of %d", hash, was, buckets, bucketNow(was, fewer), fewer)
		}
	}
}
