package stream

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"
)

// trouble logs something that fails and is tried again, by its changes and not by its tries: a line when it begins, one
// for each further cause, and one when it ends. It is safe for concurrent use.
type trouble struct {
	log          *zap.Logger
	begins, ends string // messages

	mu     sync.Mutex
	since  time.Time // zero = all is well
	causes []string  // that were logged since
}

// maxCauses bounds the lines of one trouble, whatever texts its errors have.
const maxCauses = 8

func (t *trouble) failed(err error, fields ...zap.Field) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() {
		t.since = time.Now()
	}
	if c := cause(err); len(t.causes) < maxCauses && !slices.Contains(t.causes, c) {
		t.causes = append(t.causes, c)
		t.log.Warn(t.begins, append(fields, zap.Error(err))...)
	}
}

func (t *trouble) over() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.since.IsZero() {
		t.log.Info(t.ends, zap.Duration("after", time.Since(t.since)))
	}
	t.since, t.causes = time.Time{}, nil
}

// cause is what two errors of one cause have in common: texts of connections hold port numbers.
func cause(err error) string {
	var code kafka.Error
	var network net.Error
	switch {
	case errors.As(err, &code):
		return code.Title()
	case errors.Is(err, ErrNoBroker):
		return ErrNoBroker.Error()
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection"
	}
	return err.Error()
}
