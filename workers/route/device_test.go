package route

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// TestADeviceWithAServiceOfItsOwn: its service gets the message; FCM gets it too, later, where the device has it.
func TestADeviceWithAServiceOfItsOwn(t *testing.T) {
	t.Parallel()
	yes, token := true, "fcm-token"
	withFCM := func(e *registry.DeviceEvent) { e.Platform, e.Token, e.Service = "fcm", &token, &yes }
	for name, c := range map[string]struct {
		change func(*registry.DeviceEvent)
		policy Policy
		want   []string
	}{
		"and FCM as its fallback": {withFCM, Policy{}, []string{
			`push.service.normal phone "Alice:hello" badge 5`,
			`push.fcm.retry.10s phone "Alice:hello" badge 5 purpose fallback in the first one's place in 10s`,
			"event bob phone push background",
		}},
		"and more time to acknowledge": {withFCM, Policy{ServiceWait: 90 * time.Second}, []string{
			`push.service.normal phone "Alice:hello" badge 5`,
			`push.fcm.retry.1m phone "Alice:hello" badge 5 purpose fallback in the first one's place in 1m30s`,
			"event bob phone push background",
		}},
		"and nothing else": {func(e *registry.DeviceEvent) { e.Platform = "service" }, Policy{}, []string{
			`push.service.normal phone "Alice:hello" badge 5`, "event bob phone push background",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(cfg *Config) { cfg.Apps = map[string]Policy{"demo": c.policy} })
			r.phone(t, "bob", "phone", 4, c.change)
			r.route.Handle(t.Context(), []*stream.Record{r.record(0, toBob)})
			if !slices.Equal(r.lines, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(r.lines, "\n"), strings.Join(c.want, "\n"))
			}
			n, err := stream.DecodeNotification(r.sent[0].Value)
			if err != nil || n.Token == token || len(r.sent) > 1 && n.Credential != "" {
				t.Errorf("the service's record holds the fallback's token or credential %q, %v", n.Credential, err)
			}
		})
	}
}

// TestADeviceOfAPlatformThatTheFleetLost: nothing is told dead of which there is no letter.
func TestADeviceOfAPlatformThatTheFleetLost(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(cfg *Config) { delete(cfg.Platforms, "apns") })
	r.device(t, "bob", "phone", 4)
	r.route.Handle(t.Context(), []*stream.Record{r.record(0, toBob)})
	if want := []string{"event bob phone filter no_token"}; !slices.Equal(r.lines, want) || !slices.Equal(r.acks, []int64{0}) {
		t.Errorf("got\n%s\nwant\n%s\nacknowledged %v", strings.Join(r.lines, "\n"), strings.Join(want, "\n"), r.acks)
	}
}

func TestACallRingsWhereTheDeviceTakesCalls(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	voip := tokenOf("calls")
	r.phone(t, "bob", "phone", 4, func(e *registry.DeviceEvent) { e.VoIPToken = &voip })
	r.device(t, "bob", "tablet", 4)
	call := strings.Replace(toBob, "{", `{"OfflinePushInfo":{"ApnsInfo":{"PushType":"voip"}},`, 1)
	r.route.Handle(t.Context(), []*stream.Record{r.record(0, call)})
	want := []string{
		`push.apns.urgent phone "Alice:hello" badge 5 type voip`, "event bob phone push background",
		`push.apns.urgent tablet "Alice:hello" badge 5`, "event bob tablet push background",
	}
	if !slices.Equal(r.lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(r.lines, "\n"), strings.Join(want, "\n"))
	}
	for i, want := range []struct{ token, interruption string }{{voip, ""}, {tokenOf("bobtablet"), "time-sensitive"}} {
		if n, err := stream.DecodeNotification(r.sent[i].Value); err != nil || n.Token != want.token || n.Interruption != want.interruption {
			t.Errorf("%s: another token, or interruption %q, %v", n.Device, n.Interruption, err)
		}
	}
}

