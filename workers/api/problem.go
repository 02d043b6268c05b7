package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// problem is an error answer: application/problem+json of RFC 9457, with the place of the mistake as extension members.
type problem struct {
	Type   string      `json:"type"`
	Title  string      `json:"title"`
	Status int         `json:"status"`
	Detail string      `json:"detail"`
	Line   int         `json:"line,omitempty"`   // of an NDJSON body, from 1
	Field  string      `json:"field,omitempty"`  // name of the field at fault
	Reason push.Reason `json:"reason,omitempty"` // of the closed list, where the record would have become a dead letter

	retryAfter time.Duration
	cause      error // for the log
}

func problemf(status int, format string, args ...any) *problem {
	return &problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

// unavailable is the answer while Kafka or Redis is away.
func unavailable(cause error, format string, args ...any) *problem {
	p := problemf(http.StatusServiceUnavailable, format, args...)
	p.retryAfter, p.cause = 2*time.Second, cause
	return p
}

// notYetApplied is the answer where Kafka has it all and Redis does not.
func notYetApplied(cause error) *problem {
	return unavailable(cause, "durable in Kafka, not yet applied to Redis: it will be; a repeat is harmless")
}

func (p *problem) at(line int) *problem {
	p.Line = line
	return p
}

func (p *problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(p.retryAfter/time.Second)))
	}
	w.WriteHeader(p.Status)
	writeJSON(w, p)
}

// answerJSON writes v. An error of the write means that the client is gone: there is no one to tell.
func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	writeJSON(w, v)
}

func writeJSON(w http.ResponseWriter, v any) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}
