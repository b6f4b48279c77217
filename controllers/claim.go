// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const (
	claimKind = "PersistentVolumeClaim"

	dataDir = "/var/lib/mqttbridge"
)

// disk returns the bridge's buffer on disk, or nil if it has none.
func disk(b *v1alpha1.MQTTBridge) *v1alpha1.DiskBuffer {
	if b.Spec.Buffer == nil {
		return nil
	}
	return b.Spec.Buffer.Disk
}

// claim returns the claim for the volume of the buffer on disk.
func claim(b *v1alpha1.MQTTBridge, d *v1alpha1.DiskBuffer) *corev1ac.PersistentVolumeClaimApplyConfiguration {
	spec := corev1ac.PersistentVolumeClaimSpec().
		WithAccessModes(corev1.ReadWriteOnce).
		WithResources(corev1ac.VolumeResourceRequirements().
			WithRequests(corev1.ResourceList{corev1.ResourceStorage: *d.Size}))
	if d.StorageClassName != "" {
		spec.WithStorageClassName(d.StorageClassName)
	}
	return corev1ac.PersistentVolumeClaim(childName(b.Name), b.Namespace).
		WithLabels(childLabels(b.Name)).
		WithOwnerReferences(ownerReference(b)).
		WithSpec(spec)
}

// mountClaim mounts the volume of the buffer on disk in the runner.
func mountClaim(b *v1alpha1.MQTTBridge, spec *corev1ac.PodSpecApplyConfiguration, container *corev1ac.ContainerApplyConfiguration) {
	const name = "data"
	spec.WithVolumes(corev1ac.Volume().WithName(name).
		WithPersistentVolumeClaim(corev1ac.PersistentVolumeClaimVolumeSource().WithClaimName(childName(b.Name))))
	// With the default policy, every start would change the group of all files of the
	// volume.
	spec.SecurityContext.WithFSGroupChangePolicy(corev1.FSGroupChangeOnRootMismatch)
	container.WithArgs("--data=" + dataDir).
		WithVolumeMounts(corev1ac.VolumeMount().WithName(name).WithMountPath(dataDir))
}

// expanding returns a message if the volume is smaller than requested, and an empty string
// otherwise.
func expanding(o *observation) string {
	c := o.claim
	if c == nil || disk(o.bridge) == nil || c.Status.Phase != corev1.ClaimBound {
		return ""
	}
	wanted, has := c.Spec.Resources.Requests.Storage(), c.Status.Capacity.Storage()
	if has.Cmp(*wanted) >= 0 {
		return ""
	}
	return fmt.Sprintf(msgExpanding, c.Name, has, wanted)
}

// claimTrouble returns why the buffer has no volume, and whether a user must act to provide
// it. It returns an empty string if the buffer has a volume, or if no buffer on disk is
// wanted.
func claimTrouble(o *observation) (trouble string, stuck bool) {
	c := o.claim
	if c == nil || disk(o.bridge) == nil || c.Status.Phase == corev1.ClaimBound {
		return "", false
	}
	switch class := ptr.Deref(c.Spec.StorageClassName, ""); {
	case c.Status.Phase == corev1.ClaimLost:
		return fmt.Sprintf(msgVolumeLost, c.Name, c.Spec.VolumeName), true
	case class == "":
		// If the cluster had a default class, the API server would have set it.
		return fmt.Sprintf(msgNoClass, c.Name), true
	default:
		return fmt.Sprintf(msgClaimPending, c.Name, class), false
	}
}
