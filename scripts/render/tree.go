package main

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// tree is a document and those that it refers to. The first reference that leads nowhere is kept in err.
type tree struct {
	files map[string]*yaml.Node
	err   error
}

// node is one value of a tree. The zero node stands for what is absent: it has no members and no text.
type node struct {
	*yaml.Node
	tree *tree
	file string // whose references are relative to it
}

// open reads a YAML or JSON file.
func open(file string) (node, error) {
	t := &tree{files: map[string]*yaml.Node{}}
	root := t.root(file)
	return root, t.err
}

// root is the content of a file.
func (t *tree) root(file string) node {
	if known := t.files[file]; known != nil {
		return node{known, t, file}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.fail(err)
		return node{}
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil || len(document.Content) != 1 {
		t.fail(fmt.Errorf("%s is no document: %w", file, err))
		return node{}
	}
	if key := bare(document.Content[0]); key != nil {
		t.fail(fmt.Errorf("%s, line %d: %q has no value: a text with a comma has to stand in quotes", file, key.Line, key.Value))
	}
	t.files[file] = document.Content[0]
	return node{document.Content[0], t, file}
}

// bare finds a member that has no value. In {description: One, two} the second word is one.
func bare(n *yaml.Node) *yaml.Node {
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && child.Kind == yaml.ScalarNode && child.Tag == "!!null" && child.Value == "" {
			return n.Content[i-1]
		}
		if key := bare(child); key != nil {
			return key
		}
	}
	return nil
}

func (t *tree) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// failed is the first reference that leads nowhere.
func (n node) failed() error { return n.tree.err }

func (n node) absent() bool { return n.Node == nil }

// at is a member behind the path, each step followed where it is a reference.
func (n node) at(path ...string) node {
	for _, name := range path {
		n = n.follow().member(name)
	}
	return n
}

func (n node) member(name string) node {
	for key, value := range n.members() {
		if key == name {
			return value
		}
	}
	return node{}
}

// members are those of an object, in the document's order.
func (n node) members() iter.Seq2[string, node] {
	return func(yield func(string, node) bool) {
		if n.absent() || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, node{n.Content[i+1], n.tree, n.file}) {
				return
			}
		}
	}
}

// items are those of a list.
func (n node) items() []node {
	if n.absent() || n.Kind != yaml.SequenceNode {
		return nil
	}
	items := make([]node, len(n.Content))
	for i, item := range n.Content {
		items[i] = node{item, n.tree, n.file}
	}
	return items
}

// values are the texts of a list, or the one text that stands for a list.
func (n node) values() []string {
	if n.absent() {
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}
	}
	var values []string
	for _, item := range n.items() {
		values = append(values, item.Value)
	}
	return values
}

// text is a scalar's, on one line, with what Markdown would take for a tag kept as it is.
func (n node) text() string {
	if n.absent() || n.Kind != yaml.ScalarNode {
		return ""
	}
	return strings.ReplaceAll(strings.Join(strings.Fields(n.Value), " "), "<", `\<`)
}

// reference is the text of $ref; "" where the node is none.
func (n node) reference() string { return n.member("$ref").text() }

// name is the last part of a reference, without the end of a file's name.
func (n node) name() string {
	ref := n.reference()
	return strings.TrimSuffix(ref[strings.LastIndex(ref, "/")+1:], ".schema.json")
}

// follow is what a reference leads to, and every other node itself.
func (n node) follow() node {
	ref := n.reference()
	if ref == "" {
		return n
	}
	file, pointer, _ := strings.Cut(ref, "#")
	if file == "" {
		file = n.file
	} else {
		file = filepath.Join(filepath.Dir(n.file), file)
	}
	target := n.tree.root(file)
	for _, step := range strings.FieldsFunc(pointer, func(r rune) bool { return r == '/' }) {
		target = target.follow().member(strings.NewReplacer("~1", "/", "~0", "~").Replace(step))
	}
	if target.absent() {
		n.tree.fail(fmt.Errorf("%s, line %d: %s leads nowhere", n.file, n.Line, ref))
	}
	return target
}
