package deliver

import (
	"sync"
	"time"
)

// maxThrottled bounds how many devices are remembered; further ones are sent to, and say so themselves.
const maxThrottled = 10_000

// sweepThrottled is how often it is looked for those whose time is over, where there is no room.
const sweepThrottled = time.Second

// longestThrottle bounds what a provider can ask for a device: what comes later is tried.
const longestThrottle = time.Hour

// throttled is the devices that their provider wants to be left alone for a while.
type throttled struct {
	mu    sync.Mutex
	until map[string]time.Time // by record key
	swept time.Time            // when those whose time is over were forgotten last
}

// put notes that a device is to be left alone.
func (t *throttled) put(key []byte, now time.Time, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.until) >= maxThrottled && now.Sub(t.swept) >= sweepThrottled {
		t.swept = now
		for k, until := range t.until {
			if !until.After(now) {
				delete(t.until, k)
			}
		}
	}
	if len(t.until) >= maxThrottled {
		return
	}
	if t.until == nil {
		t.until = map[string]time.Time{}
	}
	t.until[string(key)] = now.Add(min(wait, longestThrottle))
}

// left is how long a device is still to be left alone; 0 = it is not.
func (t *throttled) left(key []byte, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.until) == 0 {
		return 0
	}
	until, ok := t.until[string(key)]
	if !ok {
		return 0
	}
	if !until.After(now) {
		delete(t.until, string(key))
		return 0
	}
	return until.Sub(now)
}
