// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// environmentOnly are the variables that the Makefile does not use: make passes them to the program in the value.
var environmentOnly = map[string]string{"DOCKER_DEFAULT_PLATFORM": "docker"}

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
