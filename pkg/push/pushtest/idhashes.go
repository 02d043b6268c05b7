package pushtest

// idHashes knows the last accepted ids by their hashes: 24 bytes or so an id, where a line costs a hundred times that.
// Two ids of a million share a hash once in 36 million runs.
type idHashes struct {
	limit int
	known map[uint64]struct{}
	order []uint64 // a ring of the hashes, oldest at next
	next  int
}

func newIDHashes(limit int) *idHashes {
	return &idHashes{limit: limit, known: make(map[uint64]struct{})}
}

// again says whether the hash is known, and remembers it.
func (h *idHashes) again(hash uint64) bool {
	if _, known := h.known[hash]; known || h.limit < 1 {
		return known
	}
	h.known[hash] = struct{}{}
	if len(h.order) < h.limit {
		h.order = append(h.order, hash)
		return false
	}
	delete(h.known, h.order[h.next])
	h.order[h.next] = hash
	h.next = (h.next + 1) % h.limit
	return false
}
