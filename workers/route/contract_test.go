package route_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/pushfleet/pushfleet/pkg/config"
	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/workers/fleet"
	"github.com/pushfleet/pushfleet/workers/route"
)

// An example says what one chat message does to the phones of those whom it is for. It is `pushctl preview`: what an IM
// writes goes in, what Apple, Google or the IM's own gateway gets comes out, without a broker.
//
// The examples run on a Redis inside the process and, where the environment names them, on a real one and on a cluster.
type example struct {
	app     string   // further keys of the app's configuration
	message string   // as the IM writes it to im.messages
	events  []string // of devices and settings, in order, as the IM writes them to im.devices and im.presence
	at      int64    // the message's arrival in seconds; 0 = 1790000000
	want    []string // a line for each device, from the functions below
}

// configuration is the app of the examples. None of its files exists: no preview opens a key.
const configuration = `
apps:
  im:
    fcm: {style: data, channels: {ding.caf: chat}}
    credentials:
      ios: {platform: apns, key_file: AuthKey.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ, bundle_id: com.example.im}
      ios-beta: {platform: apns, key_file: Beta.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ, bundle_id: com.example.im.beta, environment: development}
      android: {platform: fcm, service_account_file: sa.json}
      android-click: {platform: fcm, service_account_file: sa.json, click_action: com.example.im.CHAT}
`

// Devices of bob. Each logged in at 10 s before the message, and its app went to the background 5 s before it, with 4
// messages unread.
const (
	iphoneLogin      = `{"App":"im","User":"bob","Device":"iphone","Event":"login","EventTime":1789999990000,"Platform":"apns","Token":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","Credential":"ios","Language":"en"}`
	iphoneBackground = `{"App":"im","User":"bob","Device":"iphone","Event":"background","EventTime":1789999995000,"Unread":4}`
	pixelLogin       = `{"App":"im","User":"bob","Device":"pixel","Event":"login","EventTime":1789999990000,"Platform":"fcm","Token":"pixel-token","Credential":"android","Language":"en"}`
	pixelBackground  = `{"App":"im","User":"bob","Device":"pixel","Event":"background","EventTime":1789999995000,"Unread":4}`
	// An Android tablet without Google's services: the IM's own service on it takes offline messages.
	tabletLogin      = `{"App":"im","User":"bob","Device":"tablet","Event":"login","EventTime":1789999990000,"Platform":"service","Token":"tablet-7","Language":"en"}`
	tabletBackground = `{"App":"im","User":"bob","Device":"tablet","Event":"background","EventTime":1789999995000,"Unread":4}`
)

var (
	iphone = []string{iphoneLogin, iphoneBackground}
	pixel  = []string{pixelLogin, pixelBackground}
	tablet = []string{tabletLogin, tabletBackground}
)

// with adds events to those of a device.
func with(device []string, events ...string) []string {
	return append(append([]string{}, device...), events...)
}

// changed is a device, or an event, with something replaced.
func changed(events []string, old, replacement string) []string {
	out := make([]string, len(events))
	for i := range events {
		out[i] = strings.ReplaceAll(events[i], old, replacement)
	}
	return out
}

// settings is an event of bob's settings.
func settings(members string) string {
	return `{"App":"im","User":"bob","Event":"settings","EventTime":1789999000000,` + members + `}`
}

// hello is the body of a message that says so.
const hello = `"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hello"}}]`

// toBob is a one-to-one message of alice with these members, as `"MsgBody":[…]` or `"OfflinePushInfo":{…}`; "hello"
// where they name no body.
func toBob(members ...string) string {
	return produced(`"App":"im","From_Account":"alice","From_Nick":"Alice","To_Account":"bob","MsgSeq":101,"MsgRandom":900001,"MsgTimeStamp":1790000000`, members)
}

// toTeam is the same in a group, for all its members.
func toTeam(members ...string) string {
	return produced(`"App":"im","GroupId":"team","GroupName":"Team","From_Account":"alice","From_Nick":"Alice","Random":424242,"MsgTimeStamp":1790000000`, members)
}

