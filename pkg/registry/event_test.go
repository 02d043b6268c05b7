package registry

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
)

func TestParseDeviceEvent(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	number := func(n int) *int { return &n }
	for _, row := range []struct {
		json string
		want DeviceEvent
	}{
		{
			`{"App":"demo","User":"bob","Device":"bob-iphone","Event":"login","EventTime":1789999990000,"Platform":"apns","Token":"abab","Credential":"demo-ios","Language":"en"}`,
			DeviceEvent{
				App: "demo", User: "bob", Device: "bob-iphone", Event: EventLogin, EventTime: time.UnixMilli(1789999990000),
				Platform: "apns", Token: text("abab"), Credential: text("demo-ios"), Language: text("en"),
			},
		},
		{
			`{"App":"demo","User":"bob","Device":"bob-iphone","Event":"background","EventTime":1789999995000,"Unread":4}`,
			DeviceEvent{App: "demo", User: "bob", Device: "bob-iphone", Event: EventBackground, EventTime: time.UnixMilli(1789999995000), Unread: number(4)},
		},
		{
			`{"App":"demo","User":"bob","Device":"bob-iphone","Event":"token_rejected","EventTime":1790000001000,"Version":3,"Reason":"unregistered"}`,
			DeviceEvent{
				App: "demo", User: "bob", Device: "bob-iphone", Event: EventTokenRejected, EventTime: time.UnixMilli(1790000001000),
				Version: 3, Reason: "unregistered",
			},
		},
		{ // the token for calls comes at another moment
			`{"App":"demo","User":"bob","Device":"d","Event":"token","EventTime":1790000001000,"VoIPToken":"cdcd"}`,
			DeviceEvent{App: "demo", User: "bob", Device: "d", Event: EventToken, EventTime: time.UnixMilli(1790000001000), VoIPToken: text("cdcd")},
		},
		{
			`{"App":"demo","User":"bob","Device":"d","Event":"login","EventTime":1790000001000,"Platform":"fcm","Token":"abab","VoIPToken":"","Service":true}`,
			DeviceEvent{
				App: "demo", User: "bob", Device: "d", Event: EventLogin, EventTime: time.UnixMilli(1790000001000),
				Platform: "fcm", Token: text("abab"), VoIPToken: text(""), Service: pointer(true),
			},
		},
		{
			`{"App":"demo","User":"bob","Device":"d","Event":"token_rejected","EventTime":1790000001000,"Version":3,"PushType":"voip"}`,
			DeviceEvent{
				App: "demo", User: "bob", Device: "d", Event: EventTokenRejected, EventTime: time.UnixMilli(1790000001000),
				Version: 3, PushType: push.TypeVoIP,
			},
		},
		{
			`{"App":"demo","User":"bob","Device":"d","Event":"token_rejected","EventTime":1790000001000,"Version":3,"PushType":"alert"}`,
			DeviceEvent{
				App: "demo", User: "bob", Device: "d", Event: EventTokenRejected, EventTime: time.UnixMilli(1790000001000), Version: 3,
			},
		},
		{
			`{"App":"demo","User":"bob","Device":"d","Event":"heartbeat","EventTime":1790000001000,"State":"background","Seq":[1]}`,
			DeviceEvent{App: "demo", User: "bob", Device: "d", Event: EventHeartbeat, EventTime: time.UnixMilli(1790000001000), State: "background"},
		},
		{ // an empty token says something, an empty name does not; what does not belong to an event is ignored
			`{"App":"demo","User":"bob","Device":"d","Event":"token","EventTime":1790000001000,"Token":"","Credential":"","Language":"","Unread":-1,"Version":-3,"State":"x"}`,
			DeviceEvent{App: "demo", User: "bob", Device: "d", Event: EventToken, EventTime: time.UnixMilli(1790000001000), Token: text("")},
		},
		{
			`{"App":"demo","User":"bob","Device":"d","Event":"logout","EventTime":1790000001000,"Token":"abab","Platform":"A P"}`,
			DeviceEvent{App: "demo", User: "bob", Device: "d", Event: EventLogout, EventTime: time.UnixMilli(1790000001000)},
		},
	} {
		got, err := ParseDeviceEvent([]byte(row.json), start)
		if err != nil {
			t.Errorf("%s: %v", row.json, err)
		} else if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s: %s", row.json, diff)
		}
	}
}

func TestParseDeviceEventSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	const whole = `{"App":"demo","User":"bob","Device":"d","Event":"login","EventTime":1789999990000,"Platform":"apns","Token":"s3cret"}`
	for _, row := range []struct{ old, new, want string }{
		{`"demo"`, `""`, "App: required"},
		{`"User":"bob",`, ``, "User: required"},
		{`"d"`, `"` + strings.Repeat("x", 129) + `"`, "Device: longer than 128 bytes"},
		{`"d"`, `"a\u0007"`, "Device: holds a control character"},
		{`"d"`, `"a\u0085"`, "Device: holds a control character"},
		{`"bob"`, "\"\xff\"", "not valid JSON"},
		{`"login"`, `"settings"`, "Event: settings that set nothing"},
		{`"login"`, `"dance"`, "Event: unknown"},
		{`"login"`, `""`, "Event: required"},
		{`"EventTime":1789999990000,`, ``, "EventTime: required, in milliseconds"},
		{`1789999990000`, `1789999990`, "EventTime: too long ago: it is in milliseconds since 1970"},
		{`1789999990000`, `1790086400001`, "EventTime: more than a day in the future"},
		{`1789999990000`, `"1789999990000"`, "EventTime: not of the right type"},
		{`1789999990000`, `1.5`, "EventTime: not of the right type"},
		{`1789999990000`, `99999999999999999999`, "EventTime: not of the right type"},
		{`"s3cret"`, `["s3cret"]`, "Token: not of the right type"},
		{`"s3cret"`, `"` + strings.Repeat("s3cret", 700) + `"`, "Token: longer than 4096 bytes"},
		{`"Platform":"apns",`, ``, "Platform: required with a Token"},
		{`"apns"`, `"AP NS"`, "Platform: has to be"},
		{`"Platform"`, `"Language":"` + strings.Repeat("x", 65) + `","Platform"`, "Language: longer than 64 bytes"},
		{`"Platform"`, `"Credential":"` + strings.Repeat("x", 129) + `","Platform"`, "Credential: longer than 128 bytes"},
		{`"Event":"login"`, `"Event":"background","Unread":-1`, "Unread: has to be 0 to"},
		{`"Event":"login"`, `"Event":"heartbeat","State":"asleep"`, "State: has to be foreground or background"},
		{`"Event":"login"`, `"Event":"token_rejected"`, "Version: required"},
		{`"Event":"login"`, `"Event":"token_rejected","Version":1,"PushType":"call"`, "PushType: has to be alert, background or voip"},
		{`"Platform"`, `"VoIPToken":"s3cret\u001d","Platform"`, "VoIPToken: holds a control character"},
		{`"Platform"`, `"VoIPToken":"` + strings.Repeat("s3cret", 700) + `","Platform"`, "VoIPToken: longer than 4096 bytes"},
		{`"Platform"`, `"Service":"yes","Platform"`, "Service: not of the right type"},
		{`"Event":"login","EventTime":1789999990000,"Platform":"apns","Token":"s3cret"`, `"Event":"token","EventTime":1789999990000`, "Token: required"},
		{`"User"`, `"App":"again","User"`, "not valid JSON"},
		{whole, `null`, "App: required"},
		{whole, `["s3cret"]`, "value: not of the right type"},
		{whole, whole + "{}", "not valid JSON"},
		{whole, ``, "not valid JSON"},
	} {
		value := strings.Replace(whole, row.old, row.new, 1)
		_, err := ParseDeviceEvent([]byte(value), start)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", value, err, row.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the token stands in %q", err)
		}
	}
}

func FuzzParseDeviceEvent(f *testing.F) {
	f.Add([]byte(`{"App":"demo","User":"bob","Device":"d","Event":"login","EventTime":1789999990000,"Platform":"apns","Token":"abab"}`))
	f.Add([]byte(`{"App":"demo","User":"bob","Device":"d","Event":"background","EventTime":1789999990000,"Unread":3}`))
	f.Add([]byte(`{"App":"demo","User":"bob","Event":"settings","EventTime":1789999990000,"Push":true,"Sounds":{"C2C":"a.caf","Group":"push.no_sound"},` +
		`"ReceiveOptions":{"c2c:alice":2,"group:team":3},"QuietDaily":{"Start":"22:00","Duration":28800,"TimeZone":"Asia/Shanghai"},"QuietOnce":null}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		e, err := ParseDeviceEvent(value, start)
		if err != nil {
			return
		}
		if err := e.Validate(start); err != nil {
			t.Errorf("parsed, but not valid: %v", err)
		}
		texts := []string{e.App, e.User, e.Device, string(e.Platform), e.State, string(e.Reason)}
		for _, s := range []*string{e.Token, e.VoIPToken, e.Credential, e.Language} {
			if s != nil {
				texts = append(texts, *s)
			}
		}
		if s := e.Settings; s != nil {
			texts = slices.AppendSeq(texts, maps.Keys(s.Options))
			for _, s := range []*string{s.SoundC2C, s.SoundGroup} {
				if s != nil {
					texts = append(texts, *s)
				}
			}
			if s.QuietDaily != nil {
				texts = append(texts, s.QuietDaily.Zone)
			}
		}
		for _, s := range texts {
			if strings.ContainsAny(s, unit+record+voipMark) {
				t.Errorf("a separator stands in %q", s)
			}
		}
	})
}