func TestOneDeviceInTheForegroundSilencesTheOthersWhereTheAppWantsIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy Policy
		want   []string
	}{
		"as usual": {Policy{}, []string{
			"event bob desktop filter foreground", `push.apns.normal phone "Alice:hello" badge 5`, "event bob phone push background",
		}},
		"as the app wants": {Policy{AnyForeground: true}, []string{
			"event bob desktop filter foreground", "event bob phone filter foreground",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(cfg *Config) { cfg.Apps = map[string]Policy{"demo": c.policy} })
			r.device(t, "bob", "phone", 4)
			r.device(t, "bob", "desktop", 0)
			r.apply(t, []registry.DeviceEvent{{App: "demo", User: "bob", Device: "desktop", Event: registry.EventForeground, EventTime: clock}})
			r.route.Handle(t.Context(), []*stream.Record{r.record(0, toBob)})
			if !slices.Equal(r.lines, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(r.lines, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// TestLanes: where a push goes, of a message to one and of a message to a group that is fanned out.
func TestLanes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		more       string
		one, group push.Lane
	}{
		"a message":   {``, push.LaneNormal, push.LaneBulk},
		"High":        {`"MsgPriority":"High",`, push.LaneNormal, push.LaneNormal},
		"Low":         {`"MsgPriority":"Low",`, push.LaneBulk, push.LaneBulk},
		"a call":      {`"OfflinePushInfo":{"ApnsInfo":{"PushType":"voip"}},`, push.LaneUrgent, push.LaneUrgent},
		"a High call": {`"MsgPriority":"High","OfflinePushInfo":{"ApnsInfo":{"PushType":"voip"}},`, push.LaneUrgent, push.LaneUrgent},
		"a sync":      {`"OfflinePushInfo":{"ApnsInfo":{"PushType":"background"}},`, push.LaneNormal, push.LaneBulk},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.device(t, "bob", "phone", 4)
			r.join(t, "team", clock.Add(-time.Minute), "bob")
			r.route.Handle(t.Context(), []*stream.Record{r.record(0, strings.Replace(toBob, "{", "{"+c.more, 1))})
			r.route.HandleFanout(t.Context(), []*stream.Record{r.whole(t, "team", r.record(1, strings.Replace(toTeam, "{", "{"+c.more, 1)))})
			for i, want := range []push.Lane{c.one, c.group} {
				if topic := "push.apns." + string(want); r.sent[i].Topic != topic {
					t.Errorf("%s, want %s", r.sent[i].Topic, topic)
				}
				if meta, err := stream.ParseMeta(r.sent[i].Headers); err != nil || meta.Lane != want {
					t.Errorf("header %s, want %s, %v", meta.Lane, want, err)
				}
			}
		})
	}
}

// TestAnAppAboveItsRateYieldsToTheOthers: what one app sends beyond its rate waits in bulk, call or not; another app's
// pushes keep their lane, and so do its own a second later.
func TestAnAppAboveItsRateYieldsToTheOthers(t *testing.T) {
	t.Parallel()
	now := clock
	r := newRig(t, func(cfg *Config) {
		cfg.Apps = map[string]Policy{"demo": {Rate: 2}, "other": {}}
		cfg.Now = func() time.Time { return now }
	})
	r.device(t, "bob", "phone", 0)
	token := tokenOf("other")
	r.phone(t, "bob", "phone", 0, func(e *registry.DeviceEvent) { e.App, e.Token = "other", &token })
	background := registry.DeviceEvent{App: "other", User: "bob", Device: "phone", Event: registry.EventBackground, EventTime: clock}
	if _, err := r.reg.Apply(t.Context(), []registry.DeviceEvent{background}); err != nil {
		t.Fatal(err)
	}
	number := 0
	send := func(app, more string) string {
		t.Helper()
		number++
		value := fmt.Sprintf(`{%s"App":%q,"From_Account":"alice","To_Account":"bob","MsgSeq":%d,"MsgRandom":1,%s}`, more, app, number, text)
		r.route.Handle(t.Context(), []*stream.Record{r.record(int64(number), value)})
		_, lane, _ := strings.Cut(r.sent[number-1].Topic, "push.apns.")
		return lane
	}
	var got []string
	for range 3 {
		got = append(got, send("demo", ""), send("other", ""))
	}
	got = append(got, send("demo", `"OfflinePushInfo":{"ApnsInfo":{"PushType":"voip"}},`))
	now = clock.Add(time.Second)
	got = append(got, send("demo", `"MsgPriority":"Low",`), send("demo", ""), send("demo", ""), send("demo", ""))
	want := []string{"normal", "normal", "normal", "normal", "bulk", "normal", "bulk", "bulk", "normal", "normal", "bulk"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
