// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
)

// TestRecordings_AllMetrics_MatchTheList fails if the list has changed since the scrapes were
// recorded. Then record them again, as README.md of testdata describes.
func TestRecordings_AllMetrics_MatchTheList(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*", "*.prom"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	got := map[string]map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(file), "testdata/"), ".prom")
		for _, s := range load(t, name) {
			metric := familyOf(s.labels.Get(model.MetricNameLabel))
			if got[metric] == nil {
				got[metric] = map[string]bool{}
			}
			s.labels.Range(func(l labels.Label) { got[metric][l.Name] = true })
		}
	}
	for _, m := range metriclist.All() {
		for _, label := range m.Labels {
			if !got[m.Name][label] {
				t.Errorf("no recorded series of %s has the label %s", m.Name, label)
			}
		}
		if got[m.Name] == nil {
			t.Errorf("no scrape has %s", m.Name)
		}
		for label := range got[m.Name] {
			if !slices.Contains(append(append([]string{model.MetricNameLabel, "le"}, metriclist.HostLabels...), m.Labels...), label) {
				t.Errorf("%s has the label %s, which is not in the list", m.Name, label)
			}
		}
		delete(got, m.Name)
	}
	for name := range got {
		if strings.HasPrefix(name, "mqttbridge_") {
			t.Errorf("%s is not in the list", name)
		}
	}
}

// familyOf returns the name of the metric that a series belongs to.
func familyOf(series string) string {
	for _, m := range metriclist.All() {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if m.Type == metriclist.Histogram && series == m.Name+suffix {
				return m.Name
			}
		}
	}
	for _, m := range metriclist.Others {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if m.Type == metriclist.Histogram && series == m.Name+suffix {
				return m.Name
			}
		}
	}
	return series
}
