package devices

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

func TestWhatFollowsFromEachRecord(t *testing.T) {
	t.Parallel()
	const receipt = `{"App":"%s","User":"bob","Device":"phone","Receipt":"%s","MsgKey":"c2c:alice:1_2_3","ReceiptTime":1790000000000}`
	const member = `{"App":"demo","Group":"team","User":"bob","JoinedTime":1789990000000}`
	dead := func(topic, key, reason string) []string {
		return []string{topic + ".dead " + key, "event dead " + reason}
	}
	var a acks
	for name, test := range map[string]struct {
		rec  *stream.Record
		want []string
	}{
		"login":                      {a.login("demo", "bob", "abcd"), []string{"push.registry demo|bob|phone on demo|bob"}},
		"presence":                   {a.event("demo", "bob", "background", 1790000000000, ""), nil},
		"settings":                   {a.event("demo", "bob", "settings", 1790000000000, `,"Push":false`), []string{"push.registry demo|bob on demo|bob"}},
		"token of no device":         {a.login("demo", "bob", "not/hex"), dead("im.devices", "demo|bob", "invalid_message")},
		"VoIP token of no device":    {a.event("demo", "bob", "token", 1790000000000, `,"Platform":"apns","Token":"ab","VoIPToken":"x"`), dead("im.devices", "demo|bob", "invalid_message")},
		"platform of another fleet":  {a.event("demo", "bob", "login", 1790000000000, `,"Platform":"pager","Token":"ab"`), dead("im.devices", "demo|bob", "invalid_message")},
		"event of an unknown app":    {a.login("other", "bob", "abcd"), dead("im.devices", "other|bob", "unknown_app")},
		"unknown credential":         {a.event("demo", "bob", "login", 1790000000000, `,"Platform":"apns","Token":"ab","Credential":"nope"`), dead("im.devices", "demo|bob", "unknown_credential")},
		"known credential":           {a.event("demo", "bob", "login", 1790000000000, `,"Platform":"apns","Token":"ab","Credential":"ios"`), []string{"push.registry demo|bob|phone on demo|bob"}},
		"settings of nothing":        {a.event("demo", "bob", "settings", 1790000000000, ``), dead("im.devices", "demo|bob", "invalid_message")},
		"joined":                     {a.record("im.groups", "demo|team|bob", member), nil},
		"joined at the record":       {a.record("im.groups", "demo|team|bob", `{"App":"demo","Group":"team","User":"bob"}`), nil},
		"left":                       {a.record("im.groups", "demo|team|bob", ""), nil},
		"left, said as JSON":         {a.record("im.groups", "demo|team|bob", "null"), nil},
		"membership of another key":  {a.record("im.groups", "demo|team|carol", member), dead("im.groups", "demo|team|carol", "invalid_message")},
		"membership without a group": {a.record("im.groups", "demo|bob", ""), dead("im.groups", "demo|bob", "invalid_message")},
		"membership, unknown app":    {a.record("im.groups", "other|team|bob", ""), dead("im.groups", "other|team|bob", "unknown_app")},
		"read":                       {a.record("im.receipts", "demo|bob", fmt.Sprintf(receipt, "demo", "read")), nil},
		"acknowledged":               {a.record("im.receipts", "demo|bob", fmt.Sprintf(receipt, "demo", "acknowledged")), nil},
		"reached":                    {a.record("im.receipts", "demo|bob", fmt.Sprintf(receipt, "demo", "reached")), nil},
		"clicked":                    {a.record("im.receipts", "demo|bob", fmt.Sprintf(receipt, "demo", "clicked")), nil},
		"recall":                     {a.record("im.receipts", "demo|bob", fmt.Sprintf(receipt, "demo", "recall")), nil},
		"unknown receipt":            {a.record("im.receipts", "demo|bob", fmt.Sprintf(receipt, "demo", "seen")), dead("im.receipts", "demo|bob", "invalid_message")},
		"receipt of an unknown app":  {a.record("im.receipts", "other|bob", fmt.Sprintf(receipt, "other", "recall")), dead("im.receipts", "other|bob", "unknown_app")},
	} {
		t.Run(name, func(t *testing.T) {
			reg, k := whole(t), &kafka{}
			a = acks{}
			handle(t, newDevices(reg, k), []*stream.Record{test.rec})
			if !slices.Equal(k.lines, test.want) || a != (acks{acked: 1}) {
				t.Errorf("got %q, %+v, want %q and one acknowledged", k.lines, a, test.want)
			}
		})
	}
}

