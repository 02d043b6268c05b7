package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// table writes rows under a header as they come, in JSON instead where that was asked for: one object a line.
type table struct {
	json *json.Encoder
	tabs *tabwriter.Writer
	rows int
}

// blockRows is how many rows are aligned together: a table holds no more of them.
const blockRows = 1000

func (p *program) table(columns ...string) *table {
	if p.output == "json" {
		return &table{json: jsonLines(p.stdout)}
	}
	t := &table{tabs: tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)}
	fmt.Fprintln(t.tabs, strings.Join(columns, "\t"))
	return t
}

func jsonLines(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

// row writes v as JSON, or the cells that show it.
func (t *table) row(v any, cells ...any) error {
	if t.json != nil {
		return t.json.Encode(v)
	}
	texts := make([]string, len(cells))
	for i, cell := range cells {
		texts[i] = printable(fmt.Sprint(cell))
	}
	if _, err := fmt.Fprintln(t.tabs, strings.Join(texts, "\t")); err != nil {
		return err
	}
	if t.rows++; t.rows%blockRows == 0 {
		return t.tabs.Flush()
	}
	return nil
}

func (t *table) end() error {
	if t.json != nil {
		return nil
	}
	return t.tabs.Flush()
}

// printable keeps what a record holds from driving the operator's terminal.
func printable(s string) string {
	if s == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// number shows a count that is absent as nothing.
func number[N int | int64](n N) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
