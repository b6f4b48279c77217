// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// patterns are commands of the pages that a reader completes, with the reason why they are not checked.
var patterns = map[string]string{
	"go test -run Subject":  "it explains the names of tests",
	"go -C":                 "it explains relative paths",
	"go get MODULE@VERSION": "the reader knows the module",
	"go tool -modfile=hack/tools/NAME/go.mod NAME": "it stands for each tool",
	"go tool -modfile=hack/tools/helm/go.mod NAME": "it stands for two tools",
}

var (
	assignment   = regexp.MustCompile(`^[A-Z][A-Z0-9_]*=`)
	substitution = regexp.MustCompile(`\$\((go [^()]*)\)`)
	target       = regexp.MustCompile(`(?m)^([a-z0-9][a-z0-9/-]*):`)
)

// splitWords splits a command into words as a shell does, until its end or its first operator or comment.
func splitWords(command string) (words []string) {
	var word strings.Builder
	var quote rune
	quoted, escaped := false, false
	end := func() {
		if word.Len() > 0 || quoted {
			words = append(words, word.String())
		}
		word.Reset()
		quoted = false
	}
	for _, r := range command {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped = true
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
		case r == '\'' || r == '"':
			quote, quoted = r, true
		case r == ' ' || r == '\t' || r == '\n':
			end()
		case r == '>' || r == '|' || r == ';' || r == '&' || r == '#' && word.Len() == 0:
			end()
			return words
		default:
			word.WriteRune(r)
		}
	}
	end()
	return words
}

// A checker checks that the parts of commands of make and go exist.
type checker struct {
	*tree
	makefile string
	checked  map[string]int    // the number of commands by their first words
	recipes  map[string]string // the results of dryRun by the words
}

// check checks a command of make or go, and the commands of go inside substitutions. It accepts each other command. An
// inline command of make without variables may be incomplete, and only its targets are checked.
func (c *checker) check(command string, isInline bool) error {
	for _, m := range substitution.FindAllStringSubmatch(command, -1) {
		if err := c.check(m[1], isInline); err != nil {
			return err
		}
	}
	words := splitWords(command)
	for len(words) > 0 && assignment.MatchString(words[0]) {
		words = words[1:]
	}
	switch {
	case len(words) == 0:
		return nil
	case words[0] == "make":
		c.checked["make"]++
		return c.checkMake(words[1:], isInline)
	case words[0] == "go":
		return c.checkGo(words[1:])
	}
	return nil
}

// none is the expression that selects no test, for a run of benchmarks or fuzz tests alone.
const none = "^$"

func newChecker(t *testing.T) *checker {
	return &checker{tree: newTree(t), makefile: read(t, "Makefile"), checked: map[string]int{}, recipes: map[string]string{}}
}

func TestPages_CommandsOfMakeAndGo_Exist(t *testing.T) {
	c := newChecker(t)
	used := map[string]bool{}
	for _, name := range pages(t) {
		text := read(t, name)
		check := func(command string, isInline bool) {
			if _, ok := patterns[command]; ok {
				used[command] = true
				return
			}
			if err := c.check(command, isInline); err != nil {
				t.Errorf("%s: %s: %v", name, command, err)
			}
		}
		for _, script := range scripts(text) {
			for _, command := range commandsOf(script) {
				check(command, false)
			}
		}
		for _, code := range inlineCode(text) {
			check(code, true)
		}
	}
	for command := range patterns {
		if !used[command] {
			t.Errorf("no page has the command %q any more; remove it from patterns", command)
		}
	}
	for command, least := range map[string]int{"make": 60, "go test": 40, "go run": 10, "go build": 2} {
		if c.checked[command] < least {
			t.Errorf("only %d commands %s were checked, want at least %d", c.checked[command], command, least)
		}
	}
}

// testName finds the names of tests in the text of a page.
var testName = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`)

func TestPages_NamesOfTests_Exist(t *testing.T) {
	var functions []string
	for _, name := range tracked(t, "*_test.go") {
		for _, m := range testFunction.FindAllStringSubmatch(read(t, name), -1) {
			functions = append(functions, m[1])
		}
	}
	checked := 0
	for _, name := range pages(t) {
		for _, test := range testName.FindAllString(read(t, name), -1) {
			if test == "TestSubject_Situation_Result" { // the form of names
				continue
			}
			checked++
			// A page may name several tests by their beginning.
			if !slices.ContainsFunc(functions, func(function string) bool { return strings.HasPrefix(function, test) }) {
				t.Errorf("%s names the test %s, which does not exist", name, test)
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d names of tests were found", checked)
	}
}

// The checker refuses commands that do not exist. Each is a real command with one fault.
func TestChecker_WrongCommands_AreRefused(t *testing.T) {
	c := newChecker(t)
	for command, want := range map[string]string{
		"make benchmark":                                                          "no target benchmark",
		"make bench FAST=1":                                                       "does not use the variable FAST",
		"make outages QUICK=1 OUTAGES_FLAGS=-fast":                                "-fast",
		"make bench BENCH_FLAGS='-round=1'":                                       "-round",
		"make scale N=many":                                                       "many",
		"go test ./test/fault -run Schedule":                                      "test/fault",
		"go test ./test/faults -run Timetable -schedule=10m":                      `"Timetable" selects no Test`,
		"go test ./test/faults -run Schedule -duration=10m":                       "-duration",
		"go test ./test/faults -run Schedule -schedule=10":                        "-schedule",
		"go test ./test/e2e -run TestGuide":                                       "test/e2e", // without its build tag
		"go test -run '^$' -fuzz FuzzNone -fuzztime 10m ./bridge-runner/packet":   "FuzzNone",
		"go test -run='^$' -bench=Handshaking -count=6 ./bridge-runner/transport": "Handshaking",
		"go test -run='^$' -bench=. -benchtimes=1s ./bridge-runner/packet":        "-benchtimes",
		"go run ./hack/demo --keeps":                                              "-keeps",
		"go run ./hack/demos --keep":                                              "hack/demos",
		`eval "$(go -C hack/cluster run . start)"`:                                "no command start",
		"go tool -modfile=hack/tools/benchstat/go.mod benchstats old.txt":         "no tool benchstats",
		"go -C test/pages test":                                                   "test/pages",
	} {
		if err := c.check(command, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", command, err, want)
		}
	}
}
