package fleet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// A device's own service gets the message through the IM's gateway; FCM gets it only where no acknowledgement comes in
// the time that the app allows.
func TestFCMIsTheFallbackOfADevicesOwnService(t *testing.T) {
	t.Parallel()
	f := startEmbedded(t, 20, "retry: {delays: [5s]}\nshutdown: {grace: 2s}", map[string]string{"demo": "    service_wait: 5s\n"})
	tokens := []string{"demo-awake", "demo-asleep"}
	users := []string{"awake", "asleep"}
	for i, user := range users {
		f.produce(f.topics.Devices(), stream.UserKey("demo", user), map[string]any{"App": "demo", "User": user, "Device": "tablet", "Event": "login",
			"EventTime": time.Now().Add(-time.Second).UnixMilli(), "Platform": "fcm", "Credential": "android", "Token": tokens[i], "Service": true, "Language": "en"})
		f.produce(f.topics.Presence(), stream.UserKey("demo", user), map[string]any{"App": "demo", "User": user, "Device": "tablet",
			"Event": "killed", "EventTime": time.Now().UnixMilli()})
	}
	eventually(t, patience, 20*time.Millisecond, "both tablets", func(ctx context.Context) error {
		for i, user := range users {
			devices, err := f.reg.Devices(ctx, "demo", user)
			if err != nil || len(devices) != 1 || devices[0].TokenHash != registry.TokenHash(tokens[i]) || devices[0].Presence != "killed" {
				return fmt.Errorf("%s is not known: %v", user, err)
			}
		}
		return nil
	})
	sent := time.Now().Unix()
	key := fmt.Sprintf("c2c:alice:1_2_%d", sent)
	f.produce(f.topics.Messages(), []byte("demo|alice"), map[string]any{"App": "demo", "From_Account": "alice", "To_Account": users, "MsgSeq": 1, "MsgRandom": 2,
		"MsgTimeStamp": sent, "MsgBody": []any{map[string]any{"MsgType": "TIMTextElem", "MsgContent": map[string]any{"Text": "hello"}}}})

	handed := map[string]string{} // body by user
	eventually(t, patience, 20*time.Millisecond, "both records for the gateway", func(ctx context.Context) error {
		err := f.cluster.Scan(ctx, f.topics.Offline(), nil, func(rec *stream.Record) bool {
			var record struct{ User, Device, MsgKey, Body string }
			if err := json.Unmarshal(rec.Value, &record); err != nil {
				t.Error(err)
			}
			if record.MsgKey != key || string(rec.Key) != "demo|"+record.User+"|tablet" {
				t.Errorf("record of %s under %s", record.MsgKey, rec.Key)
			}
			handed[record.User] = record.Body
			return true
		})
		if len(handed) < len(users) {
			return fmt.Errorf("%d are there: %v", len(handed), err)
		}
		return nil
	})
	f.produce(f.topics.Receipts(), stream.UserKey("demo", "awake"), map[string]any{"App": "demo", "User": "awake", "Device": "tablet",
		"Receipt": "acknowledged", "MsgKey": key, "ReceiptTime": time.Now().UnixMilli()})
	eventually(t, patience, 20*time.Millisecond, "the fallback", func(context.Context) error {
		if n := accepted(f.sim.FCM.Control(), tokens[1:]); n != 1 {
			return fmt.Errorf("%d pushes", n)
		}
		return nil
	})
	eventually(t, patience, 20*time.Millisecond, "the other fallback to be looked at", func(ctx context.Context) error {
		rows, err := f.cluster.Lag(ctx, "pushfleet.deliver-fcm", []string{f.topics.Work("fcm", "normal")})
		read := int64(0)
		for _, row := range rows {
			read += row.Committed
		}
		if read < 2 {
			return fmt.Errorf("%d were: %v", read, err)
		}
		return nil
	})
	if n := accepted(f.sim.FCM.Control(), tokens[:1]); n != 0 {
		t.Errorf("FCM got %d pushes for the tablet whose service took the message", n)
	}
}
