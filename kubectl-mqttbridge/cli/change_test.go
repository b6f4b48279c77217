// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

func TestSwitch_ToAServer_WaitsForTheAnswerOfTheRunner(t *testing.T) {
	s := newSite(t)
	in := func(args ...string) result { return plugin(t, append(args, "-n", s.namespace)...) }
	in("switch", bridgeName, "cloud-b").want(t, done, "the remote side of "+s.namespace+"/"+bridgeName+" uses cloud-b")
	if active := s.bridge().Status.Remote.Active; active == nil || active.Name != "cloud-b" {
		t.Fatalf("the server in use is %+v", active)
	}
	in("switch", bridgeName, "cloud-b").want(t, done, "uses cloud-b") // once more, which changes nothing

	// cloud-c has no server. The second request is made again, and gets an answer of its own.
	for range 2 {
		in("switch", bridgeName, "cloud-c").want(t, partly, "does not switch to cloud-c", "connection refused")
	}
	in("switch", bridgeName, "--remove").want(t, done, "no longer prefers cloud-c")
	in("switch", bridgeName, "--remove").want(t, done, "has no request to remove")
	if preferred := s.bridge().Spec.Remote.PreferredServer; preferred != nil {
		t.Errorf("the request remains: %+v", preferred)
	}
}

func TestSwitch_WrongServerOrSide_NamesTheServers(t *testing.T) {
	ns := namespace(t)
	b := manifestOf(ns, "b", "mqtt://plant.example:1883", "mqtt://cloud.example:1883")
	b.Spec.Local.Backups = []v1alpha1.Server{{Name: "cloud-a", URL: "mqtt://spare.example:1883"}}
	create(t, b)
	in := func(args ...string) result { return plugin(t, append(args, "-n", ns)...) }
	in("switch", "b", "cloud-z").want(t, usage, "has no server cloud-z; the servers are local: plant, cloud-a; remote: cloud-a")
	in("switch", "b", "cloud-a").want(t, usage, "both sides of "+ns+"/b have a server cloud-a; name the side by --side")
	in("switch", "b", "cloud-a", "--side", "north").want(t, usage, `--side "north" is no side`)
	in("switch", "b").want(t, usage, "needs the NAME of a bridge and of a SERVER")
	in("switch", "b", "cloud-a", "--side", "remote", "--wait=false", "--force").want(t, done, "requested: the remote side of "+ns+"/b switches to cloud-a")
	in("switch", "b", "plant", "--timeout", "1s").want(t, timeout, "not done within 1s") // no runner answers
	in("switch", "missing", "x").want(t, failed, "has no bridge missing")
	const viewer = "switch-viewer"
	allow(t, ns, viewer, viewBridges)
	in("switch", "b", "plant", "--as", viewer).want(t, failed, "the right to patch mqttbridges in the namespace "+ns+" is missing")

	var live v1alpha1.MQTTBridge
	if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(b), &live); err != nil {
		t.Fatal(err)
	}
	if p := live.Spec.Remote.PreferredServer; p == nil || p.Name != "cloud-a" || p.Force == nil || !*p.Force {
		t.Errorf("the request of the remote side is %+v", p)
	}
}

func TestSuspendAndResume_OfABridge_WaitForTheEffect(t *testing.T) {
	s := newSite(t)
	plugin(t, "suspend", bridgeName, "-n", s.namespace).want(t, done, s.namespace+"/"+bridgeName+" is suspended")
	plugin(t, "switch", bridgeName, "cloud-b", "-n", s.namespace).want(t, done, "is suspended, and uses cloud-b on the remote side first when it resumes")
	plugin(t, "resume", bridgeName, "-n", s.namespace).want(t, done, s.namespace+"/"+bridgeName+" forwards")
	plugin(t, "suspend", "-n", s.namespace).want(t, usage, "needs the NAME of a bridge")
	plugin(t, "suspend", "missing", "-n", s.namespace).want(t, failed, "has no bridge missing")
}

// TestSuspend_OneNameIsMissing_ChangesNothing has the wrong name last.
func TestSuspend_OneNameIsMissing_ChangesNothing(t *testing.T) {
	ns := namespace(t)
	a := manifestOf(ns, "a", "mqtt://plant.example:1883", "mqtt://cloud.example:1883")
	create(t, a)
	for _, command := range []string{"suspend", "resume"} {
		plugin(t, command, "a", "missing", "-n", ns, "--wait=false").want(t, failed, "has no bridge missing")
	}
	if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(a), a); err != nil {
		t.Fatal(err)
	}
	if a.Spec.Suspend != nil {
		t.Errorf("suspend of the bridge a is %t", *a.Spec.Suspend)
	}
}

func TestSuspend_FailsInBetween_NamesTheChangedBridges(t *testing.T) {
	ns := namespace(t)
	for _, name := range []string{"a", "b", "c"} {
		create(t, manifestOf(ns, name, "mqtt://plant.example:1883", "mqtt://cloud.example:1883"))
	}
	const user = "user-of-a"
	patch := rule(v1alpha1.GroupVersion.Group, "patch", "mqttbridges")
	patch.ResourceNames = []string{"a"}
	allow(t, ns, user, viewBridges, patch)
	plugin(t, "suspend", "a", "b", "c", "-n", ns, "--as", user).want(t, failed, "the right to patch mqttbridges in the namespace "+ns+" is missing; changed: a; not changed: b, c")
}

