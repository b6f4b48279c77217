// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const featuresPage = "docs/operator-features.md"

var (
	namedTest   = regexp.MustCompile("`(Test\\w+)` \\(`([^`]+)`\\)")
	namedTarget = regexp.MustCompile("`make ([a-z-]+)`")
	pageLink    = regexp.MustCompile(`\]\([^)]+\)`)
)

// sectionsOf returns the sections of a page by heading, without the text before the first one.
func sectionsOf(page string) map[string]string {
	sections := map[string]string{}
	for _, s := range strings.Split(page, "\n## ")[1:] {
		heading, text, _ := strings.Cut(s, "\n")
		sections[heading] = text
	}
	return sections
}

// evidence returns the faults of the last cell of a row: it must name a test that exists in its
// directory, or a target of the Makefile, and nothing else.
func evidence(t *testing.T, cell, makefile string) (faults []string) {
	t.Helper()
	tests, targets := namedTest.FindAllStringSubmatch(cell, -1), namedTarget.FindAllStringSubmatch(cell, -1)
	rest := namedTarget.ReplaceAllString(namedTest.ReplaceAllString(cell, ""), "")
	if rest = strings.Trim(rest, ", "); rest != "" || len(tests)+len(targets) == 0 {
		return []string{"it must name tests as `TestName` (`directory`), or targets as `make NAME`"}
	}
	for _, m := range tests {
		files, err := filepath.Glob(filepath.Join(root, m[2], "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, file := range files {
			found = found || strings.Contains(readFile(t, file), "\nfunc "+m[1]+"(t *testing.T)")
		}
		if !found {
			faults = append(faults, "no test "+m[1]+" is in "+m[2])
		}
	}
	for _, m := range targets {
		if !strings.Contains(makefile, "\n"+m[1]+":") {
			faults = append(faults, "the Makefile has no target "+m[1])
		}
	}
	return faults
}

// TestFeatures_EachRow_IsDocumentedAndShown checks that each feature has a link and an existing test
// or target, or a reason for its absence. TestLinks checks the targets of the links.
func TestFeatures_EachRow_IsDocumentedAndShown(t *testing.T) {
	makefile, checked := read(t, "Makefile"), 0
	for heading, text := range sectionsOf(read(t, featuresPage)) {
		if heading == "Values of their charts" || heading == "Settings of the managed pods" {
			continue
		}
		for _, row := range rows(text) {
			if len(row) != 4 || row[0] == "" || row[1] == "" {
				t.Errorf("%s: %q needs four cells", heading, row)
				continue
			}
			checked++
			if reason, absent := strings.CutPrefix(row[2], "not planned"); absent {
				if _, why, _ := strings.Cut(reason, ": "); why == "" || row[3] != "-" {
					t.Errorf("%s: %q needs a reason after \"not planned:\", and - as the last cell", heading, row[0])
				}
				continue
			}
			if !pageLink.MatchString(row[2]) {
				t.Errorf("%s: %q has no link to its documentation", heading, row[0])
			}
			for _, fault := range evidence(t, row[3], makefile) {
				t.Errorf("%s: %q: %s", heading, row[0], fault)
			}
		}
	}
	if checked < 80 {
		t.Errorf("only %d features were found", checked)
	}
}

// The values of this chart that the page names as counterparts are in values.yaml.
func TestFeatures_ValuesOfTheChart_Exist(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "charts", "mqttbridge-operator", "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(data, &values); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, row := range rows(sectionsOf(read(t, featuresPage))["Values of their charts"]) {
		here, _, _ := strings.Cut(row[1], ", also in ")
		for _, m := range quoted.FindAllStringSubmatch(here, -1) {
			checked++
			var value any = values
			for key := range strings.SplitSeq(m[1], ".") {
				mapping, _ := value.(map[string]any)
				v, ok := mapping[key]
				if !ok {
					t.Errorf("%s: %s is no value of the chart", row[0], m[1])
					break
				}
				value = v
			}
		}
	}
	if checked < 30 {
		t.Errorf("only %d values were found", checked)
	}
}

// The table of the pod's settings has each field of spec.runner but metricsPort, which is a setting
// of the program.
func TestFeatures_SettingsOfTheRunner_AreListed(t *testing.T) {
	listed := map[string]bool{}
	for _, row := range rows(sectionsOf(read(t, featuresPage))["Settings of the managed pods"]) {
		for _, m := range quoted.FindAllStringSubmatch(row[3], -1) {
			listed[m[1]] = true
		}
	}
	for field := range reflect.TypeFor[v1alpha1.Runner]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !listed[name] && name != "metricsPort" {
			t.Errorf("%s does not list runner.%s", featuresPage, name)
		}
		delete(listed, name)
	}
	delete(listed, "replicas: 2")
	for name := range listed {
		t.Errorf("%s lists runner.%s, which is no field", featuresPage, name)
	}
}
