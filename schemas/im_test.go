package schemas_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestSamples: every sample under testdata/<kind>/valid fits im/<kind>.schema.json, and none under invalid does.
func TestSamples(t *testing.T) {
	t.Parallel()
	kinds := []string{"messages", "devices", "groups", "receipts"} // each a schema, and a folder of samples
	const base = "https://github.com/pushfleet/pushfleet/schemas/"
	compiler := jsonschema.NewCompiler()
	for _, kind := range append(kinds, "id") {
		file := "im/" + kind + ".schema.json"
		if err := compiler.AddResource(base+file, read(t, file)); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range kinds {
		schema, err := compiler.Compile(base + "im/" + kind + ".schema.json")
		if err != nil {
			t.Fatal(err)
		}
		for folder, fits := range map[string]bool{"valid": true, "invalid": false} {
			files, err := filepath.Glob(filepath.Join("testdata", kind, folder, "*.json"))
			if err != nil || len(files) == 0 {
				t.Fatalf("no %s samples of %s: %v", folder, kind, err)
			}
			for _, file := range files {
				if err := schema.Validate(read(t, file)); (err == nil) != fits {
					t.Errorf("%s: %v", file, err)
				}
			}
		}
	}
}

// TestEveryEventHasASample: a kind of event or receipt that is added to a schema gets a sample.
func TestEveryEventHasASample(t *testing.T) {
	t.Parallel()
	for kind, property := range map[string]string{"devices": "Event", "receipts": "Receipt"} {
		schema := read(t, filepath.Join("im", kind+".schema.json")).(map[string]any)
		values := schema["properties"].(map[string]any)[property].(map[string]any)["enum"].([]any)
		unseen := map[string]bool{}
		for _, value := range values {
			unseen[value.(string)] = true
		}
		files, err := filepath.Glob(filepath.Join("testdata", kind, "valid", "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			delete(unseen, read(t, file).(map[string]any)[property].(string))
		}
		if diff := cmp.Diff(map[string]bool{}, unseen); diff != "" {
			t.Errorf("%s without a sample (-none +missing):\n%s", property, diff)
		}
	}
}

func read(t *testing.T, file string) any {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(content)))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return value
}
