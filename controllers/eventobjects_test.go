// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// reportSwitches reports a number of switches between the two remote servers, and waits until
// the operator has seen each of them.
func reportSwitches(t *testing.T, b *v1alpha1.MQTTBridge, pod string, count int64) {
	t.Helper()
	for n := int64(1); n <= count; n++ {
		remote := switched(n, time.Now()).bridge.Status.Remote
		applyReport(t, b, pod, localUp(), remote)
		status, reason := metav1.ConditionTrue, v1alpha1.ReasonActiveOnBackup
		if n%2 == 0 {
			status, reason = metav1.ConditionFalse, v1alpha1.ReasonActiveOnPrimary
		}
		awaitCondition(t, b, v1alpha1.ConditionDegraded, status, reason)
	}
}

func TestEventObjects_BridgeThatSwitchesAllTheTime_AreBounded(t *testing.T) {
	b, pod := forwardingBridge(t)
	const count = 3 * eventBurst
	reportSwitches(t, b, pod.Name, count)
	awaitIdle(t, b)
	if got := awaitEvents(t, b, eventBurst); len(got) > eventBurst+1 { // the test can last longer than eventInterval
		t.Fatalf("%d Event objects for %d switches: %q", len(got), count, got)
	}

	restarted := &Reconciler{
		Client: operator.Client, APIReader: operator.APIReader, Recorder: operator.Recorder, RunnerImage: testRunnerImage, ClusterID: operator.ClusterID,
		Now: func() time.Time { return time.Now().Add(eventInterval) },
	}
	result, err := restarted.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(b)})
	if err != nil || result.RequeueAfter > eventInterval {
		t.Fatalf("the pass ends with %v, %+v", err, result)
	}
	got := awaitEvents(t, b, eventBurst+1)
	if last := got[len(got)-1]; !strings.Contains(last, " more switches of this side since ") {
		t.Errorf("the event after the wait does not give the number of the switches before: %s", last)
	}
}

func TestEventObjects_TwoServersFailAtOnce_EachHasItsOwnNote(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	b.Spec.Remote.Backups = append(b.Spec.Remote.Backups, v1alpha1.Server{URL: "mqtt://c:1883"})
	create(t, b)
	pod := runnerPod(b, "plant-bridge-1")
	createPod(t, pod)
	completeRollout(t, b)
	remote := remoteStandbyFailed(epoch)
	remote.Servers = append(remote.Servers, serverStatus("backup-2", "mqtt://c:1883", v1alpha1.ServerFailed, v1alpha1.ReasonConnectTimeout, "no answer"))
	applyReport(t, b, pod.Name, localUp(), remote)
	got := strings.Join(awaitEvents(t, b, 2), "\n")
	for _, server := range []string{"backup-1", "backup-2"} {
		if !strings.Contains(got, "cannot fail over to "+server) {
			t.Errorf("no event names %s: %s", server, got)
		}
	}
}

func TestEventObjects_RunnerOutOfMemory_IsAnnouncedOnceWithEachEnd(t *testing.T) {
	b, pod := forwardingBridge(t)
	for restarts := range int32(2) {
		finished := metav1.NewTime(pod.CreationTimestamp.Add(time.Duration(restarts+1) * time.Minute))
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: runnerName, RestartCount: restarts + 1, Ready: true, Started: ptr.To(true),
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: finished}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: 137, Reason: "OOMKilled", StartedAt: pod.CreationTimestamp, FinishedAt: finished,
			}},
		}}
		updatePodStatus(t, pod)
		awaitEvents(t, b, int(restarts)+1)
	}
	awaitIdle(t, b)
	restarted := &Reconciler{Client: operator.Client, APIReader: operator.APIReader, Recorder: operator.Recorder, RunnerImage: testRunnerImage, ClusterID: operator.ClusterID, Now: time.Now}
	if _, err := restarted.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(b)}); err != nil {
		t.Fatal(err)
	}
	got := slices.DeleteFunc(awaitEvents(t, b, 2), func(e string) bool { return !strings.Contains(e, v1alpha1.EventRunnerTerminated) })
	if len(got) != 2 || !strings.Contains(got[0], "restarts of this pod: 1") || !strings.Contains(got[1], "restarts of this pod: 2") {
		t.Errorf("events %q; want one for each end of the runner", got)
	}
}
