package registry

import (
	"fmt"
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
	for range 300 + random.IntN(400) {
		user := newcomer()
		members[user] = true
		first = append(first, f.join(user, float64(random.IntN(100))))
	}
	enlist(first...)
	planned := f.size().Buckets
	if planned < 3 {
		t.Fatalf("%d members are in %d buckets", len(members), planned)
	}

	const sent = 1000 // when the message was sent
	now = sent + 1
	present := slices.Sorted(mapKeys(members))
	trips := 0
	reader := f.meddled(func() {
		trips++
		var batch []Membership
		for range random.IntN(250) {
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

func mapKeys(m map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
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
	for i := range 900 {
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

// Several writers of one group split its buckets under each other's hands.
func testSeveralWritersOfOneGroup(t *testing.T, f *fixture) {
	const writers, each = 4, 300
	done := make(chan error, writers)
	for w := range writers {
		go func() {
			var batch []Membership
			for i := range each {
				batch = append(batch, f.join(fmt.Sprintf("user%d-%d", w, i), 0))
			}
			for some := range slices.Chunk(batch, 60) {
				if err := f.ApplyMemberships(t.Context(), some); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	size := f.size()
	if size.Members != writers*each || size.Buckets != (writers*each+bucketLoad-1)/bucketLoad {
		t.Errorf("%d members: %+v", writers*each, size)
	}
	if got := f.members(at(0)); len(got) != writers*each || len(slices.Compact(got)) != writers*each {
		t.Errorf("%d members were met", len(got))
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
