package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// document writes a file for a test and opens it.
func document(t *testing.T, text string) (node, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "document.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return open(file)
}

func TestFieldsOfASchema(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, schema string
		rows         []string
		rules        []string
	}{
		{"types and bounds", `properties: {A: {type: integer, minimum: 1, maximum: 9}, B: {type: [integer, "null"]}, C: {enum: ["", x, y]}, D: {const: true}}`,
			[]string{"`A`: integer, 1 to 9", "`B`: integer or null", "`C`: `x`, `y`", "`D`: `true`"}, nil},
		{"what is required, and said", `{required: [A], properties: {A: {type: string, description: The first}}}`,
			[]string{"`A`: string: Required. The first."}, nil},
		{"objects inside", `properties: {A: {type: object, properties: {B: {type: array, items: {properties: {C: {type: string}}}}}}}`,
			[]string{"`A`: object", "`A.B`: list of ", "`A.B[].C`: string"}, nil},
		{"alternatives", `properties: {A: {oneOf: [{type: "null"}, {type: object, properties: {B: {type: string}}}]}}`,
			[]string{"`A`: null or object", "`A.B`: string"}, nil},
		{"a reference, and what is said beside it", `{properties: {A: {$ref: "#/$defs/number", description: Of A.}, B: {$ref: "#/$defs/number"}}, $defs: {number: {type: integer, description: Any.}}}`,
			[]string{"`A`: integer: Of A.", "`B`: integer: Any."}, nil},
		{"conditions", `{properties: {E: {type: string}}, allOf: [{if: {properties: {E: {const: x}}}, then: {required: [A], properties: {B: {type: string}}}, else: {required: [C]}}]}`,
			[]string{"`E`: string", "`B`: string: Where `E` is `x`."}, []string{"Where `E` is `x`: `A` required.", "Unless `E` is `x`: `C` required."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			root, err := document(t, c.schema)
			if err != nil {
				t.Fatal(err)
			}
			f := fields{link: func(string) string { return "" }}
			f.of(root, "")
			var rows []string
			for _, row := range f.rows {
				rows = append(rows, strings.TrimSuffix(strings.Join(row, ": "), ": "))
			}
			if diff := cmp.Diff(c.rows, rows); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.rules, f.rules); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			if err := root.failed(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMistakesInASpecificationAreErrors(t *testing.T) {
	t.Parallel()
	if _, err := document(t, "a: {description: One, two.}"); err == nil || !strings.Contains(err.Error(), "quotes") {
		t.Errorf("a text that ends at a comma: %v", err)
	}
	root, err := document(t, `properties: {A: {$ref: "#/$defs/none"}}`)
	if err != nil {
		t.Fatal(err)
	}
	f := fields{link: func(string) string { return "" }}
	f.of(root, "")
	if err := root.failed(); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a reference that leads nowhere: %v", err)
	}
}

func TestExamplesAreJSON(t *testing.T) {
	t.Parallel()
	root, err := document(t, `{b: 1, a: "1", t: 2026-09-21T14:13:20Z, e: '{"<x>":"é"}', l: [true, null], o: {}}`)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"b":1,"a":"1","t":"2026-09-21T14:13:20Z","e":"{\"<x>\":\"é\"}","l":[true,null],"o":{}}`
	if got := asJSON(root); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
