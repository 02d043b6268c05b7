package pushtest

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Answer is a scripted answer, given instead of the simulator's own to requests that pass its checks.
type Answer struct {
	// Status of the answer. 0 = the simulator answers by itself after the delay, or, where Reason is [ReasonReset],
	// does not answer at all.
	Status     int    `json:"status"`
	Reason     string `json:"reason"`
	RetryAfter int    `json:"retry_after"` // s; 0 = no such header
	DelayMS    int    `json:"delay_ms"`    // before the answer
	Times      int    `json:"times"`       // how many requests get it; 0 = 1, negative = for ever
	Timestamp  int64  `json:"timestamp"`   // ms, where the platform's answer has one; 0 = now
}

// ReasonReset is the reason that, with status 0, resets the request's stream instead of answering.
const ReasonReset = "reset"

// Delay is how long to wait before answering.
func (a Answer) Delay() time.Duration { return time.Duration(a.DelayMS) * time.Millisecond }

func (a Answer) check() error {
	switch {
	case a.Status != 0 && (a.Status < 200 || a.Status > 599):
		return fmt.Errorf("status %d: want 0 or 200 to 599", a.Status)
	case a.Status == 0 && a.Reason != "" && a.Reason != ReasonReset:
		return fmt.Errorf("reason with status 0: want none or %q", ReasonReset)
	case a.RetryAfter < 0:
		return errors.New("retry_after: want 0 or more seconds")
	case a.DelayMS < 0:
		return errors.New("delay_ms: want 0 or more milliseconds")
	}
	return nil
}

// The limits of a script, so that a test that goes astray does not fill the memory.
const (
	maxScriptTokens  = 100_000
	maxScriptAnswers = 10_000 // of one token
)

// Script holds the answers that are still to be given. The zero value is empty. Safe for concurrent use.
type Script struct {
	mu      sync.Mutex
	answers map[string][]Answer // by token; "" = every token
}

// Put replaces the answers of a token, or those for every token where it is ""; none means the simulator's own again.
func (s *Script) Put(token string, answers []Answer) error {
	if len(answers) > maxScriptAnswers {
		return fmt.Errorf("answers: %d, at most %d", len(answers), maxScriptAnswers)
	}
	queue := make([]Answer, 0, len(answers))
	for i, a := range answers {
		if err := a.check(); err != nil {
			return fmt.Errorf("answers[%d]: %w", i, err)
		}
		if a.Times == 0 {
			a.Times = 1
		}
		queue = append(queue, a)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(queue) == 0 {
		delete(s.answers, token)
		return nil
	}
	if _, known := s.answers[token]; !known && len(s.answers) >= maxScriptTokens {
		return fmt.Errorf("answers for %d tokens already", maxScriptTokens)
	}
	if s.answers == nil {
		s.answers = make(map[string][]Answer)
	}
	s.answers[token] = queue
	return nil
}

// Next takes the answer to a request for token: its own first, then those for every token. false = the simulator's own.
func (s *Script) Next(token string) (Answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.take(token); ok || token == "" {
		return a, ok
	}
	return s.take("")
}

func (s *Script) take(token string) (Answer, bool) {
	queue := s.answers[token]
	if len(queue) == 0 {
		return Answer{}, false
	}
	a := queue[0]
	if a.Times > 1 {
		queue[0].Times--
	}
	if a.Times == 1 {
		if len(queue) == 1 {
			delete(s.answers, token)
		} else {
			s.answers[token] = queue[1:]
		}
	}
	return a, true
}
