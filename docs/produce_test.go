// Package docs_test holds the pages to the code that they speak of.
package docs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/registry"
)

// TestProduceShowsTheExamples: the programs on the page are the files that the test of the examples runs.
func TestProduceShowsTheExamples(t *testing.T) {
	t.Parallel()
	page := read(t, "produce.md")
	for file, language := range map[string]string{
		"examples/produce/main.go":   "go",
		"examples/java/Produce.java": "java",
		"examples/kcat/produce.sh":   "sh",
		"examples/kcat/group.sh":     "sh",
	} {
		if block := "```" + language + "\n" + read(t, filepath.Join("..", file)) + "```\n"; !strings.Contains(page, block) {
			t.Errorf("the page does not show %s as it is", file)
		}
	}
}

var jsonBlock = regexp.MustCompile("(?s)```json\n(.*?)```")

// TestProduceShowsWhatIsRead: every record on the page is one that the fleet reads.
func TestProduceShowsWhatIsRead(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_790_000_010_000)
	kinds := []struct {
		member string // that tells the kind
		read   func([]byte) error
		seen   int
	}{
		{member: "MsgBody", read: func(value []byte) error {
			_, err := message.Parse(value, message.Envelope{Topic: "im.messages", Time: now})
			return err
		}},
		{member: "Event", read: func(value []byte) error { _, err := registry.ParseDeviceEvent(value, now); return err }},
		{member: "Receipt", read: func(value []byte) error { _, err := registry.ParseReceipt(value, now); return err }},
		{member: "Group", read: func(value []byte) error { _, err := registry.ParseMembership(value, now); return err }},
	}
records:
	for _, record := range records(t, read(t, "produce.md")) {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(record, &members); err != nil {
			t.Fatal(err)
		}
		for i := range kinds {
			if members[kinds[i].member] == nil {
				continue
			}
			kinds[i].seen++
			if err := kinds[i].read(record); err != nil {
				t.Errorf("%v: %s", err, record)
			}
			continue records
		}
		t.Errorf("a record of no kind: %s", record)
	}
	for _, k := range kinds {
		if k.seen == 0 {
			t.Errorf("the page shows no record with %s", k.member)
		}
	}
}

// records are the JSON values in the page's blocks.
func records(t *testing.T, page string) []json.RawMessage {
	t.Helper()
	var found []json.RawMessage
	for _, block := range jsonBlock.FindAllStringSubmatch(page, -1) {
		decoder := json.NewDecoder(bytes.NewReader([]byte(block[1])))
		for {
			var record json.RawMessage
			err := decoder.Decode(&record)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in the block\n%s", err, block[1])
			}
			found = append(found, record)
		}
	}
	return found
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
