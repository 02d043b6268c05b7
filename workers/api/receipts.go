package api

import (
	"context"
	"net/http"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// postReceipts publishes receipts, and applies those of messages that were read or acknowledged: a push that still waits
// is then not sent. The others are for roles that read the topic.
func (s *Server) postReceipts(w http.ResponseWriter, r *http.Request) *problem {
	records, release, p := s.read(w, r)
	if p != nil {
		return p
	}
	defer release()
	var read, acknowledged []registry.Receipt
	messages := make([]stream.Message, len(records))
	for i, rec := range records {
		receipt, p := s.parseReceipt(rec.value)
		if p != nil {
			return p.at(rec.line)
		}
		switch receipt.Kind {
		case registry.ReceiptRead:
			read = append(read, receipt)
		case registry.ReceiptAcknowledged:
			acknowledged = append(acknowledged, receipt)
		}
		messages[i] = stream.Message{Topic: s.opts.Topics.Receipts(), Key: stream.UserKey(receipt.App, receipt.User), Value: rec.value, Partition: stream.ByKey}
	}
	if p := s.publish(r.Context(), messages); p != nil {
		return p
	}
	if p := s.applyReceipts(r.Context(), read, acknowledged); p != nil {
		return p
	}
	answerJSON(w, http.StatusAccepted, accepted{Accepted: len(records)})
	return nil
}

func (s *Server) parseReceipt(value []byte) (registry.Receipt, *problem) {
	receipt, err := registry.ParseReceipt(value, s.opts.Now())
	if err != nil {
		return receipt, problemf(http.StatusBadRequest, "%v", err)
	}
	if !s.opts.KnownApp(receipt.App) {
		p := problemf(http.StatusBadRequest, "App: the configuration has no such app")
		p.Field, p.Reason = "App", push.ReasonUnknownApp
		return receipt, p
	}
	return receipt, nil
}

// applyReceipts brings the effect of receipts to Redis, and publishes what corrects icons by it: role devices, which
// reads the same receipts, is not told of those a second time for as long as these wait.
func (s *Server) applyReceipts(ctx context.Context, read, acknowledged []registry.Receipt) *problem {
	redis, cancel := context.WithTimeout(ctx, s.opts.RegistryTimeout)
	defer cancel()
	if len(acknowledged) > 0 {
		if err := s.opts.Registry.Acknowledge(redis, acknowledged); err != nil {
			return notYetApplied(err)
		}
	}
	if len(read) == 0 {
		return nil
	}
	syncs, err := s.opts.Registry.Read(redis, read)
	if err != nil {
		return notYetApplied(err)
	}
	return s.publish(ctx, s.opts.Syncs(syncs))
}