func TestADeadLetterKeepsTheBytesAndNamesTheMistakeOnly(t *testing.T) {
	t.Parallel()
	var a acks
	k := &kafka{}
	rec := a.login("demo", "bob", "not/hex")
	handle(t, newDevices(whole(t), k), []*stream.Record{rec})
	letter := k.sent[0]
	if string(letter.Value) != string(rec.Value) || string(letter.Key) != "demo|bob" {
		t.Errorf("the letter holds %q under %q", letter.Value, letter.Key)
	}
	for _, h := range letter.Headers {
		if strings.Contains(string(h.Value), "not/hex") {
			t.Errorf("%s quotes the token", h.Key)
		}
	}
}

func TestTheFullSettingsAreKept(t *testing.T) {
	t.Parallel()
	var a acks
	k := &kafka{}
	handle(t, newDevices(whole(t), k), []*stream.Record{
		a.event("demo", "bob", "settings", 1789999990000, `,"Push":false,"ReceiveOptions":{"group:team":3}`),
		a.event("demo", "bob", "settings", 1789999995000, `,"Sounds":{"C2C":"a.caf"},"QuietDaily":{"Start":"22:00","Duration":28800,"TimeZone":"Asia/Shanghai"}`),
	})
	if len(k.sent) != 1 || a.acked != 2 {
		t.Errorf("%d states written, %d records acknowledged; want the user's state once, and both", len(k.sent), a.acked)
	}
	got := new(schemasv1.UserState)
	if err := got.UnmarshalVT(k.sent[0].Value); err != nil {
		t.Fatal(err)
	}
	want := &schemasv1.UserState{
		App: "demo", User: "bob", EventTimeMs: 1789999995000, PushOff: true, SoundC2C: "a.caf",
		QuietDaily: &schemasv1.QuietDaily{StartS: 79200, DurationS: 28800, TimeZone: "Asia/Shanghai"},
		Options:    []*schemasv1.ReceiveOption{{Conversation: "group:team", Option: 3, EventTimeMs: 1789999990000}},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("the last state (-want +got):\n%s", diff)
	}
}

// TestOrderPerKeyHoldsWithinABatch: one batch, all kinds mixed; the last record of each key decides.
func TestOrderPerKeyHoldsWithinABatch(t *testing.T) {
	t.Parallel()
	var a acks
	reg, k := whole(t), &kafka{}
	at := clock.UnixMilli()
	handle(t, newDevices(reg, k), []*stream.Record{
		a.login("demo", "bob", "aa"),
		a.record("im.groups", "demo|team|bob", ""),
		a.event("demo", "bob", "logout", at, ""),
		a.record("im.groups", "demo|team|bob", `{"App":"demo","Group":"team","User":"bob"}`),
		a.login("demo", "bob", "bb"),
		a.record("im.groups", "demo|team|carol", `{"App":"demo","Group":"team","User":"carol"}`),
		a.event("demo", "bob", "settings", at, `,"Push":false`),
		a.event("demo", "bob", "settings", at, `,"Push":true`),
	})
	if a.acked != 8 {
		t.Errorf("%d acknowledged, want all", a.acked)
	}
	if d, err := reg.Devices(t.Context(), "demo", "bob"); err != nil || len(d) != 1 || d[0].LoggedOut || d[0].TokenHash != registry.TokenHash("bb") {
		t.Errorf("devices %+v, %v; want one with its last token", d, err)
	}
	if s, err := reg.Settings(t.Context(), "demo", "bob"); err != nil || s.GetPushOff() {
		t.Errorf("settings %v, %v; want push on", s, err)
	}
	if diff := cmp.Diff([]string{"bob", "carol"}, members(t, reg, "team", clock)); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

// members are a group's at a time.
func members(t *testing.T, reg *server, group string, at time.Time) []string {
	t.Helper()
	sizes, err := reg.Groups(t.Context(), []registry.GroupRef{{App: "demo", Group: group}})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for b := range sizes[0].Buckets {
		some, err := reg.Members(t.Context(), "demo", group, b, sizes[0].Buckets, at)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, some...)
	}
	slices.Sort(all)
	return all
}

