// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"regexp"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// seriesOf returns the values of the series of a bridge, by the name of the metric, with the
// side if there is one.
func seriesOf(t *testing.T, m *BridgeMetrics, namespace, name string) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range metric.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["namespace"] == namespace && labels["name"] == name {
				out[f.GetName()+labels["side"]] = metric.GetGauge().GetValue()
			}
		}
	}
	return out
}

func TestBridgeMetrics_Status_GivesValues(t *testing.T) {
	condition := func(conditionType string, status metav1.ConditionStatus) metav1.Condition {
		return metav1.Condition{Type: conditionType, Status: status}
	}
	for _, tt := range []struct {
		name   string
		given  *observation
		change func(*v1alpha1.MQTTBridge)
		want   bridgeValues
	}{
		{"a bridge that forwards", observed(), func(b *v1alpha1.MQTTBridge) {
			b.Status.Conditions = []metav1.Condition{condition("Ready", metav1.ConditionTrue), condition("Degraded", metav1.ConditionFalse)}
		}, bridgeValues{ready: true, localPlace: 1, remotePlace: 1}},
		{"a bridge on a backup", observed(withSides(localUp(), remoteOnBackup())), func(b *v1alpha1.MQTTBridge) {
			b.Status.Conditions = []metav1.Condition{condition("Ready", metav1.ConditionTrue), condition("Degraded", metav1.ConditionTrue)}
		}, bridgeValues{ready: true, degraded: true, localPlace: 1, remotePlace: 2}},
		{"a bridge whose node is lost", observed(withSides(localUp(), remoteDown())), func(b *v1alpha1.MQTTBridge) {
			b.Status.Conditions = []metav1.Condition{condition("Ready", metav1.ConditionUnknown), condition("Degraded", metav1.ConditionUnknown)}
		}, bridgeValues{localPlace: 1}},
		{"a stalled bridge with a new generation", observed(generation4), func(b *v1alpha1.MQTTBridge) {
			b.Status.Conditions = []metav1.Condition{condition("Ready", metav1.ConditionTrue), condition("Stalled", metav1.ConditionTrue)}
		}, bridgeValues{ready: true, stalled: true, localPlace: 1, remotePlace: 1, generationLag: 1}},
		{"a suspended bridge", observed(unreported), func(b *v1alpha1.MQTTBridge) {
			b.Status.Conditions = []metav1.Condition{condition("Suspended", metav1.ConditionTrue)}
		}, bridgeValues{suspended: true}},
		{"a bridge without a report", observed(unreported), func(*v1alpha1.MQTTBridge) {}, bridgeValues{generationLag: 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.change(tt.given.bridge)
			if got := valuesOf(tt.given.bridge); got != tt.want {
				t.Errorf("%+v; want %+v", got, tt.want)
			}
		})
	}
}

func TestBridgeMetrics_BridgeDeletedOrOfAnotherClass_AreRemoved(t *testing.T) {
	for name, end := range map[string]func(*v1alpha1.MQTTBridge){
		"deleted": func(b *v1alpha1.MQTTBridge) {
			if err := server.Client.Delete(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		},
		"of another class": func(b *v1alpha1.MQTTBridge) {
			update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.ClassName = "another" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := forwardingBridge(t)
			apiserver.Eventually(t, "the metrics of a bridge that forwards", func(context.Context) (bool, error) {
				got := seriesOf(t, operator.BridgeMetrics, b.Namespace, b.Name)
				return len(got) == 7 && got["mqttbridge_bridge_ready"] == 1 && got["mqttbridge_bridge_active_server_placeremote"] == 1, nil
			})
			end(b)
			apiserver.Eventually(t, "no metrics", func(context.Context) (bool, error) {
				return len(seriesOf(t, operator.BridgeMetrics, b.Namespace, b.Name)) == 0, nil
			})
		})
	}
}

// A test of the operator as a whole compares the list with all metrics that it serves.
func TestMetrics_Names_MatchTheList(t *testing.T) {
	listed := map[string]bool{}
	for _, set := range []metriclist.Set{metriclist.Reconciled, metriclist.Operator} {
		for _, m := range metriclist.Of(set) {
			listed[m.Name] = true
		}
	}
	descriptions := make(chan *prometheus.Desc, 100)
	for _, c := range []prometheus.Collector{NewBridgeMetrics(), rolloutBridges, buildInfo} {
		c.Describe(descriptions)
	}
	close(descriptions)
	name := regexp.MustCompile(`fqName: "([^"]+)"`)
	for d := range descriptions {
		n := name.FindStringSubmatch(d.String())[1]
		if !listed[n] {
			t.Errorf("internal/metriclist has no metric %s of the operator", n)
		}
		delete(listed, n)
	}
	for n := range listed {
		t.Errorf("internal/metriclist has %s, and the operator does not declare it", n)
	}
}
