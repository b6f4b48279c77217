// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// dryRun returns an error if the API server would refuse one of the changes, so that a refused
// child leaves all children as they are. It needs no request for the first change: if the API
// server refuses it, nothing has changed yet.
//
// A bridge without a Deployment needs no dry run. The Deployment is created last, so that
// children that are created before a refusal have no effect.
func (r *Reconciler) dryRun(ctx context.Context, b *v1alpha1.MQTTBridge, changes []change) error {
	for i := 1; i < len(changes); i++ {
		if err := r.dryRunChange(ctx, b, &changes[i]); err != nil {
			return changes[i].applyError(fmt.Errorf(msgDryRunRefused, err))
		}
	}
	return nil
}

func (r *Reconciler) dryRunChange(ctx context.Context, b *v1alpha1.MQTTBridge, c *change) error {
	if !c.exists {
		return r.createChild(ctx, b, c.wanted, client.DryRunAll)
	}
	_, err := r.applyTo(ctx, c.existing.object.GetUID(), c.wanted, client.DryRunAll)
	return err
}