// fakeRegistry counts its calls and fails as it is told to.
type fakeRegistry struct {
	calls []string
	fail  func(call string, values int) error
	syncs []registry.Sync
}

func (f *fakeRegistry) call(name string, values int) error {
	f.calls = append(f.calls, fmt.Sprintf("%s %d", name, values))
	if f.fail != nil {
		return f.fail(name, values)
	}
	return nil
}

func (f *fakeRegistry) Apply(_ context.Context, events []registry.DeviceEvent) ([]registry.Applied, error) {
	err := f.call("events", len(events))
	for _, e := range events {
		if e.User == "damaged" {
			err = fmt.Errorf("registry: apply: %w", registry.ErrMalformed)
		}
	}
	return make([]registry.Applied, len(events)), err
}

func (f *fakeRegistry) ApplyMemberships(_ context.Context, m []registry.Membership) error {
	return f.call("memberships", len(m))
}

func (f *fakeRegistry) Read(_ context.Context, r []registry.Receipt) ([]registry.Sync, error) {
	return f.syncs, f.call("read", len(r))
}

func (f *fakeRegistry) Acknowledge(_ context.Context, r []registry.Receipt) error {
	return f.call("acknowledged", len(r))
}

func (f *fakeRegistry) Generation(context.Context) (string, error) { return "", nil }

func (f *fakeRegistry) Restore(_ context.Context, s []registry.State) error {
	return f.call("restore", len(s))
}

func (f *fakeRegistry) RestoreSettings(_ context.Context, u []*schemasv1.UserState) error {
	return f.call("restore settings", len(u))
}

func receipt(a *acks, kind string) *stream.Record {
	return a.record("im.receipts", "demo|bob", `{"App":"demo","User":"bob","Device":"phone","Receipt":"`+kind+`","MsgKey":"c2c:alice:1_2_3","ReceiptTime":1790000000000}`)
}

func TestEachKindOfABatchIsOneCall(t *testing.T) {
	t.Parallel()
	var a acks
	reg := &fakeRegistry{}
	var batch []*stream.Record
	for range 3 {
		batch = append(batch, a.login("demo", "bob", "ab"), a.record("im.groups", "demo|team|bob", ""), receipt(&a, "acknowledged"),
			receipt(&a, "read"), receipt(&a, "clicked"), a.event("demo", "bob", "settings", 1790000000000, `,"Push":true`))
	}
	handle(t, newDevices(reg, &kafka{}), batch)
	if diff := cmp.Diff([]string{"events 6", "memberships 3", "read 3", "acknowledged 3"}, reg.calls); diff != "" || a.acked != len(batch) {
		t.Errorf("%d acknowledged, calls (-want +got):\n%s", a.acked, diff)
	}
}

func TestWhileTheRegistryIsAwayOrEmptyDevicesHolds(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]error{"away": errors.New("dial tcp: refused"), "empty": registry.ErrEmpty} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var a acks
			tries := 0
			reg := &fakeRegistry{fail: func(string, int) error {
				if tries++; tries < 3 {
					return away
				}
				return nil
			}}
			handle(t, newDevices(reg, &kafka{}), []*stream.Record{receipt(&a, "read"), receipt(&a, "read")})
			if diff := cmp.Diff([]string{"read 2", "read 2", "read 2"}, reg.calls); diff != "" || a.acked != 2 {
				t.Errorf("%d acknowledged, calls (-want +got):\n%s", a.acked, diff)
			}
		})
	}
}

