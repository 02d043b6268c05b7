package message

import (
	"cmp"
	"strings"
	"sync"
)

// maxLanguagesKept bounds the renderings that a message remembers. A message whose recipients speak more languages than
// that is rendered anew for the rest.
const maxLanguagesKept = 16

// alert is what a phone shows of a message, except for the title.
type alert struct {
	name string    // what stands before the text and a colon, as "Alice" or "Ali(Team)"; "" = neither
	text []segment // none = there is nothing to show

	literal string // name and text, where no word in the text depends on the language

	mu       sync.Mutex
	rendered []rendering // at most maxLanguagesKept
}

type rendering struct {
	language string // as the device gives it
	words    *vocabulary
	named    string // name and text
}

// setText takes the elements' text, or Desc in its place.
func (a *alert) setText(text []segment) {
	a.text = text
	for _, s := range text {
		if s.word != noWord {
			return
		}
	}
	a.literal = a.render(nil)
}

// in is the text in a device's language: with the name before it, or without.
func (a *alert) in(language string, named bool) string {
	if len(a.text) == 0 {
		return ""
	}
	s := a.literal
	if s == "" {
		s = a.remembered(language).named
	}
	if named {
		return s
	}
	return s[a.textStart():]
}

// instead is a word in a device's language that stands where the text stood.
func (a *alert) instead(w word, language string, named bool) string {
	s := a.remembered(language).words[w]
	if named && a.name != "" {
		return a.name + ":" + s
	}
	return s
}

func (a *alert) remembered(language string) rendering {
	if len(language) > maxLanguageTag {
		language = fallback
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.rendered {
		if a.rendered[i].language == language {
			return a.rendered[i]
		}
	}
	words := languages.find(language)
	r := rendering{language: strings.Clone(language), words: words, named: a.literal}
	if r.named == "" {
		r.named = a.render(words)
	}
	if len(a.rendered) < maxLanguagesKept {
		a.rendered = append(a.rendered, r)
	}
	return r
}

// render joins the elements' texts, which nothing separates, behind the name.
func (a *alert) render(words *vocabulary) string {
	colon := ""
	if a.name != "" {
		colon = ":"
	}
	if len(a.text) == 1 && words == nil {
		return a.name + colon + a.text[0].literal
	}
	var b strings.Builder
	b.WriteString(a.name)
	b.WriteString(colon)
	for _, s := range a.text {
		if s.word != noWord {
			b.WriteString(words[s.word])
		} else {
			b.WriteString(s.literal)
		}
	}
	return cut(b.String(), a.textStart()+maxText)
}

// textStart is where the text begins behind the name.
func (a *alert) textStart() int {
	if a.name == "" {
		return 0
	}
	return len(a.name) + len(":")
}

// nameOf is who speaks: a group message names the group as well. A part that is absent takes its parentheses with it.
func nameOf(r *record) string {
	name := r.FromNick
	if r.GroupID != "" {
		name = cmp.Or(r.FromNameCard, r.FromNick)
		if r.GroupName != "" {
			name += "(" + r.GroupName + ")"
		}
	}
	return cut(name, maxText)
}
