// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

func TestPlanner_ReplicaWithoutTheLead_HasThePlanWhenItLeads(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	other := newBridge(b.Namespace, "other")
	other.Spec.ClassName = "another"
	create(t, b)
	create(t, other)
	b = awaitBridge(t, b, "a bridge that the cache holds", func(*v1alpha1.MQTTBridge) bool { return true })
	standby := &Reconciler{Client: operator.Client, RunnerImage: operator.RunnerImage, ClusterID: operator.ClusterID}
	elected, done := make(chan struct{}), make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { done <- (&planner{standby, elected}).Start(ctx) }()
	for standby.plans.lookup(b) == nil {
		if ctx.Err() != nil {
			t.Fatal("the replica has made no plan")
		}
		time.Sleep(50 * time.Millisecond)
	}
	close(elected)
	if err := <-done; err != nil || ctx.Err() != nil {
		t.Errorf("the planner has ended with %v; want an end when the replica leads", err)
	}
	p := standby.plans.lookup(b)
	if again, err := newPlan(b, standby.podDefaults(), &standby.Policy); err != nil || standby.plans.keep(client.ObjectKeyFromObject(b), again) != p {
		t.Errorf("a second plan of the same version replaces the first, or fails: %v", err)
	}
	if standby.plans.lookup(other) != nil {
		t.Error("the replica plans a bridge of another class")
	}
}

func TestPlanner_BridgeDeletedWithoutTheLead_ItsPlanIsFreed(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	create(t, b)
	awaitBridge(t, b, "the bridge", func(got *v1alpha1.MQTTBridge) bool { return got.Status.ObservedGeneration == 1 })
	key := client.ObjectKeyFromObject(b)
	standby := &Reconciler{Client: operator.Client, RunnerImage: operator.RunnerImage, ClusterID: operator.ClusterID}
	planned := func() bool {
		if err := standby.planAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		return standby.plans.all()[key] != nil
	}
	if !planned() {
		t.Fatal("the bridge has no plan")
	}
	if err := server.Client.Delete(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "the cache does not hold the bridge", func(ctx context.Context) (bool, error) {
		err := operator.Client.Get(ctx, key, &v1alpha1.MQTTBridge{})
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
	if planned() {
		t.Error("the plan of a deleted bridge stays")
	}
}
