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

// disk is the bridge's buffer on disk, nil where it wants none.
func disk(b *v1alpha1.MQTTBridge) *v1alpha1.DiskBuffer {
	if b.Spec.Buffer == nil {
		return nil
	}
	return b.Spec.Buffer.Disk
}

// claim asks for the volume of the buffer on disk.
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

// mountClaim gives the runner the volume of the buffer on disk.
func mountClaim(b *v1alpha1.MQTTBridge, spec *corev1ac.PodSpecApplyConfiguration, container *corev1ac.ContainerApplyConfiguration) {
	const name = "data"
	spec.WithVolumes(corev1ac.Volume().WithName(name).
		WithPersistentVolumeClaim(corev1ac.PersistentVolumeClaimVolumeSource().WithClaimName(childName(b.Name))))
	// Without it every start would go through all files of the volume.
	spec.SecurityContext.WithFSGroupChangePolicy(corev1.FSGroupChangeOnRootMismatch)
	container.WithArgs("--data=" + dataDir).
		WithVolumeMounts(corev1ac.VolumeMount().WithName(name).WithMountPath(dataDir))
}

// expanding says that the volume is smaller than the spec wants it, and is empty where
// it is not.
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

// claimTrouble says why the buffer has no volume, and whether someone has to act for
// it to get one. It is empty where there is a volume, or none is wanted.
func claimTrouble(o *observation) (trouble string, stuck bool) {
	c := o.claim
	if c == nil || disk(o.bridge) == nil || c.Status.Phase == corev1.ClaimBound {
		return "", false
	}
	switch class := ptr.Deref(c.Spec.StorageClassName, ""); {
	case c.Status.Phase == corev1.ClaimLost:
		return fmt.Sprintf(msgVolumeLost, c.Name, c.Spec.VolumeName), true
	case class == "":
		// The API server gives a claim the default class where there is one.
		return fmt.Sprintf(msgNoClass, c.Name), true
	default:
		return fmt.Sprintf(msgClaimPending, c.Name, class), false
	}
}