func TestAStopLeavesWhatIsHeld(t *testing.T) {
	t.Parallel()
	var a acks
	k := &kafka{}
	ctx, stop := context.WithCancel(t.Context())
	reg := &fakeRegistry{fail: func(call string, _ int) error {
		if call == "events" {
			return nil
		}
		stop()
		return errors.New("dial tcp: refused")
	}}
	newDevices(reg, k).Handle(ctx, []*stream.Record{a.login("demo", "bob", "ab"), receipt(&a, "read"), receipt(&a, "acknowledged")})
	if a != (acks{acked: 1, left: 2}) || len(k.lines) > 0 {
		t.Errorf("%+v, published %q; want what was applied acknowledged and the rest left alone", a, k.lines)
	}
}

// TestOneDamagedKeyHoldsUpNobody: what Redis cannot apply for one user goes to the dead topic, and everybody else's
// events are applied in order.
func TestOneDamagedKeyHoldsUpNobody(t *testing.T) {
	t.Parallel()
	var a acks
	k, reg := &kafka{}, &fakeRegistry{}
	var batch []*stream.Record
	for i := range 5 {
		batch = append(batch, a.login("demo", fmt.Sprint("user", i), "ab"))
	}
	batch = append(batch, a.login("demo", "damaged", "ab"), a.login("demo", "zoe", "ab"))
	handle(t, newDevices(reg, k), batch)
	if diff := cmp.Diff([]string{"im.devices.dead demo|damaged", "event dead invalid_message"}, k.lines); diff != "" || a.acked != 7 {
		t.Errorf("%d acknowledged (-want +got):\n%s", a.acked, diff)
	}
}

// TestAReadMessageCorrectsTheIconsOfOtherDevices: the correction waits in the first retry topic, wakes the app, shows
// nothing, and has an id of its own.
func TestAReadMessageCorrectsTheIconsOfOtherDevices(t *testing.T) {
	t.Parallel()
	var a acks
	k := &kafka{}
	sync := registry.Sync{App: "demo", User: "bob", Device: "pad", MsgKey: "c2c:alice:1_2_3",
		Binding: push.Binding{Platform: "apns", Token: "ab", Credential: "demo-ios", Version: 4}}
	elsewhere := sync
	elsewhere.Binding.Platform = "pager"
	reg := &fakeRegistry{syncs: []registry.Sync{sync, elsewhere}}
	handle(t, newDevices(reg, k), []*stream.Record{receipt(&a, "read")})
	if diff := cmp.Diff([]string{"push.apns.retry.10s demo|bob|pad"}, k.lines); diff != "" || a.acked != 1 {
		t.Fatalf("%d acknowledged, published (-want +got):\n%s", a.acked, diff)
	}
	n, meta, err := stream.DecodeWork(&stream.Record{Value: k.sent[0].Value, Headers: k.sent[0].Headers})
	if err != nil {
		t.Fatal(err)
	}
	id := message.NotificationID("demo", "c2c:alice:1_2_3", "bob", "pad", "sync")
	want := &push.Notification{
		ID: id, App: "demo", User: "bob", Device: "pad", MsgKey: "c2c:alice:1_2_3", Purpose: "sync", Type: "background", Platform: "apns",
		Token: "ab", Credential: "demo-ios", Version: 4, Badge: 0, CollapseID: id, Expires: clock.Add(24 * time.Hour), Received: clock,
	}
	if diff := cmp.Diff(want, n); diff != "" {
		t.Errorf("notification (-want +got):\n%s", diff)
	}
	wantMeta := stream.Meta{ID: id, Lane: "normal", Attempt: 1, NotBefore: clock.Add(10 * time.Second), FirstSeen: clock}
	if diff := cmp.Diff(wantMeta, meta); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}