// produced is a message of base members, each in the place of which another of that name stands left out.
func produced(base string, members []string) string {
	kept := []string{}
	for _, b := range strings.Split(base, ",") {
		name, _, _ := strings.Cut(b, ":")
		if !strings.Contains(strings.Join(members, ","), name+":") {
			kept = append(kept, b)
		}
	}
	kept = append(kept, members...)
	if !strings.Contains(strings.Join(members, ","), `"MsgBody":`) {
		kept = append(kept, hello)
	}
	return "{" + strings.Join(kept, ",") + "}"
}

// text is MsgBody with elements, each as `TIMTextElem {"Text":"hi"}`.
func elements(all ...string) string {
	for i, e := range all {
		kind, content, _ := strings.Cut(e, " ")
		all[i] = fmt.Sprintf(`{"MsgType":%q,"MsgContent":%s}`, kind, content)
	}
	return `"MsgBody":[` + strings.Join(all, ",") + `]`
}

// toIPhone is what Apple gets for bob's iPhone in the background: this body, byte for byte, and the headers of an alert,
// apart from those named here, as "apns-priority: 5".
func toIPhone(body string, headers ...string) string {
	return pushed("bob", "iphone", "apns", "background", body, headers...)
}

// toPixel is what FCM gets for bob's Android phone in the background: this message, byte for byte, but for the token.
func toPixel(body string) string { return pushed("bob", "pixel", "fcm", "background", body) }

// toTablet is what the IM's gateway gets for the service of bob's tablet.
func toTablet(body string) string { return pushed("bob", "tablet", "service", "background", body) }

