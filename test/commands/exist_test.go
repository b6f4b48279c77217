// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// environmentOnly are the variables that the Makefile does not use: make passes them to the program in the value.
var environmentOnly = map[string]string{"DOCKER_DEFAULT_PLATFORM": "docker"}

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

func (c *checker) checkMake(words []string, isInline bool) error {
	variables := 0
	for _, word := range words {
		if assignment.MatchString(word) {
			variables++
			continue
		}
		if !slices.ContainsFunc(target.FindAllStringSubmatch(c.makefile, -1), func(m []string) bool { return m[1] == word }) {
			return fmt.Errorf("the Makefile has no target %s", word)
		}
	}
	if isInline && variables == 0 {
		return nil
	}
	recipe, err := c.dryRun(words)
	if err != nil {
		return err
	}
	for i, word := range words {
		if !assignment.MatchString(word) {
			continue
		}
		// The value may be the default, and any value may have the same effect.
		name, value, _ := strings.Cut(word, "=")
		used := false
		for _, other := range []string{name + "=", word + "0"} {
			changed, err := c.dryRun(slices.Replace(slices.Clone(words), i, i+1, other))
			used = used || err != nil || changed != recipe
		}
		if !used && value != "" && environmentOnly[name] == "" {
			return fmt.Errorf("the Makefile does not use the variable %s for this target", name)
		}
	}
	for _, line := range commandsOf(recipe) {
		// The commands of another make are in the recipe, too. Commands with a substitution, such as the list of the
		// packages of make test, are not known before they run.
		if strings.HasPrefix(line, "make ") || strings.Contains(line, " $(") {
			continue
		}
		if err := c.check(line, false); err != nil {
			return fmt.Errorf("make runs %q: %w", line, err)
		}
	}
	return nil
}

// dryRun returns the commands that make would run.
func (c *checker) dryRun(words []string) (string, error) {
	key := strings.Join(words, "\n")
	if recipe, ok := c.recipes[key]; ok {
		return recipe, nil
	}
	cmd := exec.CommandContext(c.t.Context(), "make", append([]string{"--dry-run", "--no-print-directory"}, words...)...)
	cmd.Dir, cmd.Env = root, environment()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%w: %s", err, &errs)
	}
	c.recipes[key] = out.String()
	return out.String(), nil
}

func (c *checker) checkGo(words []string) error {
	dir := "."
	if len(words) > 1 && words[0] == "-C" {
		dir, words = words[1], words[2:]
		if _, err := os.Stat(filepath.Join(root, dir)); err != nil {
			return err
		}
	}
	if len(words) == 0 {
		return errors.New("go needs a command")
	}
	c.checked["go "+words[0]]++
	switch words[0] {
	case "test":
		return c.checkTest(dir, words[1:])
	case "run":
		return c.checkRun(dir, words[1:])
	case "build":
		return c.checkBuild(dir, words[1:])
	case "tool":
		return c.checkTool(words[1:])
	case "fmt", "mod", "version", "vet":
		return nil
	}
	return fmt.Errorf("the test does not know go %s", words[0])
}

// checkTest checks that the packages exist, that they know the flags, and that each expression selects a test.
func (c *checker) checkTest(dir string, words []string) error {
	// The packages are needed to know the flags: a first pass accepts each flag of any package in the words.
	set, known := testFlags(), []string(nil)
	var tags []string
	for i, word := range words {
		if value, ok := strings.CutPrefix(word, "-tags="); ok {
			tags = strings.Split(value, ",")
		} else if word == "-tags" && i+1 < len(words) {
			tags = strings.Split(words[i+1], ",")
		}
		// "." is also an expression, which does no harm here.
		if word == "." || strings.HasPrefix(word, "./") {
			known = append(known, word)
		}
	}
	if len(known) == 0 {
		known = []string{"."}
	}
	for _, pattern := range known {
		dirs, err := c.match(dir, pattern)
		if err != nil {
			return err
		}
		for _, d := range dirs {
			p, err := c.load(d, tags)
			if err != nil {
				return err
			}
			c.defineFlags(set, p, true)
		}
	}
	arguments, err := parse(set, words)
	if err != nil {
		return err
	}
	if len(arguments) == 0 {
		arguments = []string{"."}
	}
	for _, pattern := range arguments {
		if err := c.checkSelection(dir, pattern, tags, map[string]string{
			"Test": set.Lookup("run").Value.String(), "Benchmark": set.Lookup("bench").Value.String(), "Fuzz": set.Lookup("fuzz").Value.String(),
		}); err != nil {
			return err
		}
	}
	return nil
}

