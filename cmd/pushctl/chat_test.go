package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/timeline"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

const message = `{"App":"demo","From_Account":"alice","From_Nick":"Alice","To_Account":"bob","MsgSeq":101,"MsgRandom":900001,"MsgTimeStamp":1790000000,"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hello"}}],"OfflinePushInfo":{"Ext":"{\"page\":\"chat\"}","ApnsInfo":{"Sound":"ding.caf"}}}`

func TestSend(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const key = "c2c:alice:101_900001_1790000000"
	if out := b.ok("", "send", b.file("message.json", message)); out != key+"\n" {
		t.Errorf("a file: %q", out)
	}
	if out := b.ok(message+"\n"+message+"\n", "send", "-", "-o", "json"); out != strings.Repeat(`{"msg_key":"`+key+`"}`+"\n", 2) {
		t.Errorf("NDJSON from stdin: %q", out)
	}
	if out := b.ok("", "send", "--from", "alice", "--nick", "Alice", "--to", "bob", "--text", "hi there"); !regexp.MustCompile(`^c2c:alice:\d+_\d+_\d+\n$`).MatchString(out) {
		t.Errorf("flags, one to one: %q", out)
	}
	if out := b.ok("", "send", "--from", "alice", "--group", "team", "--to", "bob,carol", "--text", "hi all"); !regexp.MustCompile(`^group:team:\d+_\d+\n$`).MatchString(out) {
		t.Errorf("flags, group: %q", out)
	}
	b.ok("", "send", "--from", "alice", "--group", "team", "--mention", "bob,all", "--text", "hi")
	b.ok("", "send", "--from", "alice", "--to", "bob", "--push-type", "background")
	values := b.values(topics.Messages())
	if len(values) != 7 || values[0] != message || !strings.Contains(values[3], `"Text":"hi there"`) || !strings.Contains(values[4], `"To_Account":["bob","carol"]`) {
		t.Errorf("im.messages holds %q", values)
	}
	if group := values[5]; strings.Contains(group, "To_Account") || !strings.Contains(group, `"GroupAtInfo":[{"GroupAtAllFlag":0,"GroupAt_Account":"bob"},{"GroupAtAllFlag":1}]`) {
		t.Errorf("a whole group, with mentions: %s", group)
	}
	if background := values[6]; !strings.Contains(background, `"MsgBody":[]`) || !strings.Contains(background, `"ApnsInfo":{"PushType":"background"}`) {
		t.Errorf("a background push: %s", background)
	}
	b.fails(1, "400 Bad Request: invalid_message: MsgBody", "send", b.file("bad.json", `{"From_Account":"alice","To_Account":"bob"}`))
	b.fails(1, "line 2", "send", b.file("bad.jsonl", message+"\n{"))
	b.fails(1, "no such file", "send", "absent.json")
	b.fails(1, "401", "send", b.file("m.json", message), "--token-file", b.file("wrong", "wrong\n"))
	b.fails(1, "holds none", "send", b.file("m.json", message), "--token-file", b.file("empty", "# none\n"))
}

