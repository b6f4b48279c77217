// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
)

// A Family has all series of one metric of a scrape.
type Family struct {
	Type, Help string
	Labels     map[string]bool // the names of the labels of all series
}

// Families returns the families of a scrape by their names.
func Families(t testing.TB, scrape string) map[string]*Family {
	t.Helper()
	out := map[string]*Family{}
	for line := range strings.Lines(scrape) {
		text := strings.TrimSuffix(line, "\n")
		if help, ok := strings.CutPrefix(text, "# HELP "); ok {
			name, help, _ := strings.Cut(help, " ")
			out[name] = &Family{Help: help, Labels: map[string]bool{}}
		} else if kind, ok := strings.CutPrefix(text, "# TYPE "); ok {
			name, kind, _ := strings.Cut(kind, " ")
			out[name].Type = kind
		}
	}
	samples, err := ParseMetrics(scrape)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		f := out[familyName(s.Name, out)]
		if f == nil {
			t.Fatalf("%s has no HELP", s.Name)
		}
		for label := range s.Labels {
			f.Labels[label] = true
		}
	}
	return out
}

// familyName returns the name of the metric that a series belongs to.
func familyName(series string, families map[string]*Family) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		name, cut := strings.CutSuffix(series, suffix)
		if f := families[name]; cut && f != nil && f.Type != string(metriclist.Gauge) {
			return name
		}
	}
	return series
}

// CompareMetrics compares the metrics of the project in a scrape with the list, and returns the
// differences. hosted is true for a process with many bridges. The caller checks that the scrape
// has all metrics: seen gets the names of those that it has.
func CompareMetrics(families map[string]*Family, hosted bool, seen map[string]bool) (differences []string) {
	listed := map[string]metriclist.Metric{}
	for _, m := range metriclist.All() {
		listed[m.Name] = m
	}
	for _, name := range slices.Sorted(maps.Keys(families)) {
		f, m := families[name], listed[name]
		if !strings.HasPrefix(name, "mqttbridge_") {
			continue
		}
		seen[name] = true
		if m.Name == "" {
			differences = append(differences, name+" is not in internal/metriclist")
			continue
		}
		labels := slices.Clone(m.Labels)
		if hosted && m.Set == metriclist.Bridge {
			labels = append(labels, metriclist.HostLabels...)
		}
		if m.Type == metriclist.Histogram {
			labels = append(labels, "le")
		}
		slices.Sort(labels)
		if got := slices.Sorted(maps.Keys(f.Labels)); !slices.Equal(got, labels) && len(got)+len(labels) > 0 {
			differences = append(differences, fmt.Sprintf("%s has the labels %v; internal/metriclist has %v", name, got, labels))
		}
		if f.Type != string(m.Type) || f.Help != m.Help {
			differences = append(differences, fmt.Sprintf("%s is a %s with the help %q; internal/metriclist has a %s with %q", name, f.Type, f.Help, m.Type, m.Help))
		}
	}
	return differences
}
