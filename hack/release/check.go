// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"
)

const (
	chartDir   = "charts/mqttbridge-operator"
	image      = "ghcr.io/mqttbridge/mqttbridge-operator"
	annotation = "artifacthub.io/"
)

// chartFile is Chart.yaml.
type chartFile struct {
	Version     string            `json:"version"`
	AppVersion  string            `json:"appVersion"`
	Annotations map[string]string `json:"annotations"`
}

// docVersion matches the version in the documented commands.
var docVersion = regexp.MustCompile(`(?m)^(?:export )?VERSION=(\S+)`)

// check returns all disagreements between the changelog, the chart and the documentation. If v is not
// empty, they must be ready for the release of v.
func check(root, v string) error {
	if v != "" {
		if _, err := version.ParseSemantic(v); err != nil || strings.HasPrefix(v, "v") {
			return fmt.Errorf("VERSION is %q; set it to a version without v, such as 1.2.3 or 1.2.3-rc.1", v)
		}
	}
	sections, errChangelog := readChangelog(root)
	chart, errChart := readChart(root)
	if errChart != nil {
		return errors.Join(errChangelog, errChart)
	}
	errs := []error{errChangelog, checkChart(chart), checkDocs(root, chart.Version)}
	if errChangelog == nil {
		errs = append(errs, checkReleased(sections, chart.Version, v))
	}
	if v != "" && chart.Version != v {
		errs = append(errs, fmt.Errorf("%s/Chart.yaml: version is %s; set it, appVersion and the tag in the annotation images to %s", chartDir, chart.Version, v))
	}
	return errors.Join(errs...)
}

func readChart(root string) (*chartFile, error) {
	name := filepath.Join(root, chartDir, "Chart.yaml")
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	chart := &chartFile{}
	if err := yaml.Unmarshal(data, chart); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return chart, nil
}

// checkChart checks that all versions in Chart.yaml are the same.
func checkChart(chart *chartFile) error {
	const file = chartDir + "/Chart.yaml"
	if _, err := version.ParseSemantic(chart.Version); err != nil {
		return fmt.Errorf("%s: version is %q; set it to a version such as 1.2.3", file, chart.Version)
	}
	var errs []error
	if chart.AppVersion != chart.Version {
		errs = append(errs, fmt.Errorf("%s: appVersion is %q, and version %q; set both to the same", file, chart.AppVersion, chart.Version))
	}
	if images := chart.Annotations[annotation+"images"]; !strings.Contains(images, "image: "+image+":"+chart.Version+"\n") {
		errs = append(errs, fmt.Errorf("%s: the annotation images does not have the image %s:%s", file, image, chart.Version))
	}
	if got, want := chart.Annotations[annotation+"prerelease"], strconv.FormatBool(prerelease(chart.Version)); got != want {
		errs = append(errs, fmt.Errorf("%s: the annotation prerelease is %q; set it to %q for the version %s", file, got, want, chart.Version))
	}
	return errors.Join(errs...)
}

// prerelease reports whether the version promises no stable API: it is below 1.0.0, or has a suffix.
func prerelease(v string) bool {
	return strings.HasPrefix(v, "0.") || strings.Contains(v, "-")
}

// checkDocs checks that the commands of the documentation use the version of the chart.
func checkDocs(root, v string) error {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		return err
	}
	var errs []error
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, m := range docVersion.FindAllStringSubmatchIndex(string(text), -1) {
			if got := string(text[m[2]:m[3]]); got != v {
				name, _ := filepath.Rel(root, page) // both have the same root
				errs = append(errs, fmt.Errorf("%s:%d: VERSION is %s, and the version of the chart %s; set both to the same", name, 1+strings.Count(string(text[:m[2]]), "\n"), got, v))
			}
		}
	}
	return errors.Join(errs...)
}

// checkReleased compares the latest release in the changelog with the chart. If v is not empty, the
// first section must be about v.
func checkReleased(sections []section, chart, v string) error {
	first := &sections[0]
	if v != "" {
		switch {
		case first.version == "":
			return fmt.Errorf("%s:%d: the first section is %q; replace it by \"%s - DATE\"", changelogFile, first.line, unreleased, v)
		case first.version != v:
			return fmt.Errorf("%s:%d: the first section is about %s; add one with the heading \"%s - DATE\"", changelogFile, first.line, first.version, v)
		case first.body == "":
			return fmt.Errorf("%s:%d: the section is empty; describe the changes of %s", changelogFile, first.line, v)
		}
		return nil
	}
	for i := range sections {
		if s := &sections[i]; s.version != "" {
			if s.version != chart {
				return fmt.Errorf("%s:%d: the latest release is %s, and the version of the chart %s; set both to the same", changelogFile, s.line, s.version, chart)
			}
			return nil
		}
	}
	return nil
}