func TestDevices(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ok("", "device", "set", "bob", "bob-iphone", "--platform", "apns", "--token", pushToken, "--credential", "demo-ios", "--language", "en", "--event-time", "1700000000000")
	b.ok(pushToken[2:]+"cd\n", "device", "set", "bob", "bob-pixel", "--platform", "fcm", "--token", "-", "--credential", "demo-android")
	if out := b.ok("", "device", "presence", "bob", "bob-pixel", "background", "--unread", "4", "-o", "json"); out != `{"user":"bob","device":"bob-pixel","event":"background"}`+"\n" {
		t.Errorf("presence: %q", out)
	}
	shown := b.ok("", "device", "show", "bob", "-o", "json")
	if strings.Contains(shown, "abab") {
		t.Errorf("a token is shown: %s", shown)
	}
	devices := map[string]struct {
		Platform, Presence string
		Badge              int
		TokenHash          string `json:"token_hash"`
	}{}
	for line := range strings.Lines(shown) {
		var d struct{ Device string }
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatal(err)
		}
		known := devices[d.Device]
		if err := json.Unmarshal([]byte(line), &known); err != nil {
			t.Fatal(err)
		}
		devices[d.Device] = known
	}
	if d := devices["bob-pixel"]; d.Platform != "fcm" || d.Presence != "background" || d.Badge != 4 || d.TokenHash != registry.TokenHash(pushToken[2:]+"cd") {
		t.Errorf("bob-pixel: %+v", d)
	}
	if d := devices["bob-iphone"]; d.Platform != "apns" || d.TokenHash != registry.TokenHash(pushToken) {
		t.Errorf("bob-iphone: %+v", d)
	}
	if table := b.ok("", "device", "show", "bob"); !regexp.MustCompile(`(?m)^bob-pixel +fcm +background +yes +4 +demo-android`).MatchString(table) {
		t.Errorf("table:\n%s", table)
	}
	if n, m := len(b.values(topics.Devices())), len(b.values(topics.Presence())); n != 2 || m != 1 {
		t.Errorf("%d events in im.devices, %d in im.presence; want 2 and 1", n, m)
	}
	for _, event := range []string{"foreground", "heartbeat", "killed", "logout"} {
		b.ok("", "device", "presence", "bob", "bob-pixel", event)
	}
	if table := b.ok("", "device", "show", "bob"); !strings.Contains(table, "logged_out") {
		t.Errorf("after a logout:\n%s", table)
	}
	b.fails(1, "404", "device", "show", "bob", "--app", "other")
}

func TestSettings(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if out := b.ok("", "device", "settings", "bob", "-o", "json"); out != `{"app":"demo","user":"bob","push":true,"sounds":{},"receive_options":{}}`+"\n" {
		t.Errorf("nothing set: %q", out)
	}
	const want = `{"app":"demo","user":"bob","push":false,"sounds":{"c2c":"a.caf","group":"push.no_sound"},"receive_options":{"c2c:alice":2,"group:a=b":3},` +
		`"quiet_daily":{"start":"22:00","duration":28800,"time_zone":"Asia/Shanghai"},"set_at":"2026-09-21T14:13:20Z"}` + "\n"
	if out := b.ok("", "device", "settings", "bob", "--push", "off", "--sound-c2c", "a.caf", "--sound-group", "push.no_sound", "--option", "c2c:alice=2",
		"--option", "group:a=b=3", "--quiet-daily", "22:00-06:00@Asia/Shanghai", "--event-time", "1790000000000", "-o", "json"); out != want {
		t.Errorf("all set:\n got %s\nwant %s", out, want)
	}
	if table := b.ok("", "device", "settings", "bob"); !regexp.MustCompile(`(?m)^bob +off +a.caf +push.no_sound +22:00 for 8h0m0s, Asia/Shanghai +- +c2c:alice=2 group:a=b=3$`).MatchString(table) {
		t.Errorf("table:\n%s", table)
	}
	once := b.ok("", "device", "settings", "bob", "--quiet-once", "90m", "--quiet-daily", "none", "--sound-c2c", "", "-o", "json")
	var s shownSettings
	if err := json.Unmarshal([]byte(once), &s); err != nil || s.QuietDaily != nil || s.QuietOnce == nil || s.Sounds.C2C != "" || s.Sounds.Group == "" {
		t.Fatalf("%s, %v", once, err)
	}
	if d := s.QuietOnce.Until.Sub(s.QuietOnce.Start); d != 90*time.Minute {
		t.Errorf("quiet for %s", d)
	}
	if table := b.ok("", "device", "settings", "bob", "--quiet-once", "none", "--push", "on"); !strings.Contains(table, "on") || strings.Contains(table, " to ") {
		t.Errorf("ended:\n%s", table)
	}
	b.fails(1, "QuietDaily.TimeZone", "device", "settings", "bob", "--quiet-daily", "22:00-06:00@Mars/Olympus")
	b.fails(1, "404", "device", "settings", "bob", "--app", "other")
}

