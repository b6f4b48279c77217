// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// dryRun returns an error if the API server would refuse one of the changes, so that a refused
// child leaves all children as they are. It needs no request for the first change: if the API
// server refuses it, nothing has changed yet.
//
// A bridge without a Deployment needs no dry run. The Deployment is created last, so that
// children that are created before a refusal have no effect.
func (r *Reconciler) dryRun(ctx context.Context, changes []change) error {
	for i := 1; i < len(changes); i++ {
		c := &changes[i]
		// The client writes the API server's answer into the object, so that it gets a copy.
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(c.wanted)
		if err != nil {
			return fmt.Errorf("converting %s %s: %w", c.kind, c.name, err)
		}
		object = runtime.DeepCopyJSON(object)
		trial := client.ApplyConfigurationFromUnstructured(&unstructured.Unstructured{Object: object})
		if err := r.Client.Apply(ctx, trial, client.FieldOwner(FieldOwner), client.ForceOwnership, client.DryRunAll); err != nil {
			return c.applyError(fmt.Errorf(msgDryRunRefused, err))
		}
	}
	return nil
}
