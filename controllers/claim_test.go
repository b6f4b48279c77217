// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// storageClass creates a storage class for the test.
func storageClass(t *testing.T, expands bool) string {
	t.Helper()
	apiserver.Need(t, server)
	class := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "class-"}, Provisioner: "example.com/disks", AllowVolumeExpansion: &expands,
	}
	create(t, class)
	return class.Name
}

func awaitClaim(t *testing.T, b *v1alpha1.MQTTBridge, what string, wanted func(*corev1.PersistentVolumeClaim) bool) *corev1.PersistentVolumeClaim {
	t.Helper()
	return awaitChild(t, &corev1.PersistentVolumeClaimList{}, b, what, func(c *corev1.PersistentVolumeClaim) bool { return c != nil && wanted(c) })
}

// boundBridge creates a bridge whose claim of 1Gi has a volume.
func boundBridge(t *testing.T, class string) *v1alpha1.MQTTBridge {
	t.Helper()
	b := newBridge(namespace(t), "plant")
	withDisk(b, "1Gi", class)
	create(t, b)
	claim := awaitClaim(t, b, "the claim", func(*corev1.PersistentVolumeClaim) bool { return true })
	// The volume controller does this.
	claim.Spec.VolumeName = "pv-of-" + b.Namespace
	if err := server.Client.Update(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	claim.Status.Phase, claim.Status.AccessModes, claim.Status.Capacity = corev1.ClaimBound, claim.Spec.AccessModes, claim.Spec.Resources.Requests
	if err := server.Client.Status().Update(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	return b
}

func storage(c *corev1.PersistentVolumeClaim) string {
	return c.Spec.Resources.Requests.Storage().String()
}

func resize(t *testing.T, b *v1alpha1.MQTTBridge, size string) *v1alpha1.MQTTBridge {
	t.Helper()
	return update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Buffer.Disk.Size = ptr.To(resource.MustParse(size)) })
}

func TestClaim_BufferOnDisk_IsCreatedAndMounted(t *testing.T) {
	class := storageClass(t, true)
	b := boundBridge(t, class)
	claim := awaitClaim(t, b, "the claim", func(*corev1.PersistentVolumeClaim) bool { return true })
	if *claim.Spec.StorageClassName != class || storage(claim) != "1Gi" || !slices.Equal(claim.Spec.AccessModes, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}) {
		t.Errorf("the claim is %+v", claim.Spec)
	}
	if len(claim.OwnerReferences) > 0 {
		t.Errorf("the claim would be deleted with its owners %v", claim.OwnerReferences)
	}
	d := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	pod := d.Spec.Template.Spec
	if !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim.Name
	}) || !slices.Contains(pod.Containers[0].Args, "--data=/var/lib/mqttbridge") || !*pod.Containers[0].SecurityContext.ReadOnlyRootFilesystem {
		t.Errorf("the pod is %+v", pod)
	}
	awaitIdle(t, b) // Fails if the operator keeps writing.
}

func TestClaim_SuspendedOrNoLongerWanted_IsKept(t *testing.T) {
	b := boundBridge(t, storageClass(t, true))
	b = update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Suspend = ptr.To(true) })
	awaitDeployment(t, b, "no replicas", func(d *appsv1.Deployment) bool { return *d.Spec.Replicas == 0 })
	b = update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Buffer, b.Spec.Suspend = nil, nil })
	awaitDeployment(t, b, "no mount", func(d *appsv1.Deployment) bool {
		return *d.Spec.Replicas == 1 && !slices.Contains(d.Spec.Template.Spec.Containers[0].Args, "--data="+dataDir)
	})
	awaitIdle(t, b)
	claim := awaitClaim(t, b, "the claim", func(*corev1.PersistentVolumeClaim) bool { return true })
	if !claim.DeletionTimestamp.IsZero() || len(claim.OwnerReferences) > 0 {
		t.Errorf("the claim is %+v", claim.ObjectMeta)
	}
	update(t, b, func(b *v1alpha1.MQTTBridge) { withDisk(b, "1Gi", *claim.Spec.StorageClassName) })
	awaitDeployment(t, b, "the mount again", func(d *appsv1.Deployment) bool {
		return slices.Contains(d.Spec.Template.Spec.Containers[0].Args, "--data="+dataDir)
	})
}

func TestClaim_LargerSize_IsRequested(t *testing.T) {
	b := boundBridge(t, storageClass(t, true))
	resize(t, b, "2Gi")
	awaitClaim(t, b, "2Gi", func(c *corev1.PersistentVolumeClaim) bool { return storage(c) == "2Gi" })
}

