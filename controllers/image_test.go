// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const mirrorImage = "mirror.example/mqttbridge-operator:v1"

// podWithImage returns a pod whose images an admission webhook has changed: it has added a
// sidecar, and has replaced the runner's image.
func podWithImage(b *v1alpha1.MQTTBridge, name, image string) *corev1.Pod {
	pod := runnerPod(b, name)
	pod.Spec.Containers[0].Image = image
	pod.Spec.Containers = append([]corev1.Container{{Name: "sidecar", Image: "mesh.example/proxy:v1"}}, pod.Spec.Containers...)
	return pod
}

// awaitImage waits until the status shows the image of a pod.
func awaitImage(t *testing.T, b *v1alpha1.MQTTBridge, pod, image string) *v1alpha1.MQTTBridge {
	t.Helper()
	return awaitBridge(t, b, "image "+image+" of pod "+pod, func(got *v1alpha1.MQTTBridge) bool {
		checkImageHasPod(t, got)
		r := got.Status.ActiveRunner()
		return r != nil && r.Pod == pod && r.Image == image && len(got.Status.Runners) == 1
	})
}

// checkImageHasPod checks that the status has no image without the report of its pod.
func checkImageHasPod(t *testing.T, b *v1alpha1.MQTTBridge) {
	t.Helper()
	if b.Status.ActiveRunner() == nil && len(b.Status.Runners) > 0 {
		t.Errorf("the status has the runners %+v without a report", b.Status.Runners)
	}
}

func TestRunnerImage_ReportingPod_IsTheImageOfItsSpec(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	create(t, b)
	statusWrites := func() int {
		return len(operatorIO.matching("/namespaces/"+b.Namespace+"/mqttbridges/", http.MethodPatch))
	}
	pod := podWithImage(b, "plant-bridge-1", mirrorImage)
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: runnerName, Image: "docker.example/resolved:v1"}}
	createPod(t, pod)
	completeRollout(t, b)
	applyReport(t, b, pod.Name, localUp(), remoteOnPrimary())
	awaitImage(t, b, pod.Name, mirrorImage)

	awaitIdle(t, b)
	before := statusWrites()
	applyReport(t, b, pod.Name, localUp(), remoteOnBackup())
	b = awaitCondition(t, b, v1alpha1.ConditionDegraded, metav1.ConditionTrue, v1alpha1.ReasonActiveOnBackup)
	if got := b.Status.ActiveRunner().Image; got != mirrorImage {
		t.Errorf("after another report, the image is %q", got)
	}
	awaitIdle(t, b)
	if n := statusWrites() - before; n != 1 {
		t.Errorf("another report caused %d writes of the status; want 1", n)
	}

	const changed = "registry.example/changed:v2"
	pod.Spec.Containers[1].Image = changed // as kubectl set image does
	if err := server.Client.Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	awaitImage(t, b, pod.Name, changed)
}

func TestRunnerImage_ReportOfAnotherPod_IsTheImageOfThatPod(t *testing.T) {
	b, first := forwardingBridge(t)
	awaitImage(t, b, first.Name, testRunnerImage)
	second := podWithImage(b, "plant-bridge-2", mirrorImage)
	createPod(t, second)
	awaitIdle(t, b)
	awaitImage(t, b, first.Name, testRunnerImage)
	applyReport(t, b, second.Name, localUp(), remoteOnPrimary())
	awaitImage(t, b, second.Name, mirrorImage)
	applyReport(t, b, first.Name, localUp(), remoteOnPrimary()) // the reports have no order without podTime
	awaitImage(t, b, first.Name, testRunnerImage)
}

func TestRunnerImage_ReportCleared_IsNeverAlone(t *testing.T) {
	b, pod := forwardingBridge(t)
	awaitImage(t, b, pod.Name, testRunnerImage)
	if err := server.Client.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	awaitBridge(t, b, "no report", func(got *v1alpha1.MQTTBridge) bool {
		checkImageHasPod(t, got)
		return len(got.Status.Runners) == 0
	})
	awaitIdle(t, b)
}

// A client with rights on the status may leave a part of a report, or invent one.
func TestRunnerImage_WithoutReport_IsRemoved(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	create(t, b)
	awaitCondition(t, b, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRunnerNotRunning)
	patch := client.RawPatch(types.MergePatchType, []byte(`{"status":{"runners":[{"pod":"invented","image":"`+mirrorImage+`"}]}}`))
	if err := server.Client.Status().Patch(t.Context(), b.DeepCopy(), patch); err != nil {
		t.Fatal(err)
	}
	awaitBridge(t, b, "no image, and no report", func(got *v1alpha1.MQTTBridge) bool { return len(got.Status.Runners) == 0 })
	awaitIdle(t, b)
}

// The status of another client, such as a tool that restores backups, does not keep its image.
func TestRunnerImage_OwnedByAnotherClient_IsReplaced(t *testing.T) {
	b, pod := forwardingBridge(t)
	patch := client.RawPatch(types.MergePatchType, []byte(`{"status":{"runners":[{"pod":"`+pod.Name+`","role":"Active","image":"invented.example/runner:v9"},{"pod":"invented"}]}}`))
	if err := server.Client.Status().Patch(t.Context(), b.DeepCopy(), patch); err != nil {
		t.Fatal(err)
	}
	awaitImage(t, b, pod.Name, testRunnerImage)
	got := awaitBridge(t, b, "the conditions", func(*v1alpha1.MQTTBridge) bool { return true })
	if meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReady) == nil {
		t.Errorf("the status lost conditions: %+v", got.Status.Conditions)
	}
	awaitIdle(t, b)
}

func TestStripPod_CalledTwice_KeepsTheRunnersImage(t *testing.T) {
	long := strings.Repeat("é", maxImage)
	for name, tt := range map[string]struct{ image, want string }{
		"an image":     {mirrorImage, mirrorImage},
		"a long image": {"i" + long, "i" + long[:maxImage-2]}, // the cut character is removed
	} {
		pod := podWithImage(newBridge("default", "plant"), "plant-bridge-1", tt.image)
		pod.GenerateName = "plant-bridge-5d8c6-"
		for range 2 {
			if _, err := stripPod(pod); err != nil {
				t.Fatal(err)
			}
			if got := imageOf(pod); got != tt.want {
				t.Errorf("%s: the image in the cache is %q; want %q", name, got, tt.want)
			}
		}
	}
}
