// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Otherwise a user could set the fingerprint of a child, so that the operator does not restore
// it.
func TestFingerprintPrefix_AsGenerateName_IsRefusedByTheAPIServer(t *testing.T) {
	ns := namespace(t)
	for _, kind := range childKinds {
		obj := kind.newObject()
		obj.SetNamespace(ns)
		obj.SetName("plant-bridge")
		obj.SetGenerateName(fingerprintPrefix + "0123456789abcdef")
		err := server.Client.Create(t.Context(), obj, client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), "metadata.generateName") {
			t.Errorf("%s: %v; want a refused generateName", kind.gvk.Kind, err)
		}
	}
}

// A user who sets the label of a roll-out must not hold up the roll-outs of all bridges.
func TestFleet_LabelSetByUser_BridgeDoesNotRecover(t *testing.T) {
	b, _ := forwardingBridge(t)
	merge(t, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: childName(b.Name)}},
		`{"metadata":{"labels":{"`+labelHealthBefore+`":"Ready"}}}`)
	awaitIdle(t, b)
	operator.fleet.mu.Lock()
	defer operator.fleet.mu.Unlock()
	if m, ok := operator.fleet.members[client.ObjectKeyFromObject(b)]; !ok || m.recovering {
		t.Errorf("the member is %+v, found: %t; want a bridge that does not recover", m, ok)
	}
}
