package docs_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/message"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
	"github.com/pushfleet/pushfleet/workers/callback"
)

func TestCallbacksShowsTheExample(t *testing.T) {
	t.Parallel()
	if block := "```go\n" + read(t, filepath.Join("..", "examples", "callbacks", "main.go")) + "```\n"; !strings.Contains(read(t, "callbacks.md"), block) {
		t.Error("the page does not show examples/callbacks/main.go as it is")
	}
}

// TestCallbacksShowsWhatIsTold: the body on the page is what the program makes of such events.
func TestCallbacksShowsWhatIsTold(t *testing.T) {
	t.Parallel()
	const (
		c2c   = "c2c:alice:101_900001_1790000000"
		group = "group:team:424242_1790000001"
	)
	var want []callback.Event
	for _, e := range []*schemasv1.Event{
		{App: "demo", MsgKey: c2c, User: "bob", Device: "bob-iphone", Platform: "apns", Id: message.NotificationID("demo", c2c, "bob", "bob-iphone", ""),
			Disposition: "delivered", Answer: "200", TimeMs: 1790000000150, Attempt: 1, Sender: "alice", Conversation: "c2c:alice", MsgSeq: 101},
		{App: "demo", MsgKey: group, User: "carol", Device: "carol-pixel", Platform: "fcm", Id: message.NotificationID("demo", group, "carol", "carol-pixel", ""),
			Disposition: "drop_token", Reason: "unregistered", Answer: "404 UNREGISTERED", TimeMs: 1790000001200, Attempt: 1, Sender: "alice",
			Conversation: "group:team", MsgSeq: 7},
		{App: "demo", MsgKey: c2c, User: "bob", Device: "bob-iphone", Id: message.NotificationID("demo", c2c, "bob", "bob-iphone", ""),
			Disposition: "clicked", TimeMs: 1790000009000},
	} {
		told, ok := callback.Tell(e)
		if !ok {
			t.Fatalf("not told: %v", e)
		}
		want = append(want, told)
	}
	blocks := records(t, read(t, "callbacks.md"))
	var got struct {
		App    string
		Events []callback.Event
	}
	if len(blocks) != 1 || json.Unmarshal(blocks[0], &got) != nil || got.App != "demo" {
		t.Fatalf("%d blocks of JSON, %+v", len(blocks), got)
	}
	if diff := cmp.Diff(want, got.Events); diff != "" {
		t.Errorf("events (-program +page):\n%s", diff)
	}
}

// TestCallbacksNamesEveryFieldAndCode: the tables of the page are complete.
func TestCallbacksNamesEveryFieldAndCode(t *testing.T) {
	t.Parallel()
	page := read(t, "callbacks.md")
	fields := reflect.TypeFor[callback.Event]()
	for i := range fields.NumField() {
		name, _, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ",")
		if name == "" {
			name = fields.Field(i).Name
		}
		if !strings.Contains(page, "\n| `"+name+"` |") {
			t.Errorf("the page has no line for %s", name)
		}
	}
	known := map[string]bool{"0": true, "9999": true}
	for reason, code := range callback.Codes() {
		known[fmt.Sprint(code)] = true
		if !strings.Contains(page, fmt.Sprintf("\n| %d | `%s` |", code, reason)) {
			t.Errorf("the page has no line for %d, %s", code, reason)
		}
	}
	for _, line := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(page, -1) {
		if !known[line[1]] {
			t.Errorf("the page has the code %s, the program not", line[1])
		}
	}
}
