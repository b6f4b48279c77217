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

// The monitors select the pods of the runners, whose labels the tests of package controllers fix,
// and the Service of the operator.
func TestMonitors_Selectors_MatchTheObjects(t *testing.T) {
	service := object(t, "config/manager/metrics_service.yaml")
	for monitor, labels := range map[string]any{
		"config/prometheus/servicemonitor.yaml": lookup(service, []string{"metadata", "labels"}),
		"config/prometheus/podmonitor.yaml": map[string]any{
			"app.kubernetes.io/name": "bridge-runner", "app.kubernetes.io/managed-by": "mqttbridge-operator",
		},
	} {
		selector, _ := lookup(object(t, monitor), []string{"spec", "selector", "matchLabels"}).(map[string]any)
		if len(selector) == 0 {
			t.Errorf("%s selects everything", monitor)
		}
		for name, value := range selector {
			if got := lookup(labels, []string{name}); got != value {
				t.Errorf("%s selects %s=%v; the object has %v", monitor, name, value, got)
			}
		}
	}
	port := lookup(each(lookup(service, []string{"spec", "ports"}))[0], []string{"name"})
	endpoint := each(lookup(object(t, "config/prometheus/servicemonitor.yaml"), []string{"spec", "endpoints"}))[0]
	if got := lookup(endpoint, []string{"port"}); got != port {
		t.Errorf("the ServiceMonitor names the port %v; the Service has %v", got, port)
	}
}
