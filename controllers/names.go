// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"maps"

	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// FieldOwner is the field manager of the children and of the operator's part of the status
// (server-side apply).
const FieldOwner = "mqttbridge-operator"

// The labels of the children, as Kubernetes recommends. Name and instance select the pods
// and never change.
const (
	labelName      = "app.kubernetes.io/name"
	labelInstance  = "app.kubernetes.io/instance"
	labelComponent = "app.kubernetes.io/component"
	labelPartOf    = "app.kubernetes.io/part-of"
	labelManagedBy = "app.kubernetes.io/managed-by"
)

// annotationManifestHash is an annotation of the pod template: the hash of the bridge.yaml
// that the pod starts with, without its annotations. A changed spec changes the template,
// so that the pod is replaced.
const annotationManifestHash = "mqttbridge.io/manifest-hash"

// annotationRequestsHash is an annotation of a pod: the hash of the switch requests that
// its ConfigMap holds.
const annotationRequestsHash = "mqttbridge.io/requests-hash"

// annotationBridgeUID is an annotation of a claim: the UID of the bridge that uses it. If it
// differs from the UID of the bridge, the claim was retained when an earlier bridge was
// deleted.
const annotationBridgeUID = "mqttbridge.io/bridge-uid"

const (
	runnerName    = "bridge-runner"
	managedByName = "mqttbridge-operator"
	partOfName    = "mqttbridge"
	bridgeKind    = "MQTTBridge"
)

// childName returns the name of every child of the bridge called name. A bridge's name has
// at most 52 characters, so that a child's name fits into the 63 characters after which
// Kubernetes cuts a pod's host name.
func childName(name string) string { return name + "-bridge" }

// selectorLabels returns the labels that select the pods of the bridge called name.
func selectorLabels(name string) map[string]string {
	return map[string]string{labelName: runnerName, labelInstance: name}
}

// childLabels returns the labels of every child of the bridge called name, and of its pods.
func childLabels(name string) map[string]string {
	labels := map[string]string{
		labelComponent: runnerName,
		labelPartOf:    partOfName,
		labelManagedBy: managedByName,
	}
	maps.Copy(labels, selectorLabels(name))
	return labels
}

// ownerReference makes the bridge the controller of a child. It does not block the bridge's
// deletion: that would require the right to update finalizers, and nothing waits for the
// deletion of the children.
func ownerReference(b *v1alpha1.MQTTBridge) *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).
		WithKind(bridgeKind).
		WithName(b.Name).
		WithUID(b.UID).
		WithController(true)
}
