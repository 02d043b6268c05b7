package faults

import (
	"sync"
	"time"
)

// maxLimited bounds the keys of a limiter. Beyond it those that are at rest are forgotten first.
const maxLimited = 1_000_000

// Limiter holds each key to a rate. Safe for concurrent use.
type Limiter struct {
	rate Rate

	mu   sync.Mutex
	full map[string]time.Time // when a key's bucket will be full again
}

// NewLimiter returns one; the zero rate limits nothing.
func NewLimiter(rate Rate) *Limiter { return &Limiter{rate: rate, full: make(map[string]time.Time)} }

// Take takes one of a key's tokens. Where there is none, it says after how long there will be.
func (l *Limiter) Take(key string, now time.Time) (ok bool, wait time.Duration) {
	if l.rate == (Rate{}) {
		return true, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.full) >= maxLimited {
		l.forget(now)
	}
	every := time.Duration(l.rate.Every)
	full := l.full[key]
	if full.Before(now) {
		full = now
	}
	if wait := full.Add(every).Sub(now) - time.Duration(l.rate.Burst)*every; wait > 0 {
		return false, wait
	}
	l.full[key] = full.Add(every)
	return true, 0
}

func (l *Limiter) forget(now time.Time) {
	for key, full := range l.full {
		if !full.After(now) {
			delete(l.full, key)
		}
	}
	if len(l.full) >= maxLimited {
		clear(l.full)
	}
}

// Meter holds each key to a quota. Safe for concurrent use.
type Meter struct {
	quota Quota

	mu      sync.Mutex
	windows map[string]window
}

type window struct {
	ends  time.Time
	count int
}

// NewMeter returns one; the zero quota limits nothing.
func NewMeter(quota Quota) *Meter { return &Meter{quota: quota, windows: make(map[string]window)} }

// Take counts one message of a key. Where its window has no room, it says after how long the next begins.
func (m *Meter) Take(key string, now time.Time) (ok bool, wait time.Duration) {
	if m.quota == (Quota{}) {
		return true, 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.windows) >= maxLimited {
		m.forget(now)
	}
	w := m.windows[key]
	if !now.Before(w.ends) {
		w = window{ends: now.Add(time.Duration(m.quota.Per))}
	}
	if w.count >= m.quota.Messages {
		return false, w.ends.Sub(now)
	}
	w.count++
	m.windows[key] = w
	return true, 0
}

func (m *Meter) forget(now time.Time) {
	for key, w := range m.windows {
		if !now.Before(w.ends) {
			delete(m.windows, key)
		}
	}
	if len(m.windows) >= maxLimited {
		clear(m.windows)
	}
}