// The bridge b cannot resume, and the bridge c forwards: its result is printed, too.
func TestResume_OneBridgeFails_HasTheResultsOfAll(t *testing.T) {
	ns := namespace(t)
	ready := []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Forwarding", LastTransitionTime: metav1.Now()}}
	stalled := []metav1.Condition{{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonInvalidSpec, Message: "spec.x is wrong", LastTransitionTime: metav1.Now()}}
	for name, conditions := range map[string][]metav1.Condition{"a": ready, "b": stalled, "c": ready} {
		b := manifestOf(ns, name, "mqtt://plant.example:1883", "mqtt://cloud.example:1883")
		create(t, b)
		status := v1alpha1.MQTTBridgeStatus{ObservedGeneration: b.Generation + 1, Conditions: conditions}
		if err := setStatus(t.Context(), b, &status); err != nil {
			t.Fatal(err)
		}
	}
	plugin(t, "resume", "a", "b", "c", "-n", ns).want(t, partly, ns+"/a forwards", ns+"/b: the change cannot be applied", ns+"/c forwards")
}

func TestResume_InvalidSpec_GivesTheReason(t *testing.T) {
	ns := namespace(t)
	b := manifestOf(ns, "b", "mqtt://plant.example:1883", "mqtt://cloud.example:1883")
	b.Spec.Suspend = ptr.To(true)
	create(t, b)
	status := v1alpha1.MQTTBridgeStatus{ObservedGeneration: b.Generation + 1, Conditions: []metav1.Condition{
		{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonInvalidSpec, Message: "spec.x is wrong", LastTransitionTime: metav1.Now()},
	}}
	if err := setStatus(t.Context(), b, &status); err != nil {
		t.Fatal(err)
	}
	plugin(t, "resume", "b", "-n", ns).want(t, partly, "the change cannot be applied: InvalidSpec: spec.x is wrong")
}

// A tool that applies the manifest again would undo the change.
func TestSuspend_BridgeOfADeploymentTool_Warns(t *testing.T) {
	ns := namespace(t)
	b := manifestOf(ns, "b", "mqtt://plant.example:1883", "mqtt://cloud.example:1883")
	if err := server.Client.Create(t.Context(), b, client.FieldOwner("kustomize-controller")); err != nil {
		t.Fatal(err)
	}
	plugin(t, "suspend", "b", "-n", ns, "--wait=false").want(t, done, "will be suspended", "note: kustomize-controller applies the manifest of "+ns+"/b")
}

func TestHandOver_OfABridge_NeedsAWarmStandby(t *testing.T) {
	ns := namespace(t)
	b := manifestOf(ns, "b", "mqtt://plant.example:1883", "mqtt://cloud.example:1883")
	create(t, b)
	in := func(args ...string) result { return plugin(t, append(args, "-n", ns)...) }
	in("hand-over", "b").want(t, partly, "has one runner, and none to hand over to")
	b.Spec.Replicas = ptr.To[int32](2)
	if err := server.Client.Update(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	in("hand-over", "b").want(t, partly, "no runner of "+ns+"/b is active")
	status := v1alpha1.MQTTBridgeStatus{Runners: []v1alpha1.RunnerStatus{
		{Pod: "one", Role: v1alpha1.RunnerActive}, {Pod: "two", Role: v1alpha1.RunnerStandby, Warm: ptr.To(false)},
	}}
	report := func() {
		t.Helper()
		if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(b), b); err != nil {
			t.Fatal(err)
		}
		if err := setStatus(t.Context(), b, &status); err != nil {
			t.Fatal(err)
		}
	}
	report()
	in("hand-over", "b").want(t, partly, "no standby of "+ns+"/b is connected and warm")
	status.Runners[1].Warm = ptr.To(true)
	report()

	results := make(chan result)
	go func() { results <- in("hand-over", "b") }()
	for b.Annotations[manifest.AnnotationHandOver] == "" { // the request, which the runners notice
		time.Sleep(50 * time.Millisecond)
		if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(b), b); err != nil {
			t.Fatal(err)
		}
	}
	status.Runners = []v1alpha1.RunnerStatus{{Pod: "two", Role: v1alpha1.RunnerActive}}
	status.LastTakeover = &v1alpha1.TakeoverRecord{From: "one", To: "two", Reason: v1alpha1.TakeoverHandedOver, Time: metav1.NowMicro(), GapMilliseconds: ptr.To[int64](12)}
	report()
	r := <-results
	r.want(t, done, "the pod two of "+ns+"/b is active, gap 12 ms")
}

// A script must not continue as if the change were in effect.
func TestSwitch_EndedWhileItWaits_ExitsWithAnError(t *testing.T) {
	ns := namespace(t)
	create(t, manifestOf(ns, "b", "mqtt://plant.example:1883", "mqtt://cloud.example:1883"))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // no runner answers
	defer cancel()
	pluginWith(t, ctx, "", "switch", "b", "plant", "-n", ns).want(t, failed, "the command was ended before it was done")
}
