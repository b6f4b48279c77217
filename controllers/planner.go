// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// planInterval is the interval at which a replica that does not lead plans the bridges that
// have changed.
const planInterval = 5 * time.Second

// planner makes the plans of all bridges while another replica leads. A pass needs little time
// without a plan to make, so that the replica soon has checked all bridges when it takes the
// lead.
type planner struct {
	reconciler *Reconciler
	elected    <-chan struct{} // closed when the replica leads
}

// NeedLeaderElection makes the manager start the planner without the lead.
func (p *planner) NeedLeaderElection() bool { return false }

// Start plans the bridges until the replica leads.
func (p *planner) Start(ctx context.Context) error {
	ticker := time.NewTicker(planInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.elected:
			return nil
		case <-ticker.C:
			if err := p.reconciler.planAll(ctx); err != nil {
				log.FromContext(ctx).Error(err, "the bridges are planned when this replica leads")
			}
		}
	}
}

// planAll makes the missing plans.
func (r *Reconciler) planAll(ctx context.Context) error {
	bridges := &v1alpha1.MQTTBridgeList{}
	if err := r.Client.List(ctx, bridges, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing the bridges: %w", err)
	}
	for i := range bridges.Items {
		b := &bridges.Items[i]
		if !r.manages(b) || r.plans.lookup(b) != nil {
			continue
		}
		b = b.DeepCopy()
		b.SetDefaultClientIDs(r.ClusterID)
		if _, err := r.planFor(b); err != nil {
			return fmt.Errorf("planning bridge %s: %w", client.ObjectKeyFromObject(b), err)
		}
	}
	return nil
}
