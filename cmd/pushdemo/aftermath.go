package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

// receipt reports what became of a message. p is nil for a recall, whose user is the sender.
func (s *story) receipt(ctx context.Context, kind, message, user string, p *phone) error {
	receipt := map[string]any{"App": app, "User": user, "Receipt": kind, "MsgKey": message, "ReceiptTime": time.Now().UnixMilli()}
	if p != nil {
		receipt["Device"] = p.device
	}
	return s.call(ctx, http.MethodPost, s.api+"/v1/receipts", receipt, nil)
}

// comes waits until the phone's provider has accepted a request for a message that is as it should be.
func (s *story) comes(ctx context.Context, p *phone, token, message string, is func(e entry, screen shown) bool) (shown, error) {
	var screen shown
	found, err := until(ctx, func(ctx context.Context) (bool, error) {
		entries, err := s.ledger(ctx, token)
		for _, e := range entries {
			if !e.accepted() {
				continue
			}
			got, of, err := e.read(p)
			if err != nil {
				return false, err
			}
			if of == message && is(e, got) {
				screen = got
				return true, nil
			}
		}
		return false, err
	})
	if err == nil && !found {
		err = fmt.Errorf("%s does not get it", p.device)
	}
	return screen, err
}

// readElsewhere lets Dave read a message on his iPad.
func (s *story) readElsewhere(ctx context.Context, sc *scene) error {
	if err := s.away(ctx, s.davesIPad, 7); err != nil {
		return err
	}
	message, err := s.say(ctx, to("dave"), text("read this"))
	if err != nil {
		return err
	}
	if err := s.expect(ctx, sc, message, gets(s.davesIPhone, "Alice:read this", 3, "", ""), gets(s.davesIPad, "Alice:read this", 8, "", "")); err != nil {
		return err
	}
	if err := s.receipt(ctx, "read", message, "dave", s.davesIPad); err != nil {
		return err
	}
	corrected, err := s.comes(ctx, s.davesIPhone, s.davesIPhone.token, message, func(_ entry, screen shown) bool { return screen.text == "" })
	if err != nil {
		return err
	}
	sc.note("the number on the iPhone's icon, corrected in the background: %s", corrected.badge)
	if corrected.badge != "2" {
		return errors.New("it should be 2")
	}
	return nil
}

// takenBack lets Alice take back what Dave's iPhone shows.
func (s *story) takenBack(ctx context.Context, sc *scene) error {
	message, err := s.say(ctx, to("dave"), text("oops"))
	if err != nil {
		return err
	}
	if err := s.expect(ctx, sc, message, gets(s.davesIPhone, "Alice:oops", 3, "", "")); err != nil {
		return err
	}
	delete(s.recipients, key{message, s.davesIPhone.device}) // it shows two notifications of this message, one after the other
	if err := s.receipt(ctx, "recall", message, "alice", nil); err != nil {
		return err
	}
	screen, err := s.comes(ctx, s.davesIPhone, s.davesIPhone.token, message, func(_ entry, screen shown) bool { return screen.text != "Alice:oops" })
	if err != nil {
		return err
	}
	entries, err := s.requests(ctx, s.davesIPhone, message)
	if err != nil {
		return err
	}
	var places []string
	for _, e := range entries {
		places = append(places, e.Headers["apns-collapse-id"])
	}
	sc.note("in its place: %s", screen.text)
	if screen.text != "Alice:[Message recalled]" || len(slices.Compact(places)) != 1 {
		return errors.New("it should be Alice:[Message recalled], in the place of the first")
	}
	return nil
}

// rings lets Alice call Dave.
func (s *story) rings(ctx context.Context, sc *scene) error {
	token := newToken()
	if err := s.report(ctx, map[string]any{"App": app, "User": "dave", "Device": s.davesIPhone.device, "Event": "token",
		"EventTime": time.Now().UnixMilli(), "Platform": "apns", "Token": s.davesIPhone.token, "VoIPToken": token}); err != nil {
		return err
	}
	message, err := s.say(ctx, map[string]any{"To_Account": "dave", "OfflinePushInfo": map[string]any{
		"Desc": "calls you", "Ext": `{"call":1}`, "ApnsInfo": map[string]any{"PushType": "voip"}}}, text("call"))
	if err != nil {
		return err
	}
	var topic string
	if _, err := s.comes(ctx, s.davesIPhone, token, message, func(e entry, _ shown) bool {
		topic = e.Headers["apns-topic"]
		return e.Headers["apns-push-type"] == "voip"
	}); err != nil {
		return err
	}
	sc.note("to the topic %s, in the lane for what is urgent", topic)
	return nil
}

// ownService lets Erin's phone take messages through the IM's own service, and falls back where it does not answer.
func (s *story) ownService(ctx context.Context, sc *scene) error {
	if err := s.report(ctx, map[string]any{"App": app, "User": "erin", "Device": s.erinsPixel.device, "Event": "token",
		"EventTime": time.Now().UnixMilli(), "Platform": "fcm", "Token": s.erinsPixel.token, "Service": true}); err != nil {
		return err
	}
	taken, err := s.say(ctx, to("erin"), text("through the service"))
	if err != nil {
		return err
	}
	if err := s.handedOver(ctx, taken); err != nil {
		return err
	}
	if err := s.receipt(ctx, "acknowledged", taken, "erin", s.erinsPixel); err != nil {
		return err
	}
	missed, err := s.say(ctx, to("erin"), text("and where it sleeps"))
	if err != nil {
		return err
	}
	if err := s.handedOver(ctx, missed); err != nil {
		return err
	}
	if err := s.expect(ctx, sc, missed, gets(s.erinsPixel, "Alice:and where it sleeps", 5, "", "")); err != nil {
		return err
	}
	asked, err := s.requests(ctx, s.erinsPixel, taken)
	if err != nil {
		return err
	}
	sc.note("both messages went to the gateway; FCM was asked for %d acknowledged ones", len(asked))
	if len(asked) > 0 {
		return errors.New("there should be none")
	}
	return nil
}

// handedOver waits until the gateway's topic has a message.
func (s *story) handedOver(ctx context.Context, message string) error {
	found, err := until(ctx, func(ctx context.Context) (bool, error) {
		found := false
		err := s.cluster.Scan(ctx, s.topics.Offline(), nil, func(rec *stream.Record) bool {
			var offline struct{ MsgKey string }
			found = json.Unmarshal(rec.Value, &offline) == nil && offline.MsgKey == message
			return !found
		})
		return found, err
	})
	if err == nil && !found {
		err = errors.New("the gateway gets nothing")
	}
	return err
}
