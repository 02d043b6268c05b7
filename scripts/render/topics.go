package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// topics renders an AsyncAPI document.
func topics(p *page, root node) {
	p.line("# Topics")
	p.line("")
	p.paragraph(root.at("info", "description").text())
	var rows [][]string
	for name, channel := range root.at("channels").members() {
		rows = append(rows, []string{"[" + address(channel) + "](#" + anchor(channel) + ")", channel.member("title").text(), policy(channel),
			strings.Join(uses(root, name, "send"), " "), strings.Join(uses(root, name, "receive"), " ")})
	}
	p.table([]string{"Topic", "Holds", "Policy", "The fleet writes", "The fleet reads"}, rows)
	described := map[string]node{} // by a message's name, the channel that shows it
	for name, channel := range root.at("channels").members() {
		topic(p, root, name, channel, described)
	}
	p.line("## Ids")
	p.line("")
	p.paragraph(root.tree.root("schemas/im/id.schema.json").member("description").text())
	p.line("## Headers")
	p.line("")
	for name, schema := range root.at("components", "schemas").members() {
		if strings.HasSuffix(name, "Headers") {
			p.linef("### %s", headersTitle(name))
			p.line("")
			object(p, schema)
		}
	}
}

func topic(p *page, root node, name string, channel node, described map[string]node) {
	p.linef("## %s", channel.member("address").text())
	p.line("")
	p.paragraph(sentence(channel.member("title").text()) + " " + channel.member("description").text())
	var rows [][]string
	for name, parameter := range channel.member("parameters").members() {
		rows = append(rows, []string{"`{" + name + "}`", codes(parameter.at("enum").values(), ", "), parameter.at("description").text()})
	}
	p.table([]string{"In the name", "one of", "Meaning"}, rows)
	p.linef("- Policy: %s", policy(channel))
	for _, use := range uses(root, name, "send") {
		p.linef("- Written by: %s", use)
	}
	for _, use := range uses(root, name, "receive") {
		p.linef("- Read by: %s", use)
	}
	p.line("")
	for _, message := range channel.member("messages").members() {
		if other, ok := described[message.name()]; ok {
			p.paragraph(fmt.Sprintf("Value and headers: as those of [%s](#%s).", address(other), anchor(other)))
			continue
		}
		described[message.name()] = channel
		record(p, message)
	}
}

// record shows one kind of record: what it is, its headers, fields and examples.
func record(p *page, message node) {
	about := "Value: " + message.at("summary").text()
	payload := message.at("payload")
	contentType := message.at("contentType").text()
	switch file := payload.reference(); {
	case strings.HasSuffix(file, ".json"):
		about += fmt.Sprintf(" `%s`, described by [%s](../schemas/%s).", contentType, filepath.Base(file), file)
	case !payload.member("schema").absent():
		about += fmt.Sprintf(" `%s`, %s.", contentType, payload.member("schema").text())
	case contentType != "":
		about += fmt.Sprintf(" `%s`.", contentType)
	}
	p.paragraph(about)
	if headers := message.at("headers"); !headers.absent() {
		p.paragraph("Headers: [" + headersTitle(headers.name()) + "](#" + strings.ReplaceAll(strings.ToLower(headersTitle(headers.name())), " ", "-") + ").")
	}
	object(p, payload)
	var shown [][2]any
	for _, example := range message.at("examples").items() {
		shown = append(shown, [2]any{example.member("name").text(), example.member("payload")})
	}
	p.examples(shown)
}

// object shows a schema's description, fields and rules.
func object(p *page, schema node) {
	if schema.at("properties").absent() {
		p.paragraph(schema.at("description").text())
		return
	}
	p.paragraph(schema.at("description").text())
	f := fields{link: idOnly}
	f.of(schema.follow(), "")
	f.write(p)
}

// idOnly leaves every schema where it is used, but for ids, which are many and of one kind.
func idOnly(name string) string {
	if name == "id" || name == "optionalId" {
		return "[id](#ids)"
	}
	return ""
}

func headersTitle(name string) string {
	return map[string]string{"inputHeaders": "Headers of messages", "letterHeaders": "Headers of dead letters", "workHeaders": "Headers of notifications"}[name]
}

// policy is how a topic is cleaned, and after how many days.
func policy(channel node) string {
	topic := channel.at("bindings", "kafka", "topicConfiguration")
	said := strings.Join(topic.member("cleanup.policy").values(), ", ")
	ms, err := strconv.ParseInt(topic.member("retention.ms").text(), 10, 64)
	if err != nil {
		return said
	}
	days := (time.Duration(ms) * time.Millisecond) / (24 * time.Hour)
	if days == 1 {
		return said + ", 1 day"
	}
	return fmt.Sprintf("%s, %d days", said, days)
}

// uses are the summaries of a channel's operations of one direction.
func uses(root node, channel, action string) []string {
	var found []string
	for _, operation := range root.at("operations").members() {
		if operation.member("action").text() == action && operation.member("channel").name() == channel {
			found = append(found, operation.member("summary").text())
		}
	}
	return found
}

func address(channel node) string { return channel.member("address").text() }

// anchor is how GitHub names the heading of a topic.
func anchor(channel node) string {
	return strings.NewReplacer(".", "", "{", "", "}", "").Replace(address(channel))
}
