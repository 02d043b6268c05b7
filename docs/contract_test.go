package docs_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	testsOfPackage = regexp.MustCompile("((?:pkg|workers|cmd)/[\\w/]+): ((?:`\\w+`(?:, )?)+)")
	quoted         = regexp.MustCompile("`([^`]+)`")
	testFunc       = regexp.MustCompile(`(?m)^func ([Tt]est\w+)\(`)
	caseOfSuite    = regexp.MustCompile(`\{"([^"]+)", (test\w+)\},`)
)

// TestPagesNameTestsThatExist: each test on a page of promises exists in its package, and a command beside it runs it.
func TestPagesNameTestsThatExist(t *testing.T) {
	t.Parallel()
	for page, rows := range map[string]int{"contract.md": 24, "guarantees.md": 20} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			namesTests(t, page, rows)
		})
	}
}

// namesTests checks a page that has so many rows with tests, at least.
func namesTests(t *testing.T, page string, least int) {
	t.Helper()
	rows := 0
	for line := range strings.Lines(read(t, page)) {
		cells := strings.Split(strings.ReplaceAll(strings.Trim(strings.TrimSpace(line), "|"), `\|`, "\x00"), "|")
		if len(cells) < 3 || !strings.Contains(cells[len(cells)-1], "`") {
			continue
		}
		rows++
		named := testsOfPackage.FindAllStringSubmatch(cells[len(cells)-2], -1)
		if len(named) == 0 {
			t.Errorf("no test in the row %s", line)
		}
		var commands []command
		for _, text := range quoted.FindAllStringSubmatch(cells[len(cells)-1], -1) {
			commands = append(commands, parse(t, strings.ReplaceAll(text[1], "\x00", "|")))
		}
		for _, packageTests := range named {
			known := testsIn(t, packageTests[1])
			for _, name := range quoted.FindAllStringSubmatch(packageTests[2], -1) {
				full, ok := known[name[1]]
				if !ok {
					t.Errorf("%s has no %s", packageTests[1], name[1])
				} else if !slices.ContainsFunc(commands, func(c command) bool { return c.runs(packageTests[1], full) }) {
					t.Errorf("no command of its row runs %s of %s", name[1], packageTests[1])
				}
			}
		}
	}
	if rows < least {
		t.Errorf("the page has %d rows", rows)
	}
}

// testsIn are a package's tests by the names of their functions: how go test calls them, with a case's place in its
// suite.
func testsIn(t *testing.T, folder string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, file := range files {
		text := read(t, file)
		for _, found := range testFunc.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(found[1], "Test") {
				names[found[1]] = found[1]
			}
		}
		for _, found := range caseOfSuite.FindAllStringSubmatch(text, -1) {
			names[found[2]] = "TestConformance/embedded/" + strings.ReplaceAll(found[1], " ", "_")
		}
	}
	return names
}

// command is a go test, or the script that runs one.
type command struct {
	packages []string
	pattern  []*regexp.Regexp // by the parts of a test's name; none = every test
}

func parse(t *testing.T, text string) command {
	t.Helper()
	var c command
	text, pattern, limited := strings.Cut(text, " -run ")
	for word := range strings.FieldsSeq(text) {
		if folder, ok := strings.CutPrefix(word, "./"); ok {
			c.packages = append(c.packages, folder)
		}
	}
	if limited {
		for part := range strings.SplitSeq(strings.Trim(pattern, "'"), "/") {
			matcher, err := regexp.Compile(part)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			c.pattern = append(c.pattern, matcher)
		}
	}
	return c
}

// runs says whether the command runs a test, as go test would decide.
func (c command) runs(folder, name string) bool {
	if !slices.Contains(c.packages, folder) {
		return false
	}
	for i, part := range strings.Split(name, "/") {
		if i < len(c.pattern) && !c.pattern[i].MatchString(part) {
			return false
		}
	}
	return true
}
