package api

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

const (
	login      = `{"App":"demo","User":"bob","Device":"bob-iphone","Event":"login","EventTime":1789999990000,"Platform":"apns","Token":"` + pushTok + `","Credential":"demo-ios","Language":"en"}`
	background = `{"App":"demo","User":"bob","Device":"bob-iphone","Event":"background","EventTime":1789999995000,"Unread":4}`
)

// deviceEvent is an event of bob's phone with further members.
func deviceEvent(kind, members string) string {
	return `{"App":"demo","User":"bob","Device":"bob-iphone","Event":"` + kind + `","EventTime":1789999995000` + members + `}`
}

// settingsEvent is bob's: it names no device.
func settingsEvent(members string) string {
	return `{"App":"demo","User":"bob","Event":"settings","EventTime":1789999995000` + members + `}`
}

// TestATokenEventMayLeaveThePlatformOut: which platform's token it is, only Redis could tell.
func TestATokenEventMayLeaveThePlatformOut(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	if w := b.do("POST", "/v1/devices/events", "", deviceEvent("token", `,"Token":"`+pushTok+`","Credential":"demo-ios"`)); w.Code != 202 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

func TestDeviceEventsGoToTheirTopicAndToRedis(t *testing.T) {
	t.Parallel()
	token := `,"Platform":"apns","Token":"` + pushTok + `"`
	for kind, c := range map[string]struct{ topic, members string }{
		"login": {"p.im.devices", token}, "token": {"p.im.devices", token}, "logout": {"p.im.devices", ""}, "kicked": {"p.im.devices", ""},
		"foreground": {"p.im.presence", ""}, "background": {"p.im.presence", `,"Unread":4`},
		"heartbeat": {"p.im.presence", `,"State":"background"`}, "killed": {"p.im.presence", ""},
		"settings": {"p.im.devices", `,"Push":false`},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			event := deviceEvent(kind, c.members)
			if w := b.do("POST", "/v1/devices/events", "application/json", event); w.Code != 202 || strings.TrimSpace(w.Body.String()) != `{"accepted":1}` {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			want := []stream.Message{{Topic: c.topic, Key: []byte("demo|bob"), Value: []byte(event), Partition: stream.ByKey}}
			if diff := cmp.Diff(want, b.published); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
			if len(b.registry.applied) != 1 || b.registry.applied[0].Event != registry.EventKind(kind) {
				t.Errorf("applied %d events, want this one", len(b.registry.applied))
			}
		})
	}
}

func TestDeviceEventsAreAppliedInOrderAfterTheyAreDurable(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.opts.Publisher = publisherFunc(func(_ context.Context, _ stream.Message, done func(error)) {
		if len(b.registry.applied) > 0 {
			t.Error("applied to Redis before Kafka had all")
		}
		done(nil)
	})
	if w := b.do("POST", "/v1/devices/events", ndjson, login+"\n"+background+"\n"+deviceEvent("logout", "")); w.Code != 202 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	kinds := make([]string, 0, 3)
	for _, e := range b.registry.applied {
		kinds = append(kinds, string(e.Event))
	}
	if !slices.Equal(kinds, []string{"login", "background", "logout"}) {
		t.Errorf("applied %v", kinds)
	}
}

func TestBadDeviceEventsAreRefusedWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body         string
		status, line int
		field        string // in the field or the detail
	}{
		"an unknown event":         {deviceEvent("dance", ""), 400, 0, "Event"},
		"no user":                  {strings.Replace(background, `"User":"bob",`, "", 1), 400, 0, "User"},
		"a time in seconds":        {strings.Replace(background, "1789999995000", "1789999995", 1), 400, 0, "EventTime"},
		"a control character":      {strings.Replace(background, "bob-iphone", `bob\u0000`, 1), 400, 0, "Device"},
		"an id too long":           {strings.Replace(background, "bob-iphone", strings.Repeat("d", 129), 1), 400, 0, "Device"},
		"a token that is not hex":  {strings.Replace(login, "ababab", "ghijkl", 1), 400, 0, "Token"},
		"an unknown platform":      {strings.Replace(login, "apns", "pager", 1), 400, 0, "Platform"},
		"an unknown app":           {strings.Replace(login, "demo", "other", 1), 400, 0, "App"},
		"an unknown credential":    {strings.Replace(login, "demo-ios", "demo-watch", 1), 400, 0, "Credential"},
		"what only deliver says":   {deviceEvent("token_rejected", `,"Version":3,"Reason":"unregistered"`), 403, 0, "Event"},
		"a VoIP token not hex":     {strings.Replace(login, `"Token"`, `"VoIPToken":"ghijkl","Token"`, 1), 400, 0, "VoIPToken"},
		"settings of nothing":      {settingsEvent(``), 400, 0, "Event"},
		"settings, no such zone":   {settingsEvent(`,"QuietDaily":{"Start":"22:00","Duration":60,"TimeZone":"Mars/Olympus"}`), 400, 0, "QuietDaily.TimeZone"},
		"settings, no such option": {settingsEvent(`,"ReceiveOptions":{"c2c:alice":9}`), 400, 0, "ReceiveOptions"},
		"a bad second line":        {login + "\n" + deviceEvent("dance", ""), 400, 2, "Event"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			p := problemOf(t, b.do("POST", "/v1/devices/events", ndjson, strings.TrimSpace(c.body)), c.status)
			if c.line > 0 && p.Line != c.line || !strings.Contains(p.Field+" "+p.Detail, c.field) {
				t.Errorf("line %d field %q: %s; want line %d and %q", p.Line, p.Field, p.Detail, c.line, c.field)
			}
			if len(b.published) != 0 || len(b.registry.applied) != 0 {
				t.Error("something of a refused request was published or applied")
			}
			if strings.Contains(p.Detail, "ghijkl") {
				t.Errorf("the answer quotes the token: %s", p.Detail)
			}
		})
	}
}

func TestRedisAwayAfterTheEventIsDurable(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.registry.err = errors.New("dial tcp: refused")
	w := b.do("POST", "/v1/devices/events", "", login)
	if p := problemOf(t, w, 503); !strings.Contains(p.Detail, "durable") || !strings.Contains(p.Detail, "repeat is harmless") {
		t.Errorf("detail %q", p.Detail)
	}
	if w.Header().Get("Retry-After") == "" || len(b.published) != 1 {
		t.Error("want Retry-After, and the event in Kafka")
	}
}

func TestNothingSecretIsLogged(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.registry.err = errors.New("dial tcp: refused")
	b.do("POST", "/v1/devices/events", "", login)
	b.do("POST", "/v1/devices/events", "", strings.Replace(login, "ababab", "ghijkl", 1))
	b.do("POST", "/v1/messages", "", text(`"From_Account":"alice","To_Account":"bob"`))
	b.do("POST", "/v1/messages", "", text(`"From_Account":7,"To_Account":"bob"`))
	if b.logs.Len() == 0 {
		t.Error("a failure of Redis left no line in the log")
	}
	for _, entry := range b.logs.All() {
		line := entry.Message + oneLine(t, entry.ContextMap())
		for _, secret := range []string{bearer, "abab", "ghijkl", "secret words", "bob"} {
			if strings.Contains(line, secret) {
				t.Errorf("the log holds %q: %s", secret, line)
			}
		}
	}
}
