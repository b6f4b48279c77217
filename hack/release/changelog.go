// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/version"
)

const (
	changelogFile = "CHANGELOG.md"
	unreleased    = "Unreleased"
	repository    = "https://github.com/mqttbridge/mqttbridge-operator"
)

// A section is the part of the changelog about one release.
type section struct {
	// version is empty for the changes that are not released.
	version string
	line    int // of the heading
	body    string
}

var releaseHeading = regexp.MustCompile(`^(\S+) - (\d{4}-\d{2}-\d{2})$`)

// parseChangelog returns the sections of a changelog, the latest first. The headings of releases have
// the form "## 1.2.3 - 2026-01-31".
func parseChangelog(text string) ([]section, error) {
	var (
		sections []section
		errs     []error
	)
	for i, line := range strings.Split(text, "\n") {
		title, ok := strings.CutPrefix(line, "## ")
		if !ok {
			if n := len(sections); n > 0 {
				sections[n-1].body += line + "\n"
			}
			continue
		}
		s := section{line: i + 1}
		if title != unreleased {
			var err error
			if s.version, err = parseHeading(title); err != nil {
				errs = append(errs, fmt.Errorf("%s:%d: %w", changelogFile, s.line, err))
			}
		}
		sections = append(sections, s)
	}
	if len(sections) == 0 {
		errs = append(errs, fmt.Errorf("%s has no section; begin one with \"## %s\"", changelogFile, unreleased))
	}
	for i := range sections {
		sections[i].body = strings.TrimSpace(sections[i].body)
		if i > 0 {
			errs = append(errs, checkOrder(&sections[i-1], &sections[i]))
		}
	}
	return sections, errors.Join(errs...)
}

func parseHeading(title string) (string, error) {
	m := releaseHeading.FindStringSubmatch(title)
	if m == nil {
		return "", fmt.Errorf("the heading %q is neither %q nor of the form \"1.2.3 - 2026-01-31\"", title, unreleased)
	}
	if _, err := version.ParseSemantic(m[1]); err != nil || strings.HasPrefix(m[1], "v") {
		return "", fmt.Errorf("%q is not a version of the form 1.2.3 or 1.2.3-rc.1", m[1])
	}
	if _, err := time.Parse(time.DateOnly, m[2]); err != nil {
		return "", fmt.Errorf("the date %s does not exist", m[2])
	}
	return m[1], nil
}

// checkOrder checks that a section is followed by one of an earlier version.
func checkOrder(above, below *section) error {
	if below.version == "" {
		return fmt.Errorf("%s:%d: only the first section can be %q", changelogFile, below.line, unreleased)
	}
	if above.version == "" {
		return nil
	}
	later, err := version.ParseSemantic(above.version)
	if err != nil {
		return nil // reported with the heading
	}
	if earlier, err := version.ParseSemantic(below.version); err == nil && !earlier.LessThan(later) {
		return fmt.Errorf("%s:%d: %s must be below a later version, and is below %s", changelogFile, below.line, below.version, above.version)
	}
	return nil
}

func readChangelog(root string) ([]section, error) {
	data, err := os.ReadFile(filepath.Join(root, changelogFile))
	if err != nil {
		return nil, err
	}
	return parseChangelog(string(data))
}

// sectionOf returns the section of a version, or the first section if there is none.
func sectionOf(sections []section, v string) section {
	for _, s := range sections {
		if s.version == v {
			return s
		}
	}
	return sections[0]
}

var relativeLink = regexp.MustCompile(`\]\(([^):#]+)(#[^)]*)?\)`)

// notes prints the section of a version. Its links point to the files of the release.
func notes(root, v string, out io.Writer) error {
	sections, err := readChangelog(root)
	if err != nil {
		return err
	}
	s := sectionOf(sections, v)
	body := relativeLink.ReplaceAllString(s.body, "]("+repository+"/blob/v"+v+"/$1$2)")
	_, err = fmt.Fprintf(out, "%s\n\n[Releases](%s/blob/v%s/docs/releases.md) describes the files of this release, and how to verify their signatures and provenance.\n", body, repository, v)
	return err
}
