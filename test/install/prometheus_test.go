// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// config/prometheus belongs to config/default: it names its namespace and selects its Service.
func TestMonitoring_Kustomize_SelectsTheInstalledOperator(t *testing.T) {
	objects, installed := tool(t, "kustomize", "build", "config/prometheus"), kustomized(t)
	namespace := only[corev1.Namespace](t, installed, "Namespace").Name
	got := make([]string, 0, len(objects))
	for i := range objects {
		got = append(got, objects[i].GetKind()+" "+objects[i].GetNamespace()+"/"+objects[i].GetName())
	}
	slices.Sort(got)
	want := []string{
		"PodMonitor " + namespace + "/mqttbridge-operator-runners",
		"PrometheusRule " + namespace + "/mqttbridge-operator",
		"ServiceMonitor " + namespace + "/mqttbridge-operator",
	}
	if !slices.Equal(got, want) {
		t.Errorf("config/prometheus has %v, want %v", got, want)
	}
	for i := range objects {
		if objects[i].GetKind() != "ServiceMonitor" {
			continue
		}
		selector, _, err := unstructured.NestedStringMap(objects[i].Object, "spec", "selector", "matchLabels")
		if err != nil || len(selector) == 0 {
			t.Fatalf("the ServiceMonitor selects %v: %v", selector, err)
		}
		namespaces, _, err := unstructured.NestedStringSlice(objects[i].Object, "spec", "namespaceSelector", "matchNames")
		if err != nil || !slices.Equal(namespaces, []string{namespace}) {
			t.Errorf("the ServiceMonitor selects the namespaces %v (%v), want %s", namespaces, err, namespace)
		}
		service := only[corev1.Service](t, installed, "Service")
		if !labels.SelectorFromSet(selector).Matches(labels.Set(service.Labels)) {
			t.Errorf("the ServiceMonitor selects %v; the Service has %v", selector, service.Labels)
		}
	}
}
