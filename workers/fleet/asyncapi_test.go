package fleet_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/fleet"
)

// asyncAPI is what the tests read of schemas/asyncapi.yaml.
type asyncAPI struct {
	Channels map[string]struct {
		Address    string `json:"address"`
		Parameters map[string]struct {
			Ref  string   `json:"$ref"`
			Enum []string `json:"enum"`
		} `json:"parameters"`
		Messages map[string]struct {
			Ref string `json:"$ref"`
		} `json:"messages"`
		Bindings struct {
			Kafka struct {
				Topic struct {
					Policy    []string `json:"cleanup.policy"`
					Retention int64    `json:"retention.ms"`
				} `json:"topicConfiguration"`
			} `json:"kafka"`
		} `json:"bindings"`
	} `json:"channels"`
	Operations map[string]struct {
		Channel struct {
			Ref string `json:"$ref"`
		} `json:"channel"`
	} `json:"operations"`
	Components struct {
		Parameters map[string]struct {
			Enum []string `json:"enum"`
		} `json:"parameters"`
		Messages map[string]struct {
			Examples []struct {
				Name    string          `json:"name"`
				Payload json.RawMessage `json:"payload"`
			} `json:"examples"`
			Payload map[string]any `json:"payload"`
		} `json:"messages"`
		Schemas map[string]struct {
			Properties map[string]any `json:"properties"`
		} `json:"schemas"`
	} `json:"components"`
}

const asyncAPIFile = "asyncapi.yaml"

func readAsyncAPI(t *testing.T) *asyncAPI {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "schemas", asyncAPIFile))
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	doc := new(asyncAPI)
	if err := json.Unmarshal(encoded, doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

var parameter = regexp.MustCompile(`\{(\w+)\}`)

// pattern matches the topics of a channel's address, whose parameters may be values of their lists only.
func (d *asyncAPI) pattern(t *testing.T, channel string) *regexp.Regexp {
	t.Helper()
	c := d.Channels[channel]
	text := regexp.QuoteMeta(c.Address)
	for _, name := range parameter.FindAllStringSubmatch(c.Address, -1) {
		p, ok := c.Parameters[name[1]]
		if !ok {
			t.Errorf("channel %s does not describe {%s}", channel, name[1])
		}
		if p.Ref != "" {
			p.Enum = d.Components.Parameters[p.Ref[strings.LastIndex(p.Ref, "/")+1:]].Enum
		}
		value := `[^.]+`
		if len(p.Enum) > 0 {
			value = "(" + strings.Join(p.Enum, "|") + ")"
		}
		text = strings.Replace(text, regexp.QuoteMeta(name[0]), value, 1)
	}
	return regexp.MustCompile("^" + text + "$")
}

// TestAsyncAPINamesEveryTopic: each topic that the fleet creates has one channel, with its clean-up policy and
// retention, and no channel is without a topic or without an operation.
func TestAsyncAPINamesEveryTopic(t *testing.T) {
	t.Parallel()
	doc := readAsyncAPI(t)
	layout := stream.Layout{Platforms: fleet.Names(), Delays: []time.Duration{10 * time.Second, time.Hour}}
	used := map[string]bool{}
	for _, topic := range layout.All() {
		var found []string
		for channel := range doc.Channels {
			if doc.pattern(t, channel).MatchString(topic.Name) {
				found = append(found, channel)
				used[channel] = true
			}
		}
		if len(found) != 1 {
			t.Errorf("%s has the channels %v", topic.Name, found)
			continue
		}
		described := doc.Channels[found[0]].Bindings.Kafka.Topic
		if policy := strings.Join(described.Policy, ","); policy != topic.Settings["cleanup.policy"] {
			t.Errorf("%s: policy %s, described as %s", topic.Name, topic.Settings["cleanup.policy"], policy)
		}
		if retention, _ := strconv.ParseInt(topic.Settings["retention.ms"], 10, 64); retention != described.Retention {
			t.Errorf("%s: kept for %d ms, described as %d", topic.Name, retention, described.Retention)
		}
	}
	operated := map[string]bool{}
	for name, o := range doc.Operations {
		channel := strings.TrimPrefix(o.Channel.Ref, "#/channels/")
		if _, ok := doc.Channels[channel]; !ok {
			t.Errorf("operation %s: no such channel", name)
		}
		operated[channel] = true
	}
	for channel := range doc.Channels {
		if !used[channel] || !operated[channel] {
			t.Errorf("channel %s: topic %t, operation %t", channel, used[channel], operated[channel])
		}
	}
	names := make([]string, 0, len(fleet.Names()))
	for _, p := range fleet.Names() {
		names = append(names, string(p))
	}
	if diff := cmp.Diff(names, doc.Components.Parameters["platform"].Enum); diff != "" {
		t.Errorf("platforms (-code +document):\n%s", diff)
	}
}

// TestAsyncAPINamesEveryHeader: the headers of notifications are those that the code writes.
func TestAsyncAPINamesEveryHeader(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1)
	written := stream.Meta{ID: "id", Lane: push.LaneUrgent, Attempt: 1, NotBefore: at, FirstSeen: at, Reason: push.ReasonTimeout, Answer: "503",
		Origin: "im.messages/0/0", Traceparent: "00", Redrive: 1, Refused: at}.Headers()
	var names []string
	for _, h := range written {
		names = append(names, h.Key)
	}
	slices.Sort(names)
	described := slices.Sorted(maps.Keys(readAsyncAPI(t).Components.Schemas["workHeaders"].Properties))
	if diff := cmp.Diff(names, described); diff != "" {
		t.Errorf("headers (-code +document):\n%s", diff)
	}
}

// TestAsyncAPIExamples: every example fits its schema, and the code that reads such a record takes it.
func TestAsyncAPIExamples(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_790_000_010_000)
	readers := map[string]func([]byte) error{
		"message": func(value []byte) error {
			_, err := message.Parse(value, message.Envelope{Topic: "im.messages", Time: now})
			return err
		},
		"deviceEvent": func(value []byte) error { _, err := registry.ParseDeviceEvent(value, now); return err },
		"membership":  func(value []byte) error { _, err := registry.ParseMembership(value, now); return err },
		"receipt":     func(value []byte) error { _, err := registry.ParseReceipt(value, now); return err },
	}
	schemas := schemaFiles(t)
	for name, m := range readAsyncAPI(t).Components.Messages {
		ref, ok := m.Payload["$ref"].(string)
		if !ok || !strings.HasPrefix(ref, "im/") {
			continue
		}
		if len(m.Examples) == 0 || readers[name] == nil {
			t.Errorf("message %s: %d examples, reader known: %t", name, len(m.Examples), readers[name] != nil)
			continue
		}
		schema, err := schemas.Compile(schemaBase + ref)
		if err != nil {
			t.Fatal(err)
		}
		for _, example := range m.Examples {
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(example.Payload))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(value); err != nil {
				t.Errorf("%s, example %s: %v", name, example.Name, err)
			}
			if err := readers[name](example.Payload); err != nil {
				t.Errorf("%s, example %s: %v", name, example.Name, err)
			}
		}
	}
}

const schemaBase = "https://github.com/pushfleet/pushfleet/schemas/"

// schemaFiles knows every JSON Schema by its id.
func schemaFiles(t *testing.T) *jsonschema.Compiler {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "schemas", "im", "*.schema.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no schemas: %v", err)
	}
	compiler := jsonschema.NewCompiler()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource(schemaBase+"im/"+filepath.Base(file), schema); err != nil {
			t.Fatal(err)
		}
	}
	return compiler
}
