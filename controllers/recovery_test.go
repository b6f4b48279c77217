// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// A bridge that a roll-out has replaced must not hold up the other bridges after it has
// recovered, only because its spec is refused.
func TestRollout_SpecRefusedDuringRecovery_RecoveryEnds(t *testing.T) {
	for name, refuse := range map[string]func(*v1alpha1.MQTTBridge){
		"invalid":         makeInvalid,
		"a child refused": func(b *v1alpha1.MQTTBridge) { withDisk(b, "512Mi", b.Spec.Buffer.Disk.StorageClassName) },
		"not allowed":     func(b *v1alpha1.MQTTBridge) { b.Spec.Runner = &v1alpha1.Runner{Image: "evil.example/miner"} },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(namespace(t), "plant")
			b.Spec.ClassName = "review"
			withDisk(b, "1Gi", storageClass(t, true))
			create(t, b)
			first, second := operatorOf("review", testRunnerImage), operatorOf("review", "registry.example/mqttbridge-operator:v2")
			second.Policy = Policy{Images: []string{"registry.example/"}}
			first.passUntil(t, b, "a reconciled bridge", wasObserved(b))
			pod := runnerPod(b, "plant-bridge-1")
			createPod(t, pod)
			completeRollout(t, b)
			applyReport(t, b, pod.Name, localUp(), remoteOnPrimary())
			first.passUntil(t, b, "Ready", func(got *v1alpha1.MQTTBridge) bool { return conditionTrue(got, v1alpha1.ConditionReady) })
			recovering := func() bool {
				d := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
				return d.Labels[labelHealthBefore] != ""
			}
			second.passUntil(t, b, "a replaced pod", func(*v1alpha1.MQTTBridge) bool { return recovering() })
			b = update(t, b, refuse)
			second.passUntil(t, b, "a refused spec", func(got *v1alpha1.MQTTBridge) bool {
				return got.Status.ObservedGeneration == b.Generation && meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled) != nil
			})
			if !recovering() {
				t.Fatal("the recovery ended before the new pod was ready")
			}
			completeRollout(t, b)
			second.passUntil(t, b, "the end of the recovery", func(*v1alpha1.MQTTBridge) bool { return !recovering() })
			if state := second.fleet.states[client.ObjectKeyFromObject(b)]; state != "" {
				t.Errorf("the bridge is still %s", state)
			}
		})
	}
}

func TestFleet_BridgeThatCannotBeReplaced_HasNoStateOfARollout(t *testing.T) {
	recovering := fleetDeployment(0, "v1", "old")
	recovering.Labels = map[string]string{labelHealthBefore: string(healthReady)}
	for name, tt := range map[string]struct {
		before *appsv1.Deployment
		want   rolloutState
	}{
		"first roll-out":                   {fleetDeployment(0, "v1", "old"), ""},
		"recovers from an earlier version": {recovering, rolloutRecovering},
	} {
		f := &fleet{}
		t.Cleanup(func() { f.setState(fleetKey(0), "") }) // the gauges belong to the process
		f.observe(nil, tt.before)
		f.admit(fleetKey(0), "new", "v2", recovers(tt.before), intstr.FromInt32(1))
		f.release(fleetKey(0))
		if got := f.states[fleetKey(0)]; got != tt.want {
			t.Errorf("%s: the state is %q; want %q", name, got, tt.want)
		}
	}
}

func TestFleet_SpecRefused_BridgeDoesNotWait(t *testing.T) {
	f := &fleet{}
	for _, state := range []rolloutState{rolloutWaiting, rolloutScheduled} {
		f.setState(fleetKey(0), state)
		f.stopWaiting(fleetKey(0))
		if f.states[fleetKey(0)] != "" {
			t.Errorf("a bridge with a refused spec is still %s", state)
		}
	}
	f.setState(fleetKey(0), rolloutRecovering)
	f.stopWaiting(fleetKey(0))
	if f.states[fleetKey(0)] != rolloutRecovering {
		t.Error("a bridge with a refused spec does not recover any more")
	}
	f.setState(fleetKey(0), "")
}
