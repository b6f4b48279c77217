// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// startOperator starts an operator of a class, which gives runners an image with the name of
// the class, and waits until it leads.
func startOperator(t *testing.T, class, namespace string) {
	t.Helper()
	if err := permitLease(t.Context(), class); err != nil {
		t.Fatal(err)
	}
	startReplica(t, class, namespace, disabled)
	lease := client.ObjectKey{Namespace: "mqttbridge-system", Name: leaseName(class)}
	apiserver.Await(t, server.Client, &coordinationv1.LeaseList{}, lease, "a leader of class "+class, func(l *coordinationv1.Lease) bool {
		return l != nil && l.Spec.HolderIdentity != nil && *l.Spec.HolderIdentity != ""
	})
}

// startReplica starts a replica of the operator of a class, which serves metrics at an address,
// until the test ends.
func startReplica(t *testing.T, class, namespace, metricsAddress string) {
	t.Helper()
	mgr, err := newManager(t.Context(), rest.CopyConfig(operatorRest), &settings{
		runnerImage: imageOf(class), class: class, watchNamespaces: []string{namespace, "mqttbridge-system"},
		leaderElect: true, leaderElectionNamespace: "mqttbridge-system",
		metricsAddress: metricsAddress, bridgeMetrics: true, probeAddress: disabled,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("the operator of class %s stopped with %v", class, err)
		}
	})
}

// newBridge returns a bridge of a class.
func newBridge(namespace, name, class string) *v1alpha1.MQTTBridge {
	return &v1alpha1.MQTTBridge{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.MQTTBridgeSpec{
			Local:         v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://local:1883"}},
			Remote:        v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://remote:1883"}},
			LocalToRemote: []v1alpha1.Rule{{Filter: "sensors/#"}},
			ClassName:     class,
		},
	}
}

func imageOf(class string) string { return "registry.example/" + class + ":v1" }

func TestOperators_TwoClassesInOneNamespace_ReconcileOnlyTheirBridges(t *testing.T) {
	apiserver.Need(t, server)
	const namespace = "classes"
	if err := server.Client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		t.Fatal(err)
	}
	startOperator(t, "blue", namespace)
	startOperator(t, "green", namespace) // both lead at the same time
	bridges := map[string]*v1alpha1.MQTTBridge{}
	for _, class := range []string{"", "red", "blue", "green"} {
		b := newBridge(namespace, "of-class-"+class+"x", class)
		if err := server.Client.Create(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		bridges[class] = b
	}
	await := func(b *v1alpha1.MQTTBridge, image string) *appsv1.Deployment {
		t.Helper()
		key := client.ObjectKey{Namespace: namespace, Name: v1alpha1.ChildName(b.Name)}
		return apiserver.Await(t, server.Client, &appsv1.DeploymentList{}, key, "a Deployment of "+image, func(d *appsv1.Deployment) bool {
			return d != nil && d.Spec.Template.Spec.Containers[0].Image == image
		})
	}
	blue := await(bridges["blue"], imageOf("blue"))
	await(bridges["green"], imageOf("green"))

	moved := bridges["blue"].DeepCopy()
	moved.Spec.ClassName = "green"
	if err := server.Client.Patch(t.Context(), moved, client.MergeFrom(bridges["blue"])); err != nil {
		t.Fatal(err)
	}
	if after := await(moved, imageOf("green")); after.UID != blue.UID {
		t.Error("the operator of the new class has replaced the Deployment; want a change of the same object")
	}

	// Both operators have reconciled bridges that were created later than these.
	for _, class := range []string{"", "red"} {
		b := bridges[class]
		if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(b), b); err != nil {
			t.Fatal(err)
		}
		if len(b.Status.Conditions) > 0 {
			t.Errorf("an operator of class blue or green has reconciled a bridge of class %q", class)
		}
	}
}
