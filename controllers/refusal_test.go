// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// refusedManifest adds the runner's refusal of the manifest of generation 4, which is the latest.
func refusedManifest(o *observation) {
	generation4(o)
	o.bridge.Status.ActiveRunner().Refused = &v1alpha1.RefusedManifest{Generation: 4, Message: "spec.buffer.disk needs --data"}
}

func TestManifest_RefusedByTheRunner_StallsUntilTheSpecIsCorrected(t *testing.T) {
	b, pod := forwardingBridge(t)
	b = update(t, b, newTopic)
	report := func(runner *v1alpha1.RunnerStatus) {
		t.Helper()
		runner.Pod, runner.StartTime = pod.Name, metav1.NewTime(epoch)
		if err := tryReport(t, b, runner, localUp(), remoteOnPrimary()); err != nil {
			t.Fatal(err)
		}
	}
	report(&v1alpha1.RunnerStatus{Generation: 1, Refused: &v1alpha1.RefusedManifest{Generation: 2, Message: "the topic is not possible"}})
	got := awaitCondition(t, b, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonManifestRefused)
	const want = "runner pod plant-bridge-1 cannot apply generation 2, and continues with generation 1: the topic is not possible; correct the spec"
	if message := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled).Message; !strings.HasPrefix(message, want) {
		t.Errorf("Stalled says %q; want %q", message, want)
	}
	ready := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReady)
	if ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != 1 || !strings.Contains(ready.Message, "; generation 2 is not in effect: ManifestRefused: "+want) {
		t.Errorf("Ready is %+v", ready)
	}
	awaitIdle(t, b)
	if events := awaitEvents(t, b, 1); len(events) != 1 || !strings.HasPrefix(events[0], "Warning ManifestRefused "+want) {
		t.Errorf("events: %q", events)
	}
	b = update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.LocalToRemote[0].Topic = "y/${topic}" })
	awaitCondition(t, b, v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing)
	report(&v1alpha1.RunnerStatus{Generation: 3})
	awaitBridge(t, b, "nothing left to do", func(got *v1alpha1.MQTTBridge) bool {
		return conditionIs(got, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonForwarding) &&
			meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled) == nil &&
			meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReconciling) == nil
	})
}

func TestStalled_RefusedManifest_CountsOnlyOfTheCurrentPodAndGeneration(t *testing.T) {
	for name, tt := range map[string]struct {
		given *observation
		want  string // the reason of Stalled; empty if it is absent
	}{
		"the latest generation":  {observed(refusedManifest), v1alpha1.ReasonManifestRefused},
		"an earlier generation":  {observed(refusedManifest, func(o *observation) { o.bridge.Generation = 5 }), ""},
		"the pod is deleted":     {observed(refusedManifest, func(o *observation) { o.pods[0].DeletionTimestamp = ptr.To(metav1.NewTime(epoch)) }), ""},
		"the pod is gone":        {observed(refusedManifest, noPods), ""},
		"the Deployment changes": {observed(refusedManifest, func(o *observation) { o.deployment.Generation++ }), ""},
		"the next pod starts": {observed(refusedManifest, func(o *observation) {
			next := runnerPod(o.bridge, "plant-bridge-2")
			next.CreationTimestamp = metav1.NewTime(epoch.Add(time.Minute))
			o.pods = append(o.pods, *next)
		}), ""},
		"the container fails, too": {observed(refusedManifest, withWaitingContainer("ImagePullBackOff", "no such image", nil)), v1alpha1.ReasonPodFailing},
		"suspended":                {observed(refusedManifest, suspended), ""},
	} {
		got := ""
		if c := stalled(tt.given, epoch); c != nil {
			got = c.Reason
		}
		if got != tt.want {
			t.Errorf("%s: Stalled has the reason %q, want %q", name, got, tt.want)
		}
	}
}

func TestEvents_GenerationTakenOver_IsAnnouncedOnceUnlessItRequestsAServer(t *testing.T) {
	earlier := func(o *observation) { // the status that the operator wrote while generation 2 ran
		o.bridge.Status.Conditions = derive(observed(func(o *observation) {
			o.bridge.Generation, o.bridge.Status.ActiveRunner().Generation = 2, 2
		}), epoch)
	}
	for name, tt := range map[string]struct {
		given *observation
		want  bool
	}{
		"the runner has applied the change":  {observed(earlier), true},
		"while a side is down":               {observed(earlier, withSides(localUp(), remoteDown())), true},
		"the status shows the generation":    {observed(func(o *observation) { o.bridge.Status.Conditions = derive(observed(), epoch) }), false},
		"the first status":                   {observed(), false},
		"the runner runs the earlier":        {observed(earlier, func(o *observation) { o.bridge.Status.ActiveRunner().Generation = 2 }), false},
		"no runner ran the earlier":          {observed(func(o *observation) { o.bridge.Status.Conditions = notRunning(2) }), false},
		"the pod is gone":                    {observed(earlier, noPods), false},
		"the bridge is being deleted":        {observed(earlier, func(o *observation) { o.bridge.DeletionTimestamp = ptr.To(metav1.NewTime(epoch)) }), false},
		"the change requests a server":       {observed(earlier, requests(3)), false},
		"a request of an earlier generation": {observed(earlier, requests(2)), true},
		"a runner without a generation":      {observed(earlier, func(o *observation) { o.bridge.Status.ActiveRunner().Generation = 0 }), false},
		"a later generation waits":           {observed(earlier, func(o *observation) { o.bridge.Generation = 7 }), true},
	} {
		events := announceManifest(tt.given)
		if got := len(events) == 1 && events[0].reason == v1alpha1.EventManifestApplied && events[0].eventType == corev1.EventTypeNormal; got != tt.want || len(events) > 1 {
			t.Errorf("%s: events %+v; want one: %t", name, events, tt.want)
		}
	}
}

// notRunning returns the conditions of a bridge of a generation whose runner does not run.
func notRunning(generation int64) []metav1.Condition {
	return derive(observed(noPods, func(o *observation) { o.bridge.Generation = generation }), epoch)
}

// requests adds a requested switch, which began with a generation.
func requests(generation int64) func(*observation) {
	return func(o *observation) {
		o.bridge.Status.Remote = withRequestedSwitch(remoteOnPrimary(), v1alpha1.SwitchPending)
		o.bridge.Status.Remote.RequestedSwitch.Generation = generation
	}
}