func TestADevicesOwnServiceAndItsVoIPToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ok("", "device", "set", "bob", "pixel", "--platform", "fcm", "--token", pushToken, "--service")
	b.ok("", "device", "set", "bob", "iphone", "--platform", "apns", "--token", pushToken[2:]+"cd", "--voip-token", pushToken[2:]+"ef")
	if table := b.ok("", "device", "show", "bob"); !regexp.MustCompile(`(?m)^pixel .* yes .*$`).MatchString(table) {
		t.Errorf("table:\n%s", table)
	}
	if out := b.ok("", "device", "show", "bob", "-o", "json"); !strings.Contains(out, `"voip_token_hash":"`+registry.TokenHash(pushToken[2:]+"ef")) || !strings.Contains(out, `"service":true`) {
		t.Errorf("shown: %s", out)
	}
}

func TestTrace(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const key = "at:p.im.messages/0/17"
	entry := func(user, device string, after int64, disposition string) timeline.Entry {
		return &schemasv1.Event{App: "demo", MsgKey: key, User: user, Device: device, Platform: "apns", Id: "x", Disposition: disposition,
			TimeMs: 1790000000000 + after}
	}
	routed, retry, delivered := entry("bob", "d", 120, "push"), entry("bob", "d", 200, "retry"), entry("bob", "d", 10350, "delivered")
	routed.Reason = "killed"
	retry.Reason, retry.Answer, retry.Attempt, retry.AdmittedMs, retry.DueMs = "timeout", "503", 1, 1790000000150, 1790000010200
	delivered.Answer, delivered.Attempt, delivered.Redrive, delivered.Purpose = "200", 2, 1, "recall"
	filtered, clicked := entry("carol", "e", 121, "filter"), entry("bob", "d", 20000, "clicked")
	filtered.Reason, filtered.Id = "foreground", ""
	if err := b.timeline.Append(t.Context(), []timeline.Entry{routed, filtered, retry, delivered, clicked}); err != nil {
		t.Fatal(err)
	}
	const want = `{"time":"2026-09-21T14:13:20.12Z","user":"bob","device":"d","platform":"apns","id":"x","disposition":"push","reason":"killed"}
{"time":"2026-09-21T14:13:20.2Z","user":"bob","device":"d","platform":"apns","id":"x","disposition":"retry","reason":"timeout","answer":"503","attempt":1,"admitted":"2026-09-21T14:13:20.15Z","due":"2026-09-21T14:13:30.2Z"}
{"time":"2026-09-21T14:13:30.35Z","user":"bob","device":"d","platform":"apns","id":"x","purpose":"recall","disposition":"delivered","answer":"200","attempt":2,"redrive":1}
{"time":"2026-09-21T14:13:40Z","user":"bob","device":"d","platform":"apns","id":"x","disposition":"clicked"}
{"time":"2026-09-21T14:13:20.121Z","user":"carol","device":"e","platform":"apns","disposition":"filter","reason":"foreground"}
`
	if out := b.ok("", "trace", key, "-o", "json"); out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
	wantRows := []string{
		"2026-09-21T14:13:20.120Z bob d apns push killed - - - x",
		"2026-09-21T14:13:20.150Z bob d apns admitted - 1 - - x",
		"2026-09-21T14:13:20.200Z bob d apns retry timeout 1 503 2026-09-21T14:13:30.200Z x",
		"2026-09-21T14:13:30.350Z bob d apns delivered (recall) - 2 (redrive 1) 200 - x",
		"2026-09-21T14:13:40.000Z bob d apns clicked - - - - x",
		"2026-09-21T14:13:20.121Z carol e apns filter foreground - - - -",
	}
	var rows []string
	for _, line := range strings.Split(strings.TrimSpace(b.ok("", "trace", key, "--app", "demo")), "\n")[1:] {
		rows = append(rows, strings.Join(strings.Fields(line), " "))
	}
	if diff := cmp.Diff(wantRows, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if rows := strings.Count(b.ok("", "trace", key, "--user", "carol"), "\n"); rows != 2 {
		t.Errorf("%d lines of one user", rows)
	}
	if rows := strings.Count(b.ok("", "trace", key, "--device", "d"), "\n"); rows != 6 {
		t.Errorf("%d lines of one device", rows)
	}
	b.fails(1, "nothing is known", "trace", key, "--user", "dave")
	b.fails(1, "nothing is known", "trace", "c2c:x:1_2_3")
}
