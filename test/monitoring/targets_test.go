// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"fmt"
	"testing"

	"go.yaml.in/yaml/v3"
)

// object decodes a manifest.
func object(t *testing.T, path string) any {
	t.Helper()
	var out any
	if err := yaml.Unmarshal(read(t, path), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// each returns the items of a list.
func each(list any) []any {
	items, _ := list.([]any)
	return items
}

// The alerts and dashboards need the label bridge, which the runners of a cluster do not have.
func TestPodMonitor_Relabeling_SetsTheBridge(t *testing.T) {
	monitor := object(t, "config/prometheus/podmonitor.yaml")
	endpoints := each(lookup(monitor, []string{"spec", "podMetricsEndpoints"}))
	if len(endpoints) != 1 {
		t.Fatalf("there are %d endpoints", len(endpoints))
	}
	got := fmt.Sprint(lookup(endpoints[0], []string{"relabelings"}))
	if want := "[map[sourceLabels:[__meta_kubernetes_pod_label_app_kubernetes_io_instance] targetLabel:bridge]]"; got != want {
		t.Errorf("the relabelings are %s, want %s", got, want)
	}
}

// The PodMonitor selects the pods of the runners, whose labels the tests of package controllers fix.
// test/install compares the ServiceMonitor with the Service.
func TestPodMonitor_Selector_SelectsRunners(t *testing.T) {
	got := fmt.Sprint(lookup(object(t, "config/prometheus/podmonitor.yaml"), []string{"spec", "selector", "matchLabels"}))
	if want := "map[app.kubernetes.io/managed-by:mqttbridge-operator app.kubernetes.io/name:bridge-runner]"; got != want {
		t.Errorf("the selector is %s, want %s", got, want)
	}
}
