package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
)

// figure is one row of the table.
type figure struct {
	name     string
	measured series
	baseline series  // what it is divided by; none where it is empty
	unit     string  // in the table
	scale    float64 // from the series' unit to the table's; 0 = the same
	bound    *bound  // of the ratio, or of the value where there is no baseline; nil = none
	needs    string  // of the machine, beside what the build needs
}

// bound is what a figure must not leave.
type bound struct {
	atLeast bool // else at most
	value   float64
	text    string
}

func atMost(value float64, text string) *bound  { return &bound{false, value, "≤ " + text} }
func atLeast(value float64, text string) *bound { return &bound{true, value, "≥ " + text} }

func (b *bound) holds(value float64) bool {
	if b.atLeast {
		return value >= b.value
	}
	return value <= b.value
}

// row is a figure as it is printed.
type row struct{ figure, measured, baseline, ratio, bound, verdict string }

// verdicts of a bound. What was not measured does not hold.
const (
	pass  = "pass"
	short = "short"
)

func (f figure) row(got results) row {
	r := row{figure: f.name}
	if f.bound != nil {
		r.bound, r.verdict = f.bound.text, short
	}
	value, err := middle(got[f.measured])
	if err != nil {
		r.measured = f.missing()
		return r
	}
	r.measured = f.print(value)
	if f.baseline != (series{}) {
		base, err := middle(got[f.baseline])
		if err != nil {
			r.baseline = f.missing()
			return r
		}
		r.baseline = f.print(base)
		value, _ = middle(quotients(got[f.measured], got[f.baseline])) // both have values
		r.ratio = number(value)
	} else if f.scale != 0 {
		value *= f.scale
	}
	if f.bound != nil && f.bound.holds(value) {
		r.verdict = pass
	}
	return r
}

func (f figure) missing() string {
	if f.needs == "" {
		return errNotMeasured.Error()
	}
	return errNotMeasured.Error() + ": install " + f.needs
}

func (f figure) print(value float64) string {
	if f.scale != 0 {
		value *= f.scale
	}
	if f.unit == "" {
		return number(value)
	}
	return number(value) + " " + f.unit
}

// number has three digits that count, and no power of ten.
func number(value float64) string {
	switch {
	case value >= 100 || value == float64(int64(value)):
		return strconv.FormatFloat(value, 'f', 0, 64)
	case value >= 10:
		return strconv.FormatFloat(value, 'f', 1, 64)
	case value >= 1:
		return strconv.FormatFloat(value, 'f', 2, 64)
	}
	return strconv.FormatFloat(value, 'f', 3, 64)
}

func writeTable(to io.Writer, figures []figure, got results) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FIGURE\tMEASURED\tBASELINE\tRATIO\tBOUND\t")
	for _, f := range figures {
		r := f.row(got)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.figure, r.measured, r.baseline, r.ratio, r.bound, r.verdict)
	}
	return w.Flush()
}