// pushed is a line of a push. ID in a body stands for the push's id.
func pushed(user, device, platform, reason, body string, headers ...string) string {
	var keys struct {
		MsgKey  string `json:"msg_key"`
		Service string `json:"MsgKey"`
		Data    struct {
			MsgKey string `json:"msg_key"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(body), &keys); err != nil {
		panic(fmt.Sprintf("%v: %s", err, body))
	}
	key := keys.MsgKey + keys.Service + keys.Data.MsgKey
	id := message.NotificationID("im", key, user, device, "")
	line := map[string]any{"id": id, "msg_key": key, "user": user, "device": device, "platform": platform,
		"decision": "push", "reason": reason, "body": strings.ReplaceAll(body, `"ID"`, `"`+id+`"`)}
	if platform == "apns" {
		h := map[string]any{"apns-id": id, "apns-collapse-id": id, "apns-topic": "com.example.im", "apns-push-type": "alert",
			"apns-priority": "10", "apns-expiration": "1790604800"}
		for _, header := range headers {
			name, value, _ := strings.Cut(header, ": ")
			if h[name] = value; value == "" {
				delete(h, name)
			}
		}
		line["headers"] = h
	}
	return encoded(line)
}

// none is a line of a device of bob's that gets no push of the message, one-to-one or to the group, and why.
func none(device, reason string) string {
	return noneIn("c2c:alice:101_900001_1790000000", device, reason)
}

func noneInTeam(device, reason string) string {
	return noneIn("group:team:424242_1790000000", device, reason)
}

func noneIn(key, device, reason string) string {
	platform := map[string]string{"iphone": "apns", "pixel": "fcm", "tablet": "service"}[device]
	return encoded(map[string]any{"id": message.NotificationID("im", key, "bob", device, ""), "msg_key": key, "user": "bob",
		"device": device, "platform": platform, "decision": "filter", "reason": reason})
}

func encoded(line map[string]any) string {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// run checks every example on every Redis.
func run(t *testing.T, examples map[string]example) {
	t.Helper()
	for _, s := range servers(t) {
		for name, e := range examples {
			t.Run(s.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				e.check(t, s)
			})
		}
	}
}

func (e example) check(t *testing.T, s *server) {
	t.Helper()
	if got, want := e.preview(t, s), e.lines(t, e.want); !cmp.Equal(want, got) {
		t.Errorf("(-want +got):\n%s", cmp.Diff(want, got))
	}
}

// preview runs the example and returns its lines.
func (e example) preview(t *testing.T, s *server) []map[string]any {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pushfleet.yaml")
	yaml := configuration
	if e.app != "" {
		yaml = strings.Replace(yaml, "    fcm: {style: data, channels: {ding.caf: chat}}\n", "    "+e.app+"\n", 1)
	}
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file, fleet.Names())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1790000000, 0)
	if e.at != 0 {
		now = time.Unix(e.at, 0)
	}
	drivers, err := fleet.Drivers(cfg, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	question := route.Preview{Say: func(string) {}, Message: []byte(e.message), Events: strings.NewReader(strings.Join(e.events, "\n")), Now: now,
		DefaultApp: cfg.DefaultApp, Drivers: drivers, Apps: fleet.Policies(cfg), MaxAge: cfg.Kafka.MaxAge, Registry: fleet.RegistryOptions(cfg)}
	var out bytes.Buffer
	if err := s.run(t, question, &out); err != nil {
		t.Fatal(err)
	}
	for _, d := range drivers {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	return e.lines(t, strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n"))
}

// lines reads lines of a preview. A body stays as its bytes; what is free text goes.
func (e example) lines(t *testing.T, texts []string) []map[string]any {
	t.Helper()
	lines := []map[string]any{}
	for _, text := range texts {
		if text == "" {
			continue
		}
		var line map[string]any
		var raw struct {
			Body json.RawMessage `json:"body"`
		}
		for _, v := range []any{&line, &raw} {
			if err := json.Unmarshal([]byte(text), v); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
		}
		if _, quoted := line["body"].(string); raw.Body != nil && !quoted {
			line["body"] = string(raw.Body)
		}
		lines = append(lines, line)
	}
	return lines
}

// server is a Redis that examples run on.
type server struct {
	name  string
	addrs []string // none = one inside the process, for each example its own
	mu    sync.Mutex
}

func servers(t *testing.T) []*server {
	t.Helper()
	all := []*server{{name: "embedded"}}
	for name, addrs := range map[string]string{"redis": os.Getenv("PUSHFLEET_TEST_REDIS"), "cluster": os.Getenv("PUSHFLEET_TEST_REDIS_CLUSTER")} {
		if addrs == "" {
			continue
		}
		s := shared(name, strings.Split(addrs, ","))
		all = append(all, s)
	}
	return all
}

// sharedServers are the real ones of the environment: the examples of all tests take turns on each.
var sharedServers sync.Map

func shared(name string, addrs []string) *server {
	s, _ := sharedServers.LoadOrStore(name, &server{name: name, addrs: addrs})
	return s.(*server)
}

func (s *server) run(t *testing.T, p route.Preview, out *bytes.Buffer) error {
	t.Helper()
	if s.addrs == nil {
		return p.Run(t.Context(), out)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(t)
	return p.On(s.addrs).Run(t.Context(), out)
}

// forget removes everything of the examples' app: every key has it in its hash tag, apart from the owners of tokens, which
// are always the same.
func (s *server) forget(t *testing.T) {
	t.Helper()
	client := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: s.addrs})
	defer func() { _ = client.Close() }()
	remove := func(ctx context.Context, node *redis.Client) error {
		keys := node.Scan(ctx, 0, "*{im|*", 1000).Iterator()
		for keys.Next(ctx) {
			if err := client.Del(ctx, keys.Val()).Err(); err != nil {
				return err
			}
		}
		return keys.Err()
	}
	var err error
	switch c := client.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(t.Context(), remove)
	case *redis.Client:
		err = remove(t.Context(), c)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// idOf is the id of a push to one of bob's devices.
func idOf(key, device string) string { return message.NotificationID("im", key, "bob", device, "") }
