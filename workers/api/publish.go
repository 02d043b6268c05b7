package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

// publish returns nil once every message is durable in Kafka. After the publish timeout it gives up the wait, not the
// records: the publisher may still write them, and the answer says so.
func (s *Server) publish(ctx context.Context, messages []stream.Message) *problem {
	ctx, cancel := context.WithTimeout(ctx, s.opts.PublishTimeout)
	defer cancel()
	done := make(chan error, len(messages)) // so large that a late answer finds room after the wait was given up
	for _, m := range messages {
		s.opts.Publisher.Publish(ctx, m, func(err error) { done <- err })
	}
	var failed error
	for range messages {
		select {
		case err := <-done:
			failed = errors.Join(failed, err)
		case <-ctx.Done():
			return unavailable(ctx.Err(), "Kafka confirmed not all within %s; records may have been stored and may still be: "+
				"repeat the request, all but messages without MsgRandom or Random are recognized as repeated",
				s.opts.PublishTimeout)
		}
	}
	if errors.Is(failed, stream.ErrTooLarge) {
		return problemf(http.StatusRequestEntityTooLarge, "a record is larger than its topic takes; others may have been stored")
	}
	if failed != nil {
		return unavailable(failed, "Kafka did not take all records; some may have been stored: repeat the request")
	}
	return nil
}
