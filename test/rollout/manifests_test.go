// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// watchManifests calls changed with each ConfigMap and its manifest, as the runners receive them,
// until the test ends.
func (c *cluster) watchManifests(changed func(*corev1.ConfigMap, *v1alpha1.MQTTBridge)) {
	c.t.Helper()
	w, err := server.Client.Watch(c.t.Context(), &corev1.ConfigMapList{}, client.InNamespace(c.namespace))
	if err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for e := range w.ResultChan() {
			config, _ := e.Object.(*corev1.ConfigMap)
			b := &v1alpha1.MQTTBridge{}
			if config != nil && yaml.Unmarshal([]byte(config.Data[v1alpha1.ManifestKey]), b) == nil && b.Name != "" {
				changed(config, b)
			}
		}
	}()
	c.t.Cleanup(func() {
		w.Stop()
		<-ended
	})
}

// runManifests makes the runners apply each manifest for the pod template of their Deployment.
func (c *cluster) runManifests() {
	c.t.Helper()
	c.watchManifests(func(_ *corev1.ConfigMap, b *v1alpha1.MQTTBridge) {
		// The operator writes the status at the same time.
		err := retry.RetryOnConflict(retry.DefaultBackoff, func() error { return c.takeOver(context.Background(), b) })
		if client.IgnoreNotFound(err) != nil {
			c.t.Errorf("applying the manifest of %s: %v", b.Name, err)
		}
	})
}

// takeOver reports that the runner runs the generation of a manifest, unless its pod is being
// replaced. A pod that starts reports its generation itself.
func (c *cluster) takeOver(ctx context.Context, next *v1alpha1.MQTTBridge) error {
	key, d, b := client.ObjectKeyFromObject(next), &appsv1.Deployment{}, &v1alpha1.MQTTBridge{}
	if err := server.Client.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: v1alpha1.ChildName(key.Name)}, d); err != nil {
		return err
	}
	if err := server.Client.Get(ctx, key, b); err != nil {
		return err
	}
	runner := b.Status.ActiveRunner()
	if runner == nil || runner.Generation >= next.Generation || !b.DeletionTimestamp.IsZero() ||
		next.Annotations[manifest.AnnotationTemplateHash] != d.Annotations[manifest.AnnotationTemplateHash] {
		return nil
	}
	if err := server.Client.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: runner.Pod}, &corev1.Pod{}); err != nil {
		return err
	}
	runner.Generation = next.Generation
	for i := range b.Status.Runners {
		b.Status.Runners[i].Image = "" // the operator owns the image
	}
	return c.applyReport(ctx, b.Name, b.ResourceVersion, v1alpha1.ReadyCondition(runner, b.Status.Local, b.Status.Remote), &v1alpha1.MQTTBridgeStatus{
		Runners: b.Status.Runners, Local: b.Status.Local, Remote: b.Status.Remote,
	})
}
