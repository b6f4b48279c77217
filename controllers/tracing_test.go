// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// The running process applies changed settings of tracing, so that they need no new pod.
func TestTracing_Changed_ChangesManifestAndNotThePod(t *testing.T) {
	b := everything(t)
	b.Spec.Tracing = nil
	plain, err := podSpecHash(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, tracing := range []*v1alpha1.Tracing{
		{},
		{Endpoint: "http://collector.monitoring:4318"},
		{Endpoint: "http://collector.monitoring:4318", SamplingRatePerMillion: ptr.To[int32](0), Topics: v1alpha1.TraceTopicsRecord},
	} {
		b.Spec.Tracing = tracing
		traced, err := podSpecHash(b)
		if err != nil {
			t.Fatal(err)
		}
		if traced != plain {
			t.Errorf("%+v changes the hash of the pod's spec", tracing)
		}
		rendered, err := runnerManifest(b, "a-template-hash")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(rendered, "\n  tracing:") || !strings.Contains(rendered, tracing.Endpoint) {
			t.Errorf("the manifest of the runner does not have %+v:\n%s", tracing, rendered)
		}
		assertRunnerAccepts(t, b, rendered)
	}
}

func TestTracing_SetOnABridge_ReachesTheConfigMapWithoutANewPod(t *testing.T) {
	b := newBridge(namespace(t), "traced")
	create(t, b)
	before := awaitDeployment(t, b, "it exists", func(*appsv1.Deployment) bool { return true })
	update(t, b, func(b *v1alpha1.MQTTBridge) {
		b.Spec.Tracing = &v1alpha1.Tracing{Endpoint: "http://collector.monitoring:4318", SamplingRatePerMillion: ptr.To[int32](500)}
	})
	awaitChild(t, &corev1.ConfigMapList{}, b, "the manifest has tracing", func(c *corev1.ConfigMap) bool {
		return c != nil && strings.Contains(c.Data[manifestKey], "endpoint: http://collector.monitoring:4318") && strings.Contains(c.Data[manifestKey], "samplingRatePerMillion: 500")
	})
	after := awaitDeployment(t, b, "it exists", func(*appsv1.Deployment) bool { return true })
	if after.Annotations[annotationTemplateHash] != before.Annotations[annotationTemplateHash] || after.Generation != before.Generation {
		t.Errorf("the pod is replaced: %v, before %v", after.Annotations, before.Annotations)
	}
}
