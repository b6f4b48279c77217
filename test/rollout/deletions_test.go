// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// runDeletions makes the runners report the progress of a deletion, once for each bridge, when
// their manifest says that the bridge is being deleted.
func (c *cluster) runDeletions(progress ...v1alpha1.DeletionState) {
	c.t.Helper()
	w, err := server.Client.Watch(c.t.Context(), &corev1.ConfigMapList{}, client.InNamespace(c.namespace))
	if err != nil {
		c.t.Fatal(err)
	}
	ended, reported := make(chan struct{}), map[types.UID]bool{}
	go func() {
		defer close(ended)
		for e := range w.ResultChan() {
			config, _ := e.Object.(*corev1.ConfigMap)
			if config == nil || reported[config.UID] {
				continue
			}
			b := &v1alpha1.MQTTBridge{}
			if err := yaml.Unmarshal([]byte(config.Data[v1alpha1.ManifestKey]), b); err != nil || b.DeletionTimestamp.IsZero() {
				continue
			}
			reported[config.UID] = true
			for _, state := range progress {
				if err := c.reportDeletion(context.Background(), client.ObjectKeyFromObject(b), state); err != nil {
					c.t.Errorf("reporting the deletion of %s: %v", b.Name, err)
				}
			}
		}
	}()
	c.t.Cleanup(func() {
		w.Stop()
		<-ended
	})
}

func (c *cluster) reportDeletion(ctx context.Context, key client.ObjectKey, state v1alpha1.DeletionState) error {
	b := &v1alpha1.MQTTBridge{}
	if err := server.Client.Get(ctx, key, b); err != nil {
		return err
	}
	d := &v1alpha1.DeletionStatus{State: state}
	return c.applyReport(ctx, b.Name, v1alpha1.DeletingCondition(b.Generation, d), &v1alpha1.MQTTBridgeStatus{
		Runner: b.Status.Runner, Local: b.Status.Local, Remote: b.Status.Remote, Deletion: d,
	})
}
