package registry

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// benchMemberships are 100,000, or as many as the embedded server takes in a few seconds.
func benchMemberships() []Membership {
	memberships := make([]Membership, 100_000)
	if os.Getenv("PUSHFLEET_TEST_REDIS") == "" {
		memberships = memberships[:10_000]
	}
	for i := range memberships {
		memberships[i] = Membership{App: "demo", Group: "plaza", User: fmt.Sprintf("user%07d", i), Joined: at(-float64(i))}
	}
	return memberships
}

// BenchmarkJoinBigGroup lets users join one group, and says what a member costs in time and memory.
func BenchmarkJoinBigGroup(b *testing.B) {
	memberships := benchMemberships()
	r := benchServer(b)
	for b.Loop() {
		b.StopTimer()
		if err := r.client.Del(b.Context(), benchGroupKeys(b.Context(), r)...).Err(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		for first := 0; first < len(memberships); first += benchBatch {
			if err := r.ApplyMemberships(b.Context(), memberships[first:first+benchBatch]); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(memberships)), "µs/member")
	bytes := int64(0) // stays 0 where the server does not say
	for _, key := range benchGroupKeys(b.Context(), r) {
		bytes += r.client.MemoryUsage(b.Context(), key).Val()
	}
	b.ReportMetric(float64(bytes)/float64(len(memberships)), "B/member")
}

// benchGroupKeys are all keys of the group.
func benchGroupKeys(ctx context.Context, r *Registry) []string {
	tag := userTag("demo", "plaza")
	keys := []string{groupKey(tag)}
	sizes, err := r.Groups(ctx, []GroupRef{{"demo", "plaza"}})
	if err != nil {
		return keys
	}
	for bucket := range sizes[0].Buckets {
		keys = append(keys, bucketKey(tag, bucket))
	}
	return keys
}

// BenchmarkReadBigGroup reads all members of a group, bucket by bucket.
func BenchmarkReadBigGroup(b *testing.B) {
	r, memberships := benchServer(b), benchMemberships()
	if err := r.ApplyMemberships(b.Context(), memberships); err != nil {
		b.Fatal(err)
	}
	sizes, err := r.Groups(b.Context(), []GroupRef{{"demo", "plaza"}})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		met := 0
		for bucket := range sizes[0].Buckets {
			users, err := r.Members(b.Context(), "demo", "plaza", bucket, sizes[0].Buckets, start)
			if err != nil {
				b.Fatal(err)
			}
			met += len(users)
		}
		if met != len(memberships) {
			b.Fatalf("%d members were met", met)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(memberships)), "µs/member")
}
