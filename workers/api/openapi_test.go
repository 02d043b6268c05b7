package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/timeline"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// document is openapi.yaml as JSON values, which is what schemas are compiled from.
func document(t *testing.T) map[string]any {
	t.Helper()
	var read any
	if err := yaml.Unmarshal(openAPI, &read); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(read)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc.(map[string]any)
}

// resolve follows a reference inside the document.
func resolve(doc map[string]any, node any) map[string]any {
	object := node.(map[string]any)
	ref, ok := object["$ref"].(string)
	if !ok {
		return object
	}
	var at any = doc
	for _, step := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.(map[string]any)[step]
	}
	return at.(map[string]any)
}

func TestOpenAPINamesWhatIsServed(t *testing.T) {
	t.Parallel()
	var described, served []string
	for path, item := range document(t)["paths"].(map[string]any) {
		for method, operation := range item.(map[string]any) {
			if method == "parameters" {
				continue
			}
			_, open := operation.(map[string]any)["security"]
			described = append(described, fmt.Sprintf("%s %s open=%t", strings.ToUpper(method), path, open))
		}
	}
	for _, rt := range newBench(t, nil).table() {
		served = append(served, fmt.Sprintf("%s %s open=%t", rt.method, rt.path, rt.open))
	}
	slices.Sort(described)
	slices.Sort(served)
	if diff := cmp.Diff(served, described); diff != "" {
		t.Errorf("openapi.yaml (-served +described):\n%s", diff)
	}
}

func TestOpenAPIExamplesMatchTheirSchemas(t *testing.T) {
	t.Parallel()
	doc := document(t)
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	if err := compiler.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	checked := 0
	var walk func(pointer string, node any)
	walk = func(pointer string, node any) {
		object, ok := node.(map[string]any)
		if !ok {
			return
		}
		examples, _ := object["examples"].(map[string]any)
		if _, has := object["schema"]; has && examples != nil {
			schema, err := compiler.Compile("openapi.json#" + pointer + "/schema")
			if err != nil {
				t.Fatalf("%s: %v", pointer, err)
			}
			for name, example := range examples {
				checked++
				if err := schema.Validate(resolve(doc, example)["value"]); err != nil {
					t.Errorf("%s, example %s: %v", pointer, name, err)
				}
			}
		}
		for key, child := range object {
			walk(pointer+"/"+strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(key), child)
		}
	}
	walk("", doc)
	if checked < 10 {
		t.Errorf("only %d examples found", checked)
	}
}

// imSchemas are the schemas of what IM services and gateways send, and where openapi.yaml has them.
var imSchemas = map[string]string{"messages": "Message", "devices": "DeviceEvent", "receipts": "Receipt", "id": "ID"}

// imSchema reads a schema of schemas/im.
func imSchema(t *testing.T, name string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "schemas", "im", name+".schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return schema.(map[string]any)
}

// asComponent is a schema as openapi.yaml has it: without a name of its own, and with its parts beside it.
func asComponent(node any) any {
	switch node := node.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range node {
			switch ref, _ := value.(string); key {
			case "$schema", "$id", "title", "$defs":
			case "$ref":
				name := ref[strings.LastIndexByte(ref, '/')+1:]
				out[key] = "#/components/schemas/" + component(name)
			default:
				out[key] = asComponent(value)
			}
		}
		return out
	case []any:
		out := make([]any, len(node))
		for i, value := range node {
			out[i] = asComponent(value)
		}
		return out
	}
	return node
}

// component is the name in openapi.yaml of a part of a schema.
func component(part string) string {
	switch part {
	case "id.schema.json":
		return "ID"
	case "optionalId":
		return "OptionalID"
	}
	return strings.ToUpper(part[:1]) + part[1:]
}

// TestOpenAPIDescribesRequestsAsTheTopicsDo: a body is what a record of the topic is.
func TestOpenAPIDescribesRequestsAsTheTopicsDo(t *testing.T) {
	t.Parallel()
	described := document(t)["components"].(map[string]any)["schemas"].(map[string]any)
	for file, name := range imSchemas {
		schema := imSchema(t, file)
		if diff := cmp.Diff(asComponent(schema), described[name]); diff != "" {
			t.Errorf("%s (-schemas/im +openapi.yaml):\n%s", name, diff)
		}
		parts, _ := schema["$defs"].(map[string]any)
		for part, schema := range parts {
			if diff := cmp.Diff(asComponent(schema), described[component(part)]); diff != "" {
				t.Errorf("%s (-schemas/im +openapi.yaml):\n%s", component(part), diff)
			}
		}
	}
}

