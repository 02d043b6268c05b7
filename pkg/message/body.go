package message

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxText bounds, in bytes, what is kept of the elements' text, and of the name before it. It is twice the largest
// payload that a provider takes, so a platform cuts whatever reaches it once more, where it would cut the whole text.
const maxText = 8 << 10

// body is MsgBody, read in one pass.
type body struct {
	present    bool
	start, end int64 // where its bytes stand in the record
	read       int   // elements read
	size       int   // of the text in its shortest language, at least, in bytes
	text       []segment

	ext, sound string // of the first custom element that has one

	current element     // reused, and its bytes with it
	content textContent // reused
}

// segment is one element's share of the text: a word that depends on the language, or else the literal text.
type segment struct {
	word    word
	literal string
}

// UnmarshalJSONFrom reads an array of elements, or null.
func (b *body) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if kind := dec.PeekKind(); kind != '[' {
		if err := dec.SkipValue(); err != nil || kind == 'n' {
			return err
		}
		return problem("not an array")
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	b.present, b.start = true, dec.InputOffset()-1
	for dec.PeekKind() != ']' {
		b.current = element{Content: b.current.Content[:0]}
		if err := json.UnmarshalDecode(dec, &b.current); err != nil {
			return err
		}
		if err := b.add(&b.current); err != nil {
			return err
		}
		b.read++
	}
	_, err := dec.ReadToken()
	b.end = dec.InputOffset()
	return err
}

// element is one element of MsgBody. Its content is a copy of the bytes, since the type that tells their meaning may
// stand after them.
type element struct {
	Type    string         `json:"MsgType"`
	Content jsontext.Value `json:"MsgContent"`
}

// textContent is the content of a text element, which most messages are.
type textContent struct{ Text string }

// add reads one element. An element of a type that this package does not know gives no text and is no error: the IM may
// have learned it before us.
func (b *body) add(e *element) error {
	switch e.Type {
	case "":
		return invalid(b.path("MsgType"), "missing")
	case "TIMTextElem":
		b.content = textContent{}
		err := b.decode(e, &b.content)
		b.append(segment{literal: b.content.Text})
		return err
	case "TIMRelayElem":
		var content struct{ Title string }
		err := b.decode(e, &content)
		b.append(segment{literal: content.Title})
		return err
	case "TIMCustomElem":
		var content struct{ Desc, Ext, Sound string }
		err := b.decode(e, &content)
		b.append(segment{literal: content.Desc})
		b.ext, b.sound = cmp.Or(b.ext, content.Ext), cmp.Or(b.sound, content.Sound)
		return err
	}
	if word := wordOf(e.Type); word != noWord {
		b.append(segment{word: word})
		return b.decode(e, &struct{}{})
	}
	return nil
}

// decode reads the content of an element whose type is known; absent content is empty content.
func (b *body) decode(e *element, into any) error {
	if len(e.Content) == 0 {
		return nil
	}
	if err := json.Unmarshal(e.Content, into); err != nil {
		return unreadable(err, b.path("MsgContent"))
	}
	return nil
}

func (b *body) path(name string) string {
	return fmt.Sprintf("MsgBody[%d].%s", b.read, name)
}

// append keeps s as far as a phone could show it.
func (b *body) append(s segment) {
	if b.size >= maxText || s == (segment{}) {
		return
	}
	s.literal = cut(s.literal, maxText)
	b.text = append(b.text, s)
	b.size += max(len(s.literal), 1)
}

// cut shortens s to at most limit bytes without splitting a rune. What it shortens no longer keeps the whole of s alive.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for !utf8.RuneStart(s[limit]) {
		limit--
	}
	return strings.Clone(s[:limit])
}
