package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// page is Markdown on its way.
type page struct{ bytes.Buffer }

func (p *page) line(text string) { p.WriteString(text + "\n") }

func (p *page) linef(format string, args ...any) { p.line(fmt.Sprintf(format, args...)) }

// paragraph is a text and an empty line; nothing where there is no text.
func (p *page) paragraph(text string) {
	if text = strings.TrimSpace(text); text != "" {
		p.line(text)
		p.line("")
	}
}

// text is the page, ending in one line end.
func (p *page) text() []byte { return append(bytes.TrimSpace(p.Bytes()), '\n') }

// table is one with the given heads; nothing where there are no rows.
func (p *page) table(heads []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	p.row(heads)
	p.line(strings.Repeat("|---", len(heads)) + "|")
	for _, row := range rows {
		p.row(row)
	}
	p.line("")
}

func (p *page) row(cells []string) {
	escaped := make([]string, len(cells))
	for i, cell := range cells {
		escaped[i] = strings.ReplaceAll(cell, "|", `\|`)
	}
	p.linef("| %s |", strings.Join(escaped, " | "))
}

// examples shows named values as JSON; each is found by its member value or payload.
func (p *page) examples(named [][2]any) {
	for _, example := range named {
		p.linef("Example: %s", words(example[0].(string)))
		p.line("")
		p.line("```json")
		p.line(asJSON(example[1].(node)))
		p.line("```")
		p.line("")
	}
}

// words takes a name in camel case apart.
func words(name string) string {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// asJSON writes a value with its members in the document's order, with only the escapes that JSON requires.
func asJSON(n node) string {
	switch n.Kind {
	case yaml.MappingNode:
		var members []string
		for name, value := range n.members() {
			members = append(members, quote(name)+":"+asJSON(value))
		}
		return "{" + strings.Join(members, ",") + "}"
	case yaml.SequenceNode:
		var items []string
		for _, item := range n.items() {
			items = append(items, asJSON(item))
		}
		return "[" + strings.Join(items, ",") + "]"
	default:
		if n.Tag == "!!str" || n.Tag == "!!timestamp" {
			return quote(n.Value)
		}
		return n.Value
	}
}

func quote(text string) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		return `""` // a string always encodes
	}
	return strings.TrimSpace(b.String())
}
