package main

import (
	"fmt"
	"strings"
)

// operations renders an OpenAPI document.
func operations(p *page, root node) {
	p.line("# HTTP")
	p.line("")
	p.paragraph(root.at("info", "summary").text())
	p.paragraph(strings.TrimSpace(root.at("info", "description").Value))
	for _, server := range root.at("servers").items() {
		p.paragraph(fmt.Sprintf("Address: `%s`. %s", server.member("url").text(), server.member("description").text()))
	}
	p.paragraph("Every operation but those of the process wants `Authorization: Bearer TOKEN`. " +
		root.at("components", "securitySchemes", "bearer", "description").text())
	var rows [][]string
	for path, methods := range root.at("paths").members() {
		for method, operation := range methods.members() {
			if method == "parameters" {
				continue
			}
			title := strings.ToUpper(method) + " " + path
			rows = append(rows, []string{"[" + title + "](#" + heading(title) + ")", operation.member("summary").text()})
		}
	}
	p.table([]string{"Operation", "What it does"}, rows)
	for path, methods := range root.at("paths").members() {
		for method, o := range methods.members() {
			if method != "parameters" {
				p.linef("## %s %s", strings.ToUpper(method), path)
				p.line("")
				operation(p, methods.member("parameters"), o)
			}
		}
	}
	p.line("## Schemas")
	p.line("")
	for name, schema := range root.at("components", "schemas").members() {
		p.linef("### %s", name)
		p.line("")
		described(p, schema)
	}
}

func operation(p *page, shared, o node) {
	p.paragraph(sentence(o.member("summary").text()) + " " + o.member("description").text())
	var rows [][]string
	for _, parameter := range append(shared.items(), o.member("parameters").items()...) {
		f := fields{link: linked}
		about := parameter.at("description").text()
		if parameter.at("required").text() == "true" {
			about = strings.TrimSpace("Required. " + about)
		}
		rows = append(rows, []string{"`" + parameter.at("name").text() + "`", parameter.at("in").text(), f.kind(parameter.at("schema")), about})
	}
	p.table([]string{"Parameter", "in", "Type", "Meaning"}, rows)
	for contentType, content := range o.at("requestBody", "content").members() {
		p.paragraph(fmt.Sprintf("Body, `%s`: %s", contentType, body(content)))
		p.examples(named(content))
	}
	rows = nil
	for status, response := range o.member("responses").members() {
		var bodies []string
		for contentType, content := range response.at("content").members() {
			bodies = append(bodies, fmt.Sprintf("%s, `%s`", body(content), contentType))
		}
		rows = append(rows, []string{status, response.at("description").text(), strings.Join(bodies, "; ")})
	}
	p.table([]string{"Answer", "Meaning", "Body"}, rows)
	for status, response := range o.member("responses").members() {
		if response.reference() != "" { // shown once, with its schema
			continue
		}
		for _, content := range response.at("content").members() {
			for _, example := range named(content) {
				p.examples([][2]any{{status + " " + example[0].(string), example[1]}})
			}
		}
	}
}

// body is what a body holds: its schema's name, or its own description.
func body(content node) string {
	if name := content.member("schema").name(); name != "" {
		return linked(name)
	}
	return sentence(content.member("schema").member("description").text())
}

func named(content node) [][2]any {
	var shown [][2]any
	for name, example := range content.member("examples").members() {
		shown = append(shown, [2]any{name, example.at("value")})
	}
	return shown
}

// described shows one schema.
func described(p *page, schema node) {
	p.paragraph(schema.member("description").text())
	f := fields{link: linked}
	if schema.member("properties").absent() {
		p.paragraph("Type: " + f.kind(schema))
		return
	}
	f.of(schema, "")
	f.write(p)
}

func linked(name string) string { return "[" + name + "](#" + strings.ToLower(name) + ")" }

// heading is how GitHub names a heading of a method and a path.
func heading(title string) string {
	return strings.ToLower(strings.NewReplacer("/", "", "{", "", "}", "", " ", "-", ".", "").Replace(title))
}
