// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// The operator has changed the template of the pods, so that this pod is being replaced. It becomes active
// again meanwhile, and continues with its manifest and the latest requests.
func TestRebuild_LatestManifestIsForAnotherPod_KeepsItsRequests(t *testing.T) {
	g := newGroup(nil, slog.New(slog.DiscardHandler))
	m := func(value string) *config.Manifest {
		m := manifestOf("test", "x", "mqtt://r.example", "")
		metav1.SetMetaDataAnnotation(&m.ObjectMeta, manifest.AnnotationHandOver, value)
		return m
	}
	i, err := newInstance(m("first"), setup{secrets: config.NewSecrets(t.TempDir()), metrics: report.NewMetrics(), seat: g.add("test/x")})
	if err != nil {
		t.Fatal(err)
	}
	next := m("second")
	next.Generation, next.DeletionTimestamp = 2, ptr.To(metav1.Now())
	if err := i.Apply(next, false); err != nil {
		t.Fatal(err)
	}
	i.rebuild()
	if i.handOver != "second" || i.bridge.know.handOver != "second" {
		t.Errorf("the request of a hand-over is %q, and the knowledge has %q", i.handOver, i.bridge.know.handOver)
	}
	if !i.deletion.requested.isSet() {
		t.Error("the deletion is forgotten")
	}
	if got := i.running.manifest.Generation; got != 0 {
		t.Errorf("the bridge runs generation %d", got)
	}
}