// validator compiles schemas of openapi.yaml and of schemas/im.
func validator(t *testing.T) func(url string, value any) error {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	if err := compiler.AddResource("openapi.json", document(t)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"messages", "devices", "receipts", "groups", "id"} {
		schema := imSchema(t, name)
		if err := compiler.AddResource(schema["$id"].(string), schema); err != nil {
			t.Fatal(err)
		}
	}
	return func(url string, value any) error {
		t.Helper()
		schema, err := compiler.Compile(url)
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(value)
	}
}

const imBase = "https://github.com/pushfleet/pushfleet/schemas/im/"

func jsonOf(t *testing.T, text []byte) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// TestOpenAPIExamplesAreAcceptedAndAnsweredAsDescribed: what each example brings to Kafka is a record as its topic's schema
// has it.
func TestOpenAPIExamplesAreAcceptedAndAnsweredAsDescribed(t *testing.T) {
	t.Parallel()
	doc := document(t)
	validate := validator(t)
	for _, c := range []struct{ method, path, answer, record string }{
		{"post", "/v1/messages", "AcceptedMessages", "messages"},
		{"post", "/v1/devices/events", "Accepted", "devices"},
		{"post", "/v1/receipts", "Accepted", "receipts"},
		{"put", "/v1/apps/{app}/groups/{group}/members/{user}", "Accepted", "groups"},
	} {
		operation := doc["paths"].(map[string]any)[c.path].(map[string]any)[c.method].(map[string]any)
		content := operation["requestBody"].(map[string]any)["content"].(map[string]any)["application/json"].(map[string]any)
		examples := content["examples"].(map[string]any)
		path := strings.NewReplacer("{app}", "demo", "{group}", "team", "{user}", "bob").Replace(c.path)
		for _, name := range slices.Sorted(maps.Keys(examples)) {
			b := newBench(t, nil)
			w := b.do(strings.ToUpper(c.method), path, "application/json", oneLine(t, resolve(doc, examples[name])["value"]))
			if w.Code != 202 {
				t.Errorf("%s, example %s: status %d: %s", c.path, name, w.Code, w.Body)
				continue
			}
			if err := validate("openapi.json#/components/schemas/"+c.answer, jsonOf(t, w.Body.Bytes())); err != nil {
				t.Errorf("%s, answer to %s: %v", c.path, name, err)
			}
			if err := validate(imBase+c.record+".schema.json", jsonOf(t, b.published[0].Value)); err != nil {
				t.Errorf("%s, record of %s: %v", c.path, name, err)
			}
		}
	}
}

func TestOpenAPIDescribesTheAnswersOfQueries(t *testing.T) {
	t.Parallel()
	validate := validator(t)
	b := newBench(t, nil)
	b.registry.devices = []registry.Device{{
		Device: "bob-iphone", Binding: push.Binding{Platform: "apns", Credential: "demo-ios", Language: "en", Version: 3, Service: true},
		TokenHash: "271a413bd339c570", VoIPTokenHash: "271a413bd339c570", BoundAt: now, Presence: push.ReasonForeground,
		Filter: push.ReasonForeground, Badge: 4, Foreground: now, Background: now, Killed: now,
	}, {Device: "bare"}}
	b.registry.settings = &schemasv1.UserState{EventTimeMs: 1789999990000, SoundC2C: "a", SoundGroup: "b", QuietDaily: &schemasv1.QuietDaily{TimeZone: "UTC"},
		QuietOnce: &schemasv1.QuietOnce{}, Options: []*schemasv1.ReceiveOption{{Conversation: "c2c:alice", Option: 2}}}
	b.timeline.line = timeline.Line{LeftOut: 3, Entries: []timeline.Entry{{User: "bob", Device: "d", Platform: "apns", Id: "x", Purpose: "recall",
		Disposition: "retry", Reason: "r", Answer: "200", TimeMs: 1, Attempt: 1, Redrive: 1, AdmittedMs: 1, DueMs: 1}, {Disposition: "clicked"}}}
	for path, schema := range map[string]string{
		"/v1/apps/demo/users/bob/devices": "Devices", "/v1/apps/demo/users/bob/settings": "Settings", "/v1/apps/demo/messages/x/timeline": "Timeline",
		"/v1/apps/other/users/bob/devices": "Problem",
	} {
		if err := validate("openapi.json#/components/schemas/"+schema, jsonOf(t, b.do("GET", path, "", "").Body.Bytes())); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
