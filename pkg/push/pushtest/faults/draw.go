package faults

import "math"

// Draws are made from hashes, not from a generator: what a request suffers must not depend on how many came before it,
// which with several connections is chance.

// golden is the odd number next to 2⁶⁴ divided by the golden ratio, the step of SplitMix64.
const golden = 0x9e3779b97f4a7c15

// latencySalt tells the draws of standing delays from those of faults.
const latencySalt = -1

// mix is SplitMix64's finalizer.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// key is a number for a subject, a seed and a salt.
func (s Subject) key(seed uint64, salt int) uint64 {
	// FNV-1a, with a byte between the two that is in neither.
	h := uint64(0xcbf29ce484222325)
	for i := range len(s.Token) {
		h = (h ^ uint64(s.Token[i])) * 0x100000001b3
	}
	h = (h ^ 0xff) * 0x100000001b3
	for i := range len(s.ID) {
		h = (h ^ uint64(s.ID[i])) * 0x100000001b3
	}
	if s.Token == "" && s.ID == "" { // a connection, which has no name but its number
		h ^= mix(s.Number)
	}
	return mix(h ^ mix(seed+golden) ^ mix(uint64(salt)*golden+1))
}

// uniform is in [0, 1).
func uniform(key uint64) float64 { return float64(key>>11) / (1 << 53) }

// normal is a draw of the standard normal distribution, by Box and Muller.
func normal(key uint64) float64 {
	u, v := 1-uniform(key), uniform(mix(key+golden)) // u is never 0
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v)
}
