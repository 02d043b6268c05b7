package registry

import (
	"crypto/sha1" //nolint:gosec // what Lua has inside Redis; it keeps nothing secret
	"encoding/binary"
	"math/bits"
)

// Linear hashing: a group of n buckets grows by one at a time, bucket n, which takes its users from one other bucket. So
// whoever knows how many buckets there were then and now knows where each user is.

// bucketLoad is how many members a bucket has on average. One that is split soon has up to twice as many: few enough that a
// hash keeps them in its compact form (hash-max-listpack-entries is 512) and that a script reads them in some 20 µs.
const bucketLoad = 128

// hashOf places a user; scripts/split.lua computes the same.
func hashOf(user string) uint32 {
	sum := sha1.Sum([]byte(user)) //nolint:gosec // as above
	return binary.BigEndian.Uint32(sum[:4])
}

// bucketOf is the bucket of a user with this hash where there are so many.
func bucketOf(hash uint32, buckets int) int {
	modulus := uint32(1) << bits.Len(uint(buckets-1))
	return bucketNow(int(hash%modulus), buckets)
}

// bucketNow is where the users of a bucket of a larger group are where there are so many.
func bucketNow(bucket, buckets int) int {
	for bucket >= buckets {
		bucket = parentOf(bucket)
	}
	return bucket
}

// parentOf is the bucket that another, from 1 on, is split off.
func parentOf(bucket int) int { return bucket - topBit(bucket) }

func topBit(n int) int { return 1 << (bits.Len(uint(n)) - 1) }
