package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
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

func TestOpenAPIExamplesAreAcceptedAndAnsweredAsDescribed(t *testing.T) {
	t.Parallel()
	doc := document(t)
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	for path, answer := range map[string]string{"/v1/messages": "AcceptedMessages", "/v1/devices/events": "AcceptedEvents"} {
		post := doc["paths"].(map[string]any)[path].(map[string]any)["post"].(map[string]any)
		content := post["requestBody"].(map[string]any)["content"].(map[string]any)["application/json"].(map[string]any)
		examples := content["examples"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(examples)) {
			w := newBench(t, nil).do("POST", path, "application/json", oneLine(t, resolve(doc, examples[name])["value"]))
			if w.Code != 202 {
				t.Errorf("%s, example %s: status %d: %s", path, name, w.Code, w.Body)
				continue
			}
			schema, err := compiler.Compile("openapi.json#/components/schemas/" + answer)
			if err != nil {
				t.Fatal(err)
			}
			got, err := jsonschema.UnmarshalJSON(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(got); err != nil {
				t.Errorf("%s, answer to %s: %v", path, name, err)
			}
		}
	}
}
