// Command render writes the pages that are made of the specifications: docs/topics.md of schemas/asyncapi.yaml and
// docs/http.md of workers/api/openapi.yaml. It runs in the module's root, by make generate.
package main

import (
	"fmt"
	"os"
)

func main() {
	for _, page := range []struct {
		from, to string
		render   func(*page, node)
	}{
		{"schemas/asyncapi.yaml", "docs/topics.md", topics},
		{"workers/api/openapi.yaml", "docs/http.md", operations},
	} {
		if err := write(page.from, page.to, page.render); err != nil {
			fmt.Fprintf(os.Stderr, "render: %s: %v\n", page.to, err)
			os.Exit(1)
		}
	}
}

func write(from, to string, render func(*page, node)) error {
	root, err := open(from)
	if err != nil {
		return err
	}
	p := &page{}
	p.linef("<!-- Written by make generate from %s, which is the file to change. -->", from)
	p.line("")
	render(p, root)
	if err := root.failed(); err != nil {
		return err
	}
	return os.WriteFile(to, p.text(), 0o644)
}
