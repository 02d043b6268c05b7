package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"
)

const (
	maxBody    = 8 << 20  // bytes of one request's body
	maxLines   = 10_000   // records of one request
	maxRecord  = 1 << 20  // bytes of one record, as for every record of im.*
	maxBodies  = 32 << 20 // bytes of the bodies of all running requests
	bodiesWait = 2 * time.Second
)

// record is one JSON object of a body.
type record struct {
	line  int // of an NDJSON body, from 1; 0 where the body is one object
	value []byte
}

// read returns the records of a request's body, and a release to call when they are no longer held. A body is NDJSON if
// its content type says so, or if it is not one JSON value while its first line is one: curl and the like send NDJSON
// under any type.
func (s *Server) read(w http.ResponseWriter, r *http.Request) ([]record, func(), *problem) {
	size := r.ContentLength
	if size > maxBody {
		return nil, nil, problemf(http.StatusRequestEntityTooLarge, "a body is at most %d bytes", maxBody)
	}
	if size < 0 {
		size = maxBody
	}
	wait, cancel := context.WithTimeout(r.Context(), bodiesWait)
	defer cancel()
	if err := s.bodies.Acquire(wait, size); err != nil {
		return nil, nil, unavailable(err, "too many requests are being read; nothing of this one was stored")
	}
	release := func() { s.bodies.Release(size) }

	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var records []record
	var p *problem
	switch tooLarge := (*http.MaxBytesError)(nil); {
	case errors.As(err, &tooLarge):
		p = problemf(http.StatusRequestEntityTooLarge, "a body is at most %d bytes", maxBody)
	case err != nil:
		p = problemf(http.StatusBadRequest, "the body could not be read whole")
	default:
		records, p = split(body, isNDJSON(r.Header.Get("Content-Type"), body))
	}
	if p != nil {
		release()
		return nil, nil, p
	}
	return records, release, nil
}

func isNDJSON(contentType string, body []byte) bool {
	switch mediaType, _, _ := mime.ParseMediaType(contentType); mediaType {
	case "application/x-ndjson", "application/ndjson", "application/jsonl":
		return true
	}
	first, _, several := bytes.Cut(bytes.TrimSpace(body), []byte("\n"))
	return several && json.Valid(first) && !json.Valid(body)
}

func split(body []byte, ndjson bool) ([]record, *problem) {
	var records []record
	if !ndjson {
		records = append(records, record{value: bytes.TrimSpace(body)})
	} else {
		line := 0
		for text := range bytes.Lines(body) {
			line++
			text = bytes.TrimSpace(text)
			if len(text) == 0 {
				continue
			}
			if len(records) == maxLines {
				return nil, problemf(http.StatusRequestEntityTooLarge, "a body is at most %d lines", maxLines).at(line)
			}
			records = append(records, record{line: line, value: text})
		}
	}
	if len(records) == 0 || len(records[0].value) == 0 {
		return nil, problemf(http.StatusBadRequest, "the body is empty")
	}
	for _, rec := range records {
		switch {
		case len(rec.value) > maxRecord:
			return nil, problemf(http.StatusRequestEntityTooLarge, "a record is at most %d bytes", maxRecord).at(rec.line)
		case !json.Valid(rec.value):
			return nil, problemf(http.StatusBadRequest, "this is not JSON").at(rec.line)
		case rec.value[0] != '{':
			return nil, problemf(http.StatusBadRequest, "a record is one JSON object; several are sent as NDJSON").at(rec.line)
		}
	}
	return records, nil
}
