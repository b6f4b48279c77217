// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

func withRetainPolicy(b *v1alpha1.MQTTBridge, policy v1alpha1.ClaimRetainPolicy) {
	b.Spec.Buffer.Disk.RetainPolicy = &policy
}

func TestClaim_RetainPolicy_DecidesWhetherTheClaimHasAnOwner(t *testing.T) {
	b := boundBridge(t, storageClass(t, true))
	owned := func(c *corev1.PersistentVolumeClaim) bool { return metav1.IsControlledBy(c, b) }
	b = update(t, b, func(b *v1alpha1.MQTTBridge) { withRetainPolicy(b, v1alpha1.ClaimDelete) })
	awaitClaim(t, b, "an owner", owned)
	awaitIdle(t, b)
	b = update(t, b, func(b *v1alpha1.MQTTBridge) { withRetainPolicy(b, v1alpha1.ClaimRetain) })
	awaitClaim(t, b, "no owner", func(c *corev1.PersistentVolumeClaim) bool { return !owned(c) })
	awaitIdle(t, b)
}

// deleteBridge deletes a bridge and the children that it owns, as the garbage collector does.
func deleteBridge(t *testing.T, b *v1alpha1.MQTTBridge) {
	t.Helper()
	var owned []client.Object
	for _, kind := range childKinds {
		list := kind.newList()
		if err := server.Client.List(t.Context(), list, client.InNamespace(b.Namespace)); err != nil {
			t.Fatal(err)
		}
		items, err := meta.ExtractList(list)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			if obj, ok := item.(client.Object); ok && metav1.IsControlledBy(obj, b) {
				owned = append(owned, obj)
			}
		}
	}
	if err := server.Client.Delete(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	awaitBridge(t, b, "no bridge", func(got *v1alpha1.MQTTBridge) bool { return got == nil })
	for _, obj := range owned {
		if err := client.IgnoreNotFound(server.Client.Delete(t.Context(), obj)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClaim_RetainedByEarlierBridge_IsAdoptedWithAnEvent(t *testing.T) {
	for _, policy := range []v1alpha1.ClaimRetainPolicy{v1alpha1.ClaimRetain, v1alpha1.ClaimDelete} {
		t.Run(string(policy), func(t *testing.T) {
			class := storageClass(t, true)
			earlier := boundBridge(t, class)
			awaitIdle(t, earlier)
			retained := awaitClaim(t, earlier, "the claim", func(*corev1.PersistentVolumeClaim) bool { return true })
			deleteBridge(t, earlier)

			b := newBridge(earlier.Namespace, "plant")
			withDisk(b, "1Gi", class)
			withRetainPolicy(b, policy)
			create(t, b)
			claim := awaitClaim(t, b, "the UID of the new bridge", func(c *corev1.PersistentVolumeClaim) bool {
				return c.Annotations[annotationBridgeUID] == string(b.UID)
			})
			if claim.UID != retained.UID || claim.Spec.VolumeName != retained.Spec.VolumeName {
				t.Errorf("the claim is %s with the volume %s; want the claim of the earlier bridge", claim.UID, claim.Spec.VolumeName)
			}
			if metav1.IsControlledBy(claim, b) != (policy == v1alpha1.ClaimDelete) {
				t.Errorf("the owners are %+v", claim.OwnerReferences)
			}
			awaitDeployment(t, b, "the mount", func(d *appsv1.Deployment) bool {
				return d != nil && metav1.IsControlledBy(d, b) && slices.Contains(d.Spec.Template.Spec.Containers[0].Args, "--data="+dataDir)
			})
			awaitIdle(t, b)
			var adopted []string
			for _, e := range awaitEvents(t, b, 1) {
				if strings.HasPrefix(e, "Normal ClaimAdopted the bridge uses PersistentVolumeClaim plant-bridge of an earlier bridge") {
					adopted = append(adopted, e)
				}
			}
			if len(adopted) != 1 {
				t.Errorf("events of the adoption: %q, want 1", adopted)
			}
		})
	}
}

func TestClaim_OfAnotherOwner_IsNotAdopted(t *testing.T) {
	for name, change := range map[string]func(*corev1.PersistentVolumeClaim){
		"without the labels": func(c *corev1.PersistentVolumeClaim) { c.Labels = nil },
		"with another owner": func(c *corev1.PersistentVolumeClaim) {
			c.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "x", UID: "y"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(namespace(t), "plant")
			withDisk(b, "1Gi", "")
			claim := &corev1.PersistentVolumeClaim{
				ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: childName(b.Name), Labels: childLabels(b.Name)},
				Spec: corev1.PersistentVolumeClaimSpec{
					AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
					Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: *b.Spec.Buffer.Disk.Size}},
				},
			}
			change(claim)
			create(t, claim)
			create(t, b)
			got := awaitCondition(t, b, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonApplyFailed)
			if message := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled).Message; !strings.Contains(message, "does not belong to this bridge") {
				t.Errorf("Stalled says %q", message)
			}
		})
	}
}

func TestClaim_Existing_IsMountedAndNoneIsCreated(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	withDisk(b, "1Gi", "")
	b.Spec.Buffer.Disk.ExistingClaim = "mine"
	create(t, b)
	d := awaitDeployment(t, b, "the Deployment", func(d *appsv1.Deployment) bool { return d != nil })
	pod := d.Spec.Template.Spec
	if !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == "mine"
	}) || !slices.Contains(pod.Containers[0].Args, "--data="+dataDir+"/plant") {
		t.Errorf("the pod is %+v", pod)
	}
	awaitIdle(t, b)
	err := server.Client.Get(t.Context(), client.ObjectKey{Namespace: b.Namespace, Name: childName(b.Name)}, &corev1.PersistentVolumeClaim{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the operator has created a claim: %v", err)
	}
}
