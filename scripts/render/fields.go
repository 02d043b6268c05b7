package main

import (
	"fmt"
	"slices"
	"strings"
)

// fields are the rows of an object's members, those of objects inside it below them, and the rules that no row can say.
type fields struct {
	rows  [][]string
	rules []string
	link  func(name string) string // where a schema of its own is described; "" = its members belong here
}

var fieldHeads = []string{"Field", "Type", "Meaning"}

// of adds the members of a schema behind a path, as "OfflinePushInfo." or "MsgBody[].".
func (f *fields) of(schema node, path string) {
	required := schema.at("required").values()
	for name, member := range schema.at("properties").members() {
		f.field(member, path+name, "", slices.Contains(required, name))
	}
	for _, rule := range append(schema.at("allOf").items(), schema) {
		f.rule(rule, path)
	}
}

func (f *fields) field(member node, path, condition string, required bool) {
	meaning := member.member("description").text() // its own, though it is a reference
	if meaning == "" && !f.elsewhere(member) {
		meaning = member.at("description").text()
	}
	var notes []string
	if required {
		notes = append(notes, "Required.")
	}
	if condition != "" {
		notes = append(notes, "Where "+condition+".")
	}
	if meaning != "" {
		notes = append(notes, sentence(meaning))
	}
	if examples := member.at("examples").values(); len(examples) > 0 {
		notes = append(notes, "As "+codes(examples, ", ")+".")
	}
	f.rows = append(f.rows, []string{"`" + path + "`", f.kind(member), strings.Join(notes, " ")})
	f.inside(member, path)
}

// inside adds the members of an object, of a list's objects, and of objects among alternatives.
func (f *fields) inside(member node, path string) {
	if f.elsewhere(member) {
		return
	}
	schema := member.follow()
	if items := schema.member("items"); !items.absent() {
		f.inside(items, path+"[]")
		return
	}
	f.of(schema, path+".")
	for _, alternative := range schema.member("oneOf").items() {
		f.inside(alternative, path)
	}
}

// elsewhere says whether a member is a reference to a schema that is described in its own place.
func (f *fields) elsewhere(member node) bool {
	name := member.name()
	return name != "" && f.link(name) != ""
}

// rule adds what holds under a condition: members as rows, and which are required as sentences.
func (f *fields) rule(rule node, path string) {
	condition := rule.member("if")
	if condition.absent() {
		return
	}
	holds := conditionOf(condition)
	then := rule.member("then")
	for name, member := range then.member("properties").members() {
		if !member.member("type").absent() { // not only a bound of what stands above
			f.field(member, path+name, holds, false)
		}
	}
	f.requires("Where "+holds, then, path)
	f.requires("Unless "+holds, rule.member("else"), path)
}

func (f *fields) requires(when string, schema node, path string) {
	if names := prefixed(schema.member("required").values(), path); len(names) > 0 {
		f.rules = append(f.rules, fmt.Sprintf("%s: %s required.", when, codes(names, ", ")))
	}
	var any []string
	for _, alternative := range schema.member("anyOf").items() {
		any = append(any, prefixed(alternative.member("required").values(), path)...)
	}
	if len(any) > 0 {
		f.rules = append(f.rules, fmt.Sprintf("%s: one of %s required.", when, codes(any, ", ")))
	}
}

func prefixed(names []string, path string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = path + name
	}
	return out
}

// conditionOf says an if in words.
func conditionOf(condition node) string {
	var parts []string
	for name, member := range condition.member("properties").members() {
		switch {
		case !member.member("const").absent():
			parts = append(parts, fmt.Sprintf("`%s` is `%s`", name, member.member("const").text()))
		case !member.member("enum").absent():
			parts = append(parts, fmt.Sprintf("`%s` is %s", name, codes(member.member("enum").values(), " or ")))
		default:
			parts = append(parts, fmt.Sprintf("`%s` is set", name))
		}
	}
	return strings.Join(parts, " and ")
}

// kind is a schema's type in words.
func (f *fields) kind(member node) string {
	if f.elsewhere(member) {
		return f.link(member.name())
	}
	schema := member.follow()
	if alternatives := schema.member("oneOf").items(); len(alternatives) > 0 {
		var kinds []string
		for _, a := range alternatives {
			if kind := f.kind(a); kind != "`\"\"`" && !slices.Contains(kinds, kind) { // empty counts as absent
				kinds = append(kinds, kind)
			}
		}
		return strings.Join(kinds, " or ")
	}
	if value := schema.member("const"); !value.absent() {
		return "`" + asJSON(value) + "`"
	}
	if enum := schema.member("enum"); !enum.absent() {
		return codes(slices.DeleteFunc(enum.values(), func(v string) bool { return v == "" }), ", ")
	}
	kind := strings.Join(schema.member("type").values(), " or ")
	if items := schema.member("items"); !items.absent() {
		kind = "list of " + f.kind(items)
	}
	if format := schema.member("format").text(); format != "" {
		kind += ", " + format
	}
	return kind + bounds(schema)
}

// bounds are what a number, a text or a list may be.
func bounds(schema node) string {
	from, to := schema.member("minimum").text(), schema.member("maximum").text()
	switch {
	case from != "" && to != "":
		return fmt.Sprintf(", %s to %s", from, to)
	case from != "":
		return ", from " + from
	}
	for _, limit := range []string{"maxLength", "maxItems", "maxProperties"} {
		if most := schema.member(limit).text(); most != "" {
			return ", at most " + most
		}
	}
	return ""
}

func codes(texts []string, between string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = "`" + text + "`"
	}
	return strings.Join(quoted, between)
}

// sentence is a text with its end.
func sentence(text string) string {
	if text == "" || strings.HasSuffix(text, ".") {
		return text
	}
	return text + "."
}

// write shows rows and rules.
func (f *fields) write(p *page) {
	p.table(fieldHeads, f.rows)
	for _, rule := range f.rules {
		p.linef("- %s", rule)
	}
	if len(f.rules) > 0 {
		p.line("")
	}
}
