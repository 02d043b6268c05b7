package message

import (
	"strings"
	"testing"
	"testing/fstest"
)

// TestLanguageFiles: a further language is a further file, and an incomplete one is found at once.
func TestLanguageFiles(t *testing.T) {
	t.Parallel()
	english, err := languageFiles.ReadFile("languages/en.json")
	if err != nil {
		t.Fatal(err)
	}
	file := func(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content)} }
	german := strings.NewReplacer("Face", "Gesicht", "Voice", "Sprache").Replace(string(english))

	catalog, err := readLanguages(fstest.MapFS{"languages/en.json": file(string(english)), "languages/de.json": file(german)})
	if err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[string]string{"de-AT": "[Gesicht]", "en-AU": "[Face]", "ja": "[Face]"} {
		if got := catalog.find(tag)[wordFace]; got != want {
			t.Errorf("%s: %s, want %s", tag, got, want)
		}
	}

	for name, c := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"no English":     {fstest.MapFS{"languages/de.json": file(german)}, "languages/en.json is missing"},
		"a missing word": {fstest.MapFS{"languages/en.json": file(`{"face":"[Face]"}`)}, "a word is missing"},
		"a further word": {fstest.MapFS{"languages/en.json": file(`{"smile":"[Smile]"}`)}, "languages/en.json"},
		"no language":    {fstest.MapFS{"languages/notalanguage.json": file(german)}, "languages/notalanguage.json"},
		"no JSON":        {fstest.MapFS{"languages/en.json": file(`{`)}, "languages/en.json"},
	} {
		if _, err := readLanguages(c.files); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", name, err, c.want)
		}
	}
}
