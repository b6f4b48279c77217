// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"maps"

	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
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

// Annotations of the Deployment. With them, the operator decides whether the user or the
// operator itself has changed the pod template, and continues a roll-out after a restart.
const (
	// annotationPodSpecHash is the hash of the part of the spec that the pod depends on. Its name
	// differs from annotationEarlierSpecHash, so that an upgrade is not treated as a change by the
	// user of each bridge.
	annotationPodSpecHash = "mqttbridge.io/pod-spec-hash"
	// annotationEarlierSpecHash is the hash of a larger part of the spec, which an earlier operator
	// has set. It stays until the pod template is of this version.
	annotationEarlierSpecHash = "mqttbridge.io/spec-hash"
	// annotationTemplateHash is the hash of the pod template as the operator applied it. The
	// manifest has it, too.
	annotationTemplateHash = manifest.AnnotationTemplateHash
	// annotationRevision is the revision of the operator that made the pod template.
	annotationRevision = "mqttbridge.io/operator-revision"
)

// annotationRunners is an annotation of the Deployment: the number of runners for which its pod
// template was made. It is absent for one runner, which is no member of a group.
const annotationRunners = "mqttbridge.io/runners"

// labelHealthBefore is a label of the Deployment. It is present from the time at which a
// roll-out replaces the pod, until the bridge is as healthy as before. Its value is the bridge's
// health before. It is a label, because a changed annotation gives a Deployment a new
// generation, and because users can select the Deployments that have it.
const labelHealthBefore = "mqttbridge.io/health-before-rollout"

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

// childName returns the name of every child of the bridge called name.
func childName(name string) string { return v1alpha1.ChildName(name) }

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
