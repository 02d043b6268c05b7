package api

import (
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
	if p := s.applyReceipts(r, read, acknowledged); p != nil {
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

// applyReceipts brings the effect of receipts to Redis. Corrections of icons are left to role devices: it reads the same
// receipts, and gets the same answer.
func (s *Server) applyReceipts(r *http.Request, read, acknowledged []registry.Receipt) *problem {
	ctx, cancel := s.registryContext(r)
	defer cancel()
	if len(read) > 0 {
		if _, err := s.opts.Registry.Read(ctx, read); err != nil {
			return notYetApplied(err)
		}
	}
	if len(acknowledged) > 0 {
		if err := s.opts.Registry.Acknowledge(ctx, acknowledged); err != nil {
			return notYetApplied(err)
		}
	}
	return nil
}
