package operate

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// closedList are the reasons that pkg/push declares, but those for which there is a push.
func closedList(t *testing.T) []push.Reason {
	t.Helper()
	file, err := parser.ParseFile(gotoken.NewFileSet(), filepath.Join("..", "..", "pkg", "push", "outcome.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var reasons []push.Reason
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Reason" {
			return true
		}
		for _, value := range spec.Values {
			text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			if r := push.Reason(text); r.Disposition() != push.Delivered {
				reasons = append(reasons, r)
			}
		}
		return true
	})
	return reasons
}

func TestEveryReasonIsExplained(t *testing.T) {
	t.Parallel()
	want := closedList(t)
	if len(want) < 38 {
		t.Fatalf("only %d reasons found in pkg/push", len(want))
	}
	var got []push.Reason
	for _, e := range Explanations() {
		got = append(got, e.Reason)
		if e.Meaning == "" || e.Remedy == "" || e.Leads != e.Reason.Disposition().String() {
			t.Errorf("%+v is no explanation", e)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons explained (-pkg/push +here):\n%s", diff)
	}
	if _, ok := Explain("free_text"); ok {
		t.Error("free text is explained")
	}
}

// TestTheDocumentExplainsAsTheProgramDoes holds docs/dead-letters.md to the explanations that pushctl dead explain prints.
func TestTheDocumentExplainsAsTheProgramDoes(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "dead-letters.md"))
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- reasons: what pushctl dead explain --markdown prints -->\n", "<!-- end of reasons -->"
	_, rest, ok := strings.Cut(string(text), begin)
	page, _, ended := strings.Cut(rest, end)
	if !ok || !ended {
		t.Fatalf("docs/dead-letters.md has no part between %q and %q", begin, end)
	}
	if diff := cmp.Diff(Markdown(Explanations()), page); diff != "" {
		t.Errorf("docs/dead-letters.md (-program +page), write it with go run ./cmd/pushctl dead explain --markdown:\n%s", diff)
	}
}
