// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

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