// none is the expression that selects no test, for a run of benchmarks or fuzz tests alone.
const none = "^$"

// checkSelection checks that each expression selects a test of its kind in the packages of a pattern.
func (c *checker) checkSelection(dir, pattern string, tags []string, expressions map[string]string) error {
	dirs, err := c.match(dir, pattern)
	if err != nil {
		return err
	}
	var names []string
	for _, d := range dirs {
		p, err := c.load(d, tags)
		if err != nil {
			return err
		}
		names = append(names, c.testsOf(p)...)
	}
	if len(names) == 0 {
		return fmt.Errorf("%s has no tests", pattern)
	}
	for kind, expression := range expressions {
		expression, _, _ = strings.Cut(expression, "/") // the rest selects subtests, whose names only a run knows
		if expression == "" || expression == none {
			continue
		}
		wanted, err := regexp.Compile(expression)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, kind) && wanted.MatchString(name) }) {
			return fmt.Errorf("%q selects no %s function in %s", expression, kind, pattern)
		}
	}
	return nil
}

// checkRun checks that the program exists, and that it knows its flags, or its command if it has commands.
func (c *checker) checkRun(dir string, words []string) error {
	if len(words) == 0 {
		return errors.New("go run needs a package")
	}
	p, err := c.load(filepath.Join(dir, words[0]), nil)
	if err != nil {
		return err
	}
	if p.Name != "main" {
		return fmt.Errorf("%s is no program", words[0])
	}
	if words = words[1:]; len(words) == 0 {
		return nil
	}
	if strings.HasPrefix(words[0], "-") {
		set := newFlagSet()
		c.defineFlags(set, p, false)
		_, err := parse(set, words)
		return err
	}
	if strings.ContainsAny(words[0], "/$") {
		return nil // a file
	}
	return c.checkCommand(p.Dir, p.GoFiles, words[0])
}

// checkCommand checks that a program has a command, which is a string in its sources.
func (c *checker) checkCommand(dir string, files []string, command string) error {
	for _, name := range files {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if strings.Contains(string(data), `"`+command+`"`) {
			return nil
		}
	}
	return fmt.Errorf("%s has no command %s", dir, command)
}

// checkBuild checks that the packages exist.
func (c *checker) checkBuild(dir string, words []string) error {
	set := newFlagSet()
	set.String("o", "", "")
	set.String("ldflags", "", "")
	set.Bool("trimpath", false, "")
	set.String("buildvcs", "", "")
	arguments, err := parse(set, words)
	if err != nil {
		return err
	}
	for _, pattern := range arguments {
		if strings.Contains(pattern, ".com/") {
			continue // of another module, which go.mod pins
		}
		dirs, err := c.match(dir, pattern)
		if err != nil {
			return err
		}
		for _, d := range dirs {
			if _, err := c.load(d, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkTool checks that the module of a tool names the tool.
func (c *checker) checkTool(words []string) error {
	set := newFlagSet()
	file := set.String("modfile", "go.mod", "")
	if err := set.Parse(words); err != nil {
		return err
	}
	path := *file
	if !filepath.IsAbs(path) {
		path = filepath.Join(root, path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if name := set.Arg(0); !regexp.MustCompile(`(?m)^(?:tool |\t)\S+/` + regexp.QuoteMeta(name) + `(?:/v\d+)?$`).Match(data) {
		return fmt.Errorf("%s has no tool %s", *file, name)
	}
	return nil
}

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
