// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

func TestRules_Changed_AreAppliedByTheRunningPod(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ready()
	w.stream()
	pod := w.pod()

	w.bridge.Spec.LocalToRemote = append(w.bridge.Spec.LocalToRemote, v1alpha1.Rule{Filter: "more/#"})
	w.ready() // with the latest generation
	collector, err := traffic.StartCollector(t.Context(), traffic.CollectorConfig{
		Sources: []traffic.Source{w.primary.Source()}, ClientID: "collector-of-more", Filter: "more/#",
	}, eventTimeout)
	must(t, err)
	t.Cleanup(collector.Close)
	publisher := traffic.StartPublisher(t.Context(), traffic.PublisherConfig{
		Dial: w.local.Dial, ClientID: "publisher-of-more", Topic: "more/x", QoS: 1, Rate: 100, Size: 128,
	})
	t.Cleanup(publisher.Close)
	must(t, collector.WaitCount(200, drainTimeout))

	t.Log(w.event(v1alpha1.EventManifestApplied))
	w.flow(200)
	w.finish()
	if n := traffic.Compare(w.publisher.Ledger(), w.collector.Arrivals()).Duplicates; n > 0 {
		t.Errorf("%d messages arrived twice", n)
	}
	if now := w.pod(); now.UID != pod.UID || now.Status.ContainerStatuses[0].RestartCount > 0 {
		t.Errorf("pod %s was replaced or restarted, want the running pod to apply the rule", pod.Name)
	}
}
