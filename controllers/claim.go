// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

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

// hasOwnClaim reports whether the bridge has a buffer on disk whose claim the operator
// creates.
func hasOwnClaim(b *v1alpha1.MQTTBridge) bool {
	d := disk(b)
	return d != nil && d.ExistingClaim == ""
}

// claim returns the claim for the volume of the buffer on disk. A claim that is retained has
// no owner, so that the garbage collector does not delete it with the bridge.
func claim(b *v1alpha1.MQTTBridge, d *v1alpha1.DiskBuffer) *corev1ac.PersistentVolumeClaimApplyConfiguration {
	modes := d.AccessModes
	if len(modes) == 0 {
		modes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	}
	spec := corev1ac.PersistentVolumeClaimSpec().
		WithAccessModes(modes...).
		WithResources(corev1ac.VolumeResourceRequirements().
			WithRequests(corev1.ResourceList{corev1.ResourceStorage: *d.Size}))
	if d.StorageClassName != "" {
		spec.WithStorageClassName(d.StorageClassName)
	}
	out := corev1ac.PersistentVolumeClaim(childName(b.Name), b.Namespace).
		WithLabels(childLabels(b.Name)).
		WithAnnotations(map[string]string{annotationBridgeUID: string(b.UID)}).
		WithSpec(spec)
	if ptr.Deref(d.RetainPolicy, v1alpha1.ClaimRetain) == v1alpha1.ClaimDelete {
		out.WithOwnerReferences(ownerReference(b))
	}
	return out
}

// retained reports whether a claim has been retained, by this bridge or an earlier one of the
// same name: it has the labels of the bridge's children and no owner.
func retained(b *v1alpha1.MQTTBridge, claim metav1.Object) bool {
	for key, value := range childLabels(b.Name) {
		if claim.GetLabels()[key] != value {
			return false
		}
	}
	return len(claim.GetOwnerReferences()) == 0
}

// announceAdoption sends an event if the bridge has just taken over a claim of an earlier
// bridge of the same name. claim is the claim before that.
func (r *Reconciler) announceAdoption(b *v1alpha1.MQTTBridge, claim client.Object) {
	if !retained(b, claim) || claim.GetAnnotations()[annotationBridgeUID] == string(b.UID) {
		return
	}
	r.Recorder.Eventf(b, claim, corev1.EventTypeNormal, v1alpha1.EventClaimAdopted, actionAdoptClaim, msgClaimAdopted, claim.GetName())
}

// mountClaim mounts the volume of the buffer on disk in the runner.
func mountClaim(b *v1alpha1.MQTTBridge, spec *corev1ac.PodSpecApplyConfiguration, container *corev1ac.ContainerApplyConfiguration) {
	const name = "data"
	claimName, data := childName(b.Name), dataDir
	if existing := disk(b).ExistingClaim; existing != "" {
		// The directory separates the backlogs of bridges that use the same volume.
		claimName, data = existing, dataDir+"/"+b.Name
	}
	spec.WithVolumes(corev1ac.Volume().WithName(name).
		WithPersistentVolumeClaim(corev1ac.PersistentVolumeClaimVolumeSource().WithClaimName(claimName)))
	// With the default policy, every start would change the group of all files of the
	// volume.
	spec.SecurityContext.WithFSGroupChangePolicy(corev1.FSGroupChangeOnRootMismatch)
	container.WithArgs("--data=" + data).
		WithVolumeMounts(corev1ac.VolumeMount().WithName(name).WithMountPath(dataDir))
}

// expanding returns a message if the volume is smaller than requested, and an empty string
// otherwise.
func expanding(o *observation) string {
	c := o.claim
	if c == nil || !hasOwnClaim(o.bridge) || c.Status.Phase != corev1.ClaimBound {
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
	if c == nil || !hasOwnClaim(o.bridge) || c.Status.Phase == corev1.ClaimBound {
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
