// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command language checks the wording of comments, documentation and user-visible strings, and
// some names, in the files that git tracks. It reports each construction that is hard to understand
// for a reader with another first language, with a replacement, and exits with 1 if there is any.
// CONTRIBUTING.md has the rules.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	files, err := trackedFiles()
	if err != nil {
		fmt.Fprintln(os.Stderr, "listing the files that git tracks:", err)
		os.Exit(2)
	}
	var found []finding
	words := 0
	for _, path := range files {
		texts, err := readTexts(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		for _, t := range texts {
			words += len(strings.Fields(t.content))
			found = append(found, t.check()...)
		}
		names, err := checkNames(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		found = append(found, names...)
	}
	slices.SortFunc(found, finding.compare)
	for _, f := range found {
		fmt.Println(f)
	}
	if len(found) > 0 {
		fmt.Printf("%d findings in %d words.\n", len(found), words)
		os.Exit(1)
	}
}

// trackedFiles returns the Go and Markdown files that the check covers.
func trackedFiles() (files []string, err error) {
	out, err := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "*.go", "*.md").Output()
	if err != nil {
		return nil, err
	}
	for _, path := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		generated := strings.HasPrefix(filepath.Base(path), "zz_generated.") || path == "docs/api.md" // generated from comments that are checked
		if _, err := os.Stat(path); err == nil && !generated {
			files = append(files, path)
		}
	}
	return files, nil
}
