// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

var record = flag.Bool("record", false, "write the scrape of TestMetrics_RunningOperator_MatchTheList to test/monitoring/testdata")

func TestMetrics_RunningOperator_MatchTheList(t *testing.T) {
	apiserver.Need(t, server)
	const class = "listed"
	if err := permitLease(t.Context(), class); err != nil {
		t.Fatal(err)
	}
	if err := server.Client.Create(t.Context(), newBridge(metav1.NamespaceDefault, "recorded", class)); err != nil {
		t.Fatal(err)
	}
	address := mqtttest.FreeAddress(t)
	startReplica(t, class, metav1.NamespaceDefault, address)
	token := metricsReader(t, "prometheus-of-the-list")
	var text string
	apiserver.Eventually(t, "the metrics of the bridge, and of a pass that has ended", func(ctx context.Context) (bool, error) {
		text = scrapeAll(ctx, t, address, token)
		return strings.Contains(text, "\nmqttbridge_bridge_ready{") && strings.Contains(text, "\ncontroller_runtime_reconcile_time_seconds_count{"), nil
	})
	families, seen := mqtttest.Families(t, text), map[string]bool{}
	for _, difference := range mqtttest.CompareMetrics(families, false, seen) {
		t.Error(difference)
	}
	for _, set := range []metriclist.Set{metriclist.Reconciled, metriclist.Operator} {
		for _, m := range metriclist.Of(set) {
			if !seen[m.Name] {
				t.Errorf("internal/metriclist has %s, and the operator does not serve it", m.Name)
			}
		}
	}
	names := []string{"mqttbridge_"}
	for _, other := range metriclist.Others {
		if other.Source != metriclist.FromGo && other.Source != metriclist.FromControllerRuntime {
			continue
		}
		names = append(names, other.Name)
		f := families[other.Name]
		if f == nil || f.Type != string(other.Type) {
			t.Errorf("the operator does not serve the %s %s", other.Type, other.Name)
			continue
		}
		for _, label := range other.Labels {
			if !f.Labels[label] {
				t.Errorf("%s has no label %s", other.Name, label)
			}
		}
	}
	if *record {
		recordOperator(t, text, names)
	}
}

// recordOperator writes the series with these prefixes, for the tests of the rules and dashboards.
func recordOperator(t *testing.T, text string, prefixes []string) {
	t.Helper()
	lines := regexp.MustCompile(`(?m)^(?:`+strings.Join(prefixes, "|")+`).*\n`).FindAllString(text, -1)
	file := filepath.Join(apiserver.Root(), "test", "monitoring", "testdata", "operator", "1-running.prom")
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
}
