package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The contract's own example.
const (
	iphone = `{"App":"demo","User":"bob","Device":"bob-iphone","Event":"login","EventTime":1789999990000,"Platform":"apns","Token":"` + pushToken + `","Credential":"demo-ios","Language":"en"}
{"App":"demo","User":"bob","Device":"bob-iphone","Event":"background","EventTime":1789999995000,"Unread":4}
`
	pixel = `{"App":"demo","User":"bob","Device":"bob-pixel","Event":"login","EventTime":1789999990000,"Platform":"fcm","Token":"pixel-token","Credential":"demo-android","Language":"en"}
{"App":"demo","User":"bob","Device":"bob-pixel","Event":"background","EventTime":1789999995000,"Unread":4}
`
	iphoneLine = `{"id":"559a65a7-20e4-51c6-8d2a-d706eca5b40d","msg_key":"c2c:alice:101_900001_1790000000","user":"bob","device":"bob-iphone","platform":"apns","decision":"push","reason":"background","headers":{"apns-id":"559a65a7-20e4-51c6-8d2a-d706eca5b40d","apns-topic":"com.example.demo","apns-push-type":"alert","apns-priority":"10","apns-expiration":"1790604800","apns-collapse-id":"559a65a7-20e4-51c6-8d2a-d706eca5b40d"},"body":{"aps":{"alert":"Alice:hello","badge":5,"sound":"ding.caf","thread-id":"c2c:alice"},"ext":"{\"page\":\"chat\"}","msg_key":"c2c:alice:101_900001_1790000000"}}`
	pixelLine  = `{"id":"9016f4b9-65ec-5c54-b229-c59682517983","msg_key":"c2c:alice:101_900001_1790000000","user":"bob","device":"bob-pixel","platform":"fcm","decision":"push","reason":"background","body":{"data":{"body":"Alice:hello","badge":"5","ext":"{\"page\":\"chat\"}","thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"high","ttl":"604800s"}}}`
)

func TestPreview(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		message, events string
		want            []string
	}{
		"the iPhone":   {message, iphone, []string{iphoneLine}},
		"both phones":  {message, iphone + pixel, []string{iphoneLine, pixelLine}},
		"no recipient": {strings.Replace(message, `"To_Account":"bob"`, `"To_Account":"alice"`, 1), iphone, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &bench{t: t, dir: t.TempDir()}
			b.file("pushfleet.yaml", apps) // nothing that it names exists
			out := b.ok("", "preview", "--message", b.file("m.json", c.message), "--devices", b.file("d.jsonl", c.events), "--now", "1790000000")
			var got []string
			for line := range strings.Lines(out) {
				got = append(got, strings.TrimSpace(line))
			}
			if len(got) != len(c.want) {
				t.Fatalf("%d lines, want %d:\n%s", len(got), len(c.want), out)
			}
			for i := range c.want {
				if diff := cmp.Diff(object(t, c.want[i]), object(t, got[i])); diff != "" {
					t.Errorf("line %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

// TestPreviewOfADeadMessage: stdout has the reason alone, and stderr what is wrong.
func TestPreviewOfADeadMessage(t *testing.T) {
	t.Parallel()
	b := &bench{t: t, dir: t.TempDir()}
	message := b.file("m.json", strings.Replace(message, `"App":"demo"`, `"App":"other"`, 1))
	a := execute(t, "", "--config", b.file("pushfleet.yaml", apps), "preview", "--message", message, "--devices", b.file("d.jsonl", iphone), "--now", "1790000000")
	const want = `{"msg_key":"c2c:alice:101_900001_1790000000","decision":"dead","reason":"unknown_app"}`
	if a.code != 0 || strings.TrimSpace(a.stdout) != want || a.stderr != "App: is not configured\n" {
		t.Errorf("exit %d, stdout %s, stderr %s", a.code, a.stdout, a.stderr)
	}
}

func object(t *testing.T, line string) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(line), &o); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	delete(o, "problem") // free text
	return o
}

func TestPreviewOfWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	b := &bench{t: t, dir: t.TempDir()}
	b.file("pushfleet.yaml", apps)
	m, d := b.file("m.json", message), b.file("d.jsonl", iphone)
	b.fails(1, "absent", "preview", "--message", "absent", "--devices", d)
	b.fails(1, "absent", "preview", "--message", m, "--devices", "absent")
	b.fails(1, "line 2", "preview", "--message", m, "--devices", b.file("bad.jsonl", iphone[:strings.Index(iphone, "\n")+1]+"{\n"))
	if err := os.Remove(filepath.Join(b.dir, "pushfleet.yaml")); err != nil {
		t.Fatal(err)
	}
	b.fails(1, "pushfleet.yaml", "preview", "--message", m, "--devices", d)
}
