package deliver

import "sync"

// lines keeps the notifications of a device in order: the first of a line is on its way, the others wait behind it. The
// source bounds how many items exist, and so how long lines get.
type lines struct {
	mu   sync.Mutex
	tail map[string]*item
}

func newLines() *lines { return &lines{tail: map[string]*item{}} }

// lineKey names the line of an item: lanes are lines of their own, so that an urgent one waits for urgent ones only.
func lineKey(it *item) string { return string(it.meta.Lane) + "\x00" + string(it.rec.Key) }

// enter puts an item at the end of its line and says whether it is the first and may go.
func (l *lines) enter(it *item) bool {
	key := lineKey(it)
	l.mu.Lock()
	defer l.mu.Unlock()
	tail := l.tail[key]
	l.tail[key] = it
	if tail == nil {
		return true
	}
	tail.next = it
	return false
}

// leave takes the first item out of its line and returns the next, which may go now, or nil.
func (l *lines) leave(it *item) *item {
	key := lineKey(it)
	l.mu.Lock()
	defer l.mu.Unlock()
	next := it.next
	it.next = nil
	if next == nil {
		delete(l.tail, key)
	}
	return next
}
