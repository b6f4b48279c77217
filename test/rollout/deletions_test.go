// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// runDeletions makes the runners report the progress of a deletion, once for each bridge, when
// their manifest says that the bridge is being deleted.
func (c *cluster) runDeletions(progress ...v1alpha1.DeletionState) {
	c.t.Helper()
	reported := map[types.UID]bool{}
	c.watchManifests(func(config *corev1.ConfigMap, b *v1alpha1.MQTTBridge) {
		if reported[config.UID] || b.DeletionTimestamp.IsZero() {
			return
		}
		reported[config.UID] = true
		for _, state := range progress {
			if err := c.reportDeletion(context.Background(), client.ObjectKeyFromObject(b), state); err != nil {
				c.t.Errorf("reporting the deletion of %s: %v", b.Name, err)
			}
		}
	})
}

func (c *cluster) reportDeletion(ctx context.Context, key client.ObjectKey, state v1alpha1.DeletionState) error {
	b := &v1alpha1.MQTTBridge{}
	if err := server.Client.Get(ctx, key, b); err != nil {
		return err
	}
	d := &v1alpha1.DeletionStatus{State: state}
	return c.applyReport(ctx, b.Name, "", v1alpha1.DeletingCondition(b.Generation, d), &v1alpha1.MQTTBridgeStatus{
		Runners: b.Status.Runners, Local: b.Status.Local, Remote: b.Status.Remote, Deletion: d,
	})
}
