package wire

// waiting is a heap of the replies that are not due yet, the next one first.
type waiting []*exchange

func (w waiting) Len() int           { return len(w) }
func (w waiting) Less(i, j int) bool { return w[i].due.Before(w[j].due) }
func (w waiting) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].at, w[j].at = i, j
}

// Push is the heap's.
func (w *waiting) Push(x any) {
	ex := x.(*exchange) // nothing else is pushed
	ex.at = len(*w)
	*w = append(*w, ex)
}

// Pop is the heap's.
func (w *waiting) Pop() any {
	last := len(*w) - 1
	ex := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	ex.at = -1
	return ex
}
