// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package monitoring tests the rules and dashboards with the libraries of Prometheus, on scrapes
// that tests of the runner and of the operator have recorded. This is a module of its own, so that
// these libraries do not decide the versions of the operator's dependencies.
package monitoring

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"go.yaml.in/yaml/v3"
)

const root = "../.."

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// ruleGroups returns the groups of the chart, checked as promtool does.
func ruleGroups(t *testing.T) *rulefmt.RuleGroups {
	t.Helper()
	groups, errs := rulefmt.Parse(read(t, "charts/mqttbridge-operator/files/rules.yaml"), false, model.UTF8Validation, strict, slog.Default())
	for _, err := range errs {
		t.Error(err)
	}
	if groups == nil || len(groups.Groups) == 0 {
		t.Fatal("the chart has no rules")
	}
	return groups
}

// rules returns all rules.
func rules(t *testing.T) (all []rulefmt.Rule) {
	t.Helper()
	for _, g := range ruleGroups(t).Groups {
		all = append(all, g.Rules...)
	}
	return all
}

func TestRules_Kustomize_HasTheRulesOfTheChart(t *testing.T) {
	var chart, object struct {
		Groups yaml.Node `yaml:"groups"`
		Spec   struct {
			Groups yaml.Node `yaml:"groups"`
		} `yaml:"spec"`
	}
	for file, into := range map[string]any{"charts/mqttbridge-operator/files/rules.yaml": &chart, "config/prometheus/rules.yaml": &object} {
		if err := yaml.Unmarshal(read(t, file), into); err != nil {
			t.Fatal(err)
		}
	}
	var texts [2][]byte
	for i, node := range []*yaml.Node{&chart.Groups, &object.Spec.Groups} {
		data, err := yaml.Marshal(node)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = data
	}
	if !bytes.Equal(texts[0], texts[1]) || len(texts[0]) < 1000 {
		t.Errorf("config/prometheus/rules.yaml differs from the rules of the chart:\n%s", texts[1])
	}
}

func TestRules_Queries_NameExistingMetricsAndLabels(t *testing.T) {
	for _, r := range rules(t) {
		checkQuery(t, r.Alert, r.Expr)
	}
}

func TestRules_EachAlert_HasARunbook(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "docs", "runbooks", "MQTTBridge*.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]bool{}
	for _, file := range files {
		pages[filepath.Base(file)] = true
	}
	named := map[string]bool{}
	for _, r := range rules(t) {
		page := r.Alert + ".md"
		named[page] = true
		if address := r.Annotations["runbook_url"]; filepath.Base(address) != page {
			t.Errorf("the runbook of %s is %s", r.Alert, address)
		}
		if !pages[page] {
			t.Errorf("docs/runbooks has no %s", page)
			continue
		}
		text := read(t, "docs/runbooks/"+page)
		for _, heading := range []string{"# " + r.Alert, "## Meaning", "## Effect", "## Diagnosis", "## Remedy"} {
			if !regexp.MustCompile(`(?m)^` + heading + `$`).Match(text) {
				t.Errorf("docs/runbooks/%s has no heading %q", page, heading)
			}
		}
	}
	for page := range pages {
		if !named[page] {
			t.Errorf("docs/runbooks/%s is of no alert", page)
		}
	}
}