func TestClaim_RejectedUpdate_SetsStalledAndKeepsBridgeRunning(t *testing.T) {
	for name, tt := range map[string]struct {
		expands bool
		change  func(*v1alpha1.DiskBuffer)
		message string
	}{
		"a smaller size": {true, func(d *v1alpha1.DiskBuffer) { d.Size = ptr.To(resource.MustParse("512Mi")) }, "field can not be less than status.capacity"},
		"a larger size of a class that does not expand": {
			false, func(d *v1alpha1.DiskBuffer) { d.Size = ptr.To(resource.MustParse("2Gi")) },
			"only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
		},
		"another class": {true, func(d *v1alpha1.DiskBuffer) { d.StorageClassName = "other" }, "spec is immutable after creation except resources.requests"},
	} {
		t.Run(name, func(t *testing.T) {
			b := boundBridge(t, storageClass(t, tt.expands))
			awaitIdle(t, b)
			before := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
			was := b.Spec.Buffer.Disk.DeepCopy()
			b = update(t, b, func(b *v1alpha1.MQTTBridge) {
				tt.change(b.Spec.Buffer.Disk)
				b.Spec.LocalToRemote[0].Topic = "x/${topic}"
			})
			got := awaitCondition(t, b, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonApplyFailed)
			message := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled).Message
			for _, want := range []string{"applying PersistentVolumeClaim plant-bridge: ", tt.message, "; the volume and the running bridge are unchanged; set spec.buffer.disk back"} {
				if !strings.Contains(message, want) {
					t.Errorf("Stalled says %q; want %q in it", message, want)
				}
			}
			after := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
			if before.Generation != after.Generation {
				t.Error("the Deployment has changed")
			}
			b = update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Buffer.Disk = was })
			awaitBridge(t, b, "no longer stalled", func(got *v1alpha1.MQTTBridge) bool {
				return meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled) == nil
			})
		})
	}
}

func TestClaim_NoStorageClass_StallsUntilAClassIsSet(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	withDisk(b, "1Gi", "")
	create(t, b)
	awaitClaim(t, b, "the claim", func(*corev1.PersistentVolumeClaim) bool { return true })
	completeRollout(t, b)
	pod := runnerPod(b, "plant-bridge-1")
	pod.Status = unscheduledStatus()
	createPod(t, pod)
	got := awaitCondition(t, b, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonVolumeMissing)
	if message := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReady).Message; !strings.Contains(message, "name a class in spec.buffer.disk.storageClassName") {
		t.Errorf("Ready says %q", message)
	}
	class := storageClass(t, true)
	b = update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Buffer.Disk.StorageClassName = class })
	awaitClaim(t, b, "the class", func(c *corev1.PersistentVolumeClaim) bool { return ptr.Deref(c.Spec.StorageClassName, "") == class })
	awaitBridge(t, b, "no longer stalled", func(got *v1alpha1.MQTTBridge) bool {
		return meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled) == nil
	})
}

func TestClaim_Deleted_IsCreatedFromTheCurrentSpec(t *testing.T) {
	b := boundBridge(t, storageClass(t, true))
	b = update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Suspend = ptr.To(true) })
	other := storageClass(t, true)
	b = update(t, b, func(b *v1alpha1.MQTTBridge) { withDisk(b, "512Mi", other) })
	awaitCondition(t, b, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonApplyFailed)
	old := awaitClaim(t, b, "the claim", func(*corev1.PersistentVolumeClaim) bool { return true })
	if err := server.Client.Delete(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	// The controller that protects claims does this when no pod uses the claim.
	merge(t, old, `{"metadata":{"$deleteFromPrimitiveList/finalizers":["kubernetes.io/pvc-protection"]}}`)
	awaitClaim(t, b, "another claim", func(c *corev1.PersistentVolumeClaim) bool {
		return c.UID != old.UID && *c.Spec.StorageClassName == other && storage(c) == "512Mi"
	})
	awaitBridge(t, b, "no longer stalled", func(got *v1alpha1.MQTTBridge) bool {
		return meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled) == nil
	})
}

func TestRights_OperatorDeletesClaim_IsForbidden(t *testing.T) {
	b := boundBridge(t, storageClass(t, true))
	claim := awaitClaim(t, b, "the claim", func(*corev1.PersistentVolumeClaim) bool { return true })
	if err := operator.Client.Delete(t.Context(), claim, client.DryRunAll); err == nil {
		t.Error("the operator may delete a claim")
	}
}

func TestBuild_BufferOnDisk_OrdersClaimFirst(t *testing.T) {
	b := newBridge("default", "plant")
	withDisk(b, "1Gi", "")
	b.Spec.Suspend = ptr.To(true)
	c, ok := built(t, b)[0].(*corev1ac.PersistentVolumeClaimApplyConfiguration)
	if !ok || c.Spec.StorageClassName != nil {
		t.Errorf("the first child is %+v; want a claim of the default class", c)
	}
}
