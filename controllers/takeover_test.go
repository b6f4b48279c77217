// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2/textlogger"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// denyMarks makes the API server refuse the cost of the deletion of pods in the bridge's namespace.
func denyMarks(t *testing.T, b *v1alpha1.MQTTBridge, pod *corev1.Pod) {
	t.Helper()
	const message = "costs are not permitted"
	permitOnly(t, b, "", "pods/status", "!has(object.metadata.annotations) || !('"+corev1.PodDeletionCost+"' in object.metadata.annotations)", message)
	mark := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"`+corev1.PodDeletionCost+`":"1"}}}`))
	apiserver.Eventually(t, "the policy takes effect", func(ctx context.Context) (bool, error) {
		err := server.Client.Status().Patch(ctx, pod.DeepCopy(), mark, client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), message), nil
	})
}

func TestMarkActive_Refused_IsLoggedOncePerChangeAndFailsNoPass(t *testing.T) {
	b := twoRunners(namespace(t))
	b.Spec.ClassName = "review"
	create(t, b)
	operatorOf("review", testRunnerImage).passUntil(t, b, "a reconciled bridge", wasObserved(b))
	pod := runnerPod(b, testPod)
	createPod(t, pod)
	createPod(t, runnerPod(b, standbyPod))
	completeRollout(t, b)
	denyMarks(t, b, pod)

	var text strings.Builder
	ctx := log.IntoContext(t.Context(), textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&text))))
	r := operatorOf("review", testRunnerImage)
	passes := func(active, standby string, logged int) {
		t.Helper()
		reportPair(t, b, active, standby, true, nil) //nolint:contextcheck // it uses the test's context
		for range 3 {
			apiserver.Eventually(t, "a current cache", func(ctx context.Context) (bool, error) { return cacheIsCurrent(ctx, b) }) //nolint:contextcheck // it uses the test's context
			if _, err := r.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(b)}); err != nil {
				t.Fatalf("the refused annotation fails the pass: %v", err)
			}
		}
		if got := strings.Count(text.String(), "the API server refuses the annotation about the active runner"); got != logged {
			t.Errorf("after the reports of %s, the refusal is logged %d times, want %d:\n%s", active, got, logged, text.String())
		}
	}
	passes(testPod, standbyPod, 1)
	passes(standbyPod, testPod, 2)
	if got := costs(t, b); got[testPod] != "" || got[standbyPod] != "" {
		t.Errorf("the costs of the deletion are %v, although the API server refuses them", got)
	}
	awaitCondition(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonForwarding)
	r.forget(client.ObjectKeyFromObject(b))
	if len(r.marks.logged) > 0 {
		t.Errorf("the operator remembers %v of a bridge that it does not reconcile any more", r.marks.logged)
	}
}

// The deleted pod drains and does not hand over. Nothing but the time changes.
func TestTwoRunners_ActivePodDrainsForLong_IsNotReadyAfterTwoSeconds(t *testing.T) {
	b := twoRunners(namespace(t))
	create(t, b)
	active := runnerPod(b, testPod)
	active.Spec.NodeName, active.Spec.TerminationGracePeriodSeconds = "node-1", ptr.To[int64](drainSeconds)
	createPod(t, active)
	createPod(t, runnerPod(b, standbyPod))
	completeRollout(t, b)
	reportPair(t, b, testPod, standbyPod, true, nil)
	awaitCondition(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonForwarding)
	begin := time.Now()
	if err := server.Client.Delete(t.Context(), active); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, b, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRunnerNotRunning)
	// The API server cuts the fractions of a second of the time of the deletion.
	if took := time.Since(begin); took < handOverTime-time.Second || took > handOverTime+2*time.Second {
		t.Errorf("Ready was True for %s after the deletion, want at most %s", took, handOverTime)
	}
	reportPair(t, b, standbyPod, testPod, false, nil)
	awaitCondition(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonForwarding)
}
