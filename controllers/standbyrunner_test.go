// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const standbyPod = "plant-bridge-2"

// withStandby adds a second runner to the bridge of an observation: testPod is active, and standbyPod its
// warm standby.
func withStandby(o *observation) {
	setReplicas(2)(o.bridge)
	o.bridge.Status.Runners = append(o.bridge.Status.Runners, v1alpha1.RunnerStatus{
		Pod: standbyPod, Role: v1alpha1.RunnerStandby, Warm: ptr.To(true), Since: metav1.NewTime(epoch),
	})
	o.deployment.Spec.Replicas = ptr.To[int32](2)
	o.deployment.Status = appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 2, UpdatedReplicas: 2}
	o.pods = append(o.pods, *runnerPod(o.bridge, standbyPod))
}

// lone makes the standby not warm, with its pod in a state, and without it for a time.
func lone(since time.Duration, change func(*corev1.Pod)) func(*observation) {
	return func(o *observation) {
		withStandby(o)
		o.bridge.Status.Runners[1].Warm = ptr.To(false)
		o.noStandbySince = epoch.Add(-since)
		change(&o.pods[1])
	}
}

func running(*corev1.Pod) {}

func crashing(p *corev1.Pod) {
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: runnerName, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: crashLoop}},
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: "no manifest"}},
	}}
}

func notScheduled(p *corev1.Pod) {
	p.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "no node has enough memory",
		LastTransitionTime: metav1.NewTime(epoch.Add(-time.Hour)),
	}}}
}

func deleted(p *corev1.Pod) { p.DeletionTimestamp = ptr.To(metav1.NewTime(epoch)) }

func nodeIsLost(p *corev1.Pod) {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}
}

// replacing makes a roll-out replace the two runners: one pod is of the new template.
func replacing(o *observation) {
	o.deployment.Status.Replicas, o.deployment.Status.UpdatedReplicas = 3, 1
}

func changePod(i int, change func(*corev1.Pod)) func(*observation) {
	return func(o *observation) { change(&o.pods[i]) }
}

func TestDerive_TwoRunners_StandbyTroubleDegradesOnly(t *testing.T) {
	fine := map[string]string{"Ready": "True/Forwarding", "Degraded": "False/ActiveOnPrimary", "Stalled": "absent", "Reconciling": "absent"}
	degraded := func(cause string) map[string]string {
		return map[string]string{
			"Ready": "True/Forwarding", "Stalled": "absent", "Reconciling": "absent",
			"Degraded": "True/NoStandby no second runner is ready to take over: " + cause,
		}
	}
	for name, tt := range map[string]struct {
		o    *observation
		want map[string]string
	}{
		"a warm standby":                         {observed(withStandby), fine},
		"none for 59 seconds":                    {observed(lone(59*time.Second, crashing)), fine},
		"its container crashes":                  {observed(lone(time.Minute, crashing)), degraded("container bridge-runner of runner pod plant-bridge-2: CrashLoopBackOff: exited with code 1 (Error): no manifest")},
		"it is not scheduled":                    {observed(lone(time.Minute, notScheduled)), degraded("runner pod plant-bridge-2 is not scheduled: no node has enough memory")},
		"its node is lost":                       {observed(lone(time.Minute, nodeIsLost)), degraded("the node of runner pod plant-bridge-2 does not answer")},
		"it runs and is not warm":                {observed(lone(time.Minute, running)), degraded("runner pod plant-bridge-2 runs, but is not a warm standby of plant-bridge-1; check that the pods of the bridge reach each other on TCP port 8091")},
		"it is being deleted":                    {observed(lone(time.Minute, deleted)), degraded("Deployment plant-bridge has created no second pod")},
		"the API server refuses it":              {observed(lone(time.Minute, deleted), refusesPods), degraded("Deployment plant-bridge cannot create the runner pod: exceeded quota")},
		"a backup comes after it":                {observed(lone(time.Minute, running), withSides(localUp(), remoteOnBackup())), degraded("runner pod plant-bridge-2 runs, but")},
		"the active pod is deleted and has one":  {observed(withStandby, changePod(0, deleted)), map[string]string{"Ready": "True/Forwarding"}},
		"the active pod is deleted without one":  {observed(lone(0, crashing), changePod(0, deleted)), map[string]string{"Ready": "False/RunnerNotRunning"}},
		"the active pod does not hand over":      {observed(withStandby, changePod(0, deleted), func(o *observation) { o.drains = true }), map[string]string{"Ready": "False/RunnerNotRunning runner pod plant-bridge-1 is being deleted"}},
		"the node of the active pod is lost":     {observed(withStandby, changePod(0, nodeIsLost)), map[string]string{"Ready": "Unknown/NodeLost"}},
		"a roll-out replaces the pods":           {observed(withStandby, replacing), map[string]string{"Ready": "True/Forwarding", "Reconciling": "True/Progressing Deployment plant-bridge is being rolled out"}},
		"a roll-out whose first pod crashes":     {observed(withStandby, replacing, changePod(1, crashing)), map[string]string{"Ready": "True/Forwarding", "Stalled": "True/PodFailing"}},
		"the other pod has taken over and fails": {observed(withStandby, takenOver, changePod(0, crashing)), map[string]string{"Ready": "True/Forwarding", "Stalled": "absent", "Reconciling": "absent"}},
		"both pods crash":                        {observed(lone(time.Minute, crashing), changePod(0, crashing), unreported), map[string]string{"Ready": "False/RunnerNotRunning", "Stalled": "True/PodFailing", "Degraded": "Unknown/RunnerNotRunning"}},
	} {
		t.Run(name, func(t *testing.T) { assertConditions(t, derive(tt.o, epoch), tt.want) })
	}
}

func refusesPods(o *observation) {
	o.deployment.Status.Conditions = []appsv1.DeploymentCondition{{
		Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "exceeded quota",
	}}
}

// takenOver exchanges the roles of the two runners.
func takenOver(o *observation) {
	r := o.bridge.Status.Runners
	r[0].Pod, r[1].Pod, r[1].Warm = r[1].Pod, r[0].Pod, ptr.To(false)
}

func TestStandbyBook_StandbyComesAndGoes_CountsFromItsLoss(t *testing.T) {
	book := &standbyBook{}
	at := func(n int) time.Time { return epoch.Add(time.Duration(n) * time.Second) }
	for i, tt := range []struct {
		o    *observation
		want time.Time
	}{
		0: {observed(withStandby), time.Time{}},
		1: {observed(lone(0, running)), at(1)},
		2: {observed(lone(0, crashing)), at(1)},
		3: {observed(withStandby), time.Time{}},
		4: {observed(lone(0, running)), at(4)},
		5: {observed(lone(0, running), suspended), time.Time{}},
		6: {observed(), time.Time{}},
	} {
		if got := book.missingSince(tt.o, at(i)); !got.Equal(tt.want) {
			t.Errorf("%d: since %s, want %s", i, got, tt.want)
		}
	}
	if len(book.since) > 0 {
		t.Errorf("the book keeps %v", book.since)
	}
	restarted := observed(lone(time.Minute, running))
	restarted.bridge.Status.Conditions = derive(restarted, epoch)
	if got := (&standbyBook{}).missingSince(restarted, epoch); !got.Equal(epoch.Add(-noStandbyTime)) {
		t.Errorf("an operator that starts counts from %s, so that the condition disappears for a minute", got)
	}
}

func TestUntilChange_NoStandby_IsTheRestOfTheMinute(t *testing.T) {
	if got := untilChange(observed(lone(20*time.Second, running)), epoch); got != 40*time.Second {
		t.Errorf("%s, want 40s", got)
	}
}

func TestActiveDrains_DeletedPod_AfterTheTimeOfAHandOver(t *testing.T) {
	deletedAt := func(grace int64) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.DeletionTimestamp = ptr.To(metav1.NewTime(epoch.Add(time.Duration(grace) * time.Second)))
			p.DeletionGracePeriodSeconds = &grace
		}
	}
	for name, tt := range map[string]struct {
		o       *observation
		after   time.Duration // the deletion
		drains  bool
		recheck time.Duration
	}{
		"not deleted":            {observed(withStandby), time.Hour, false, 0},
		"at once":                {observed(withStandby, changePod(0, deletedAt(30))), 0, false, handOverTime},
		"a second later":         {observed(withStandby, changePod(0, deletedAt(30))), time.Second, false, time.Second},
		"two seconds later":      {observed(withStandby, changePod(0, deletedAt(30))), handOverTime, true, 0},
		"another grace period":   {observed(withStandby, changePod(0, deletedAt(5))), handOverTime, true, 0},
		"the standby is deleted": {observed(withStandby, changePod(1, deletedAt(30))), time.Hour, false, 0},
		"no report":              {observed(withStandby, changePod(0, deletedAt(30)), unreported), time.Hour, false, 0},
	} {
		now := epoch.Add(tt.after)
		if got := tt.o.activeDrains(now); got != tt.drains {
			t.Errorf("%s: the active pod drains: %t, want %t", name, got, tt.drains)
		}
		if got := untilChange(tt.o, now); got != tt.recheck {
			t.Errorf("%s: the next pass is in %s, want %s", name, got, tt.recheck)
		}
	}
}

func TestTwoRunners_NoWarmStandby_IsDegradedAfterAMinute(t *testing.T) {
	b := twoRunners(namespace(t))
	b.Spec.ClassName = "review"
	create(t, b)
	now := time.Now()
	r := operatorOf("review", testRunnerImage)
	r.Now = func() time.Time { return now }
	r.passUntil(t, b, "a reconciled bridge", wasObserved(b))
	active, other := runnerPod(b, testPod), runnerPod(b, standbyPod)
	createPod(t, active)
	createPod(t, other)
	completeRollout(t, b)
	reportPair(t, b, testPod, standbyPod, false, nil)
	is := func(status metav1.ConditionStatus, reason string) func(*v1alpha1.MQTTBridge) bool {
		return func(got *v1alpha1.MQTTBridge) bool {
			return conditionIs(got, v1alpha1.ConditionDegraded, status, reason)
		}
	}
	r.passUntil(t, b, "not Degraded yet", is(metav1.ConditionFalse, v1alpha1.ReasonActiveOnPrimary))
	now = now.Add(noStandbyTime)
	r.passUntil(t, b, "Degraded", is(metav1.ConditionTrue, v1alpha1.ReasonNoStandby))
	next := operatorOf("review", testRunnerImage)
	next.passUntil(t, b, "Degraded after a restart of the operator", is(metav1.ConditionTrue, v1alpha1.ReasonNoStandby))
	reportPair(t, b, testPod, standbyPod, true, nil)
	next.passUntil(t, b, "not Degraded", is(metav1.ConditionFalse, v1alpha1.ReasonActiveOnPrimary))
	if got := meta.FindStatusCondition(awaitBridge(t, b, "the bridge", func(*v1alpha1.MQTTBridge) bool { return true }).Status.Conditions, v1alpha1.ConditionStalled); got != nil {
		t.Errorf("Stalled: %+v", got)
	}
}

// costs returns the costs of the deletion of pods, by name.
func costs(t *testing.T, b *v1alpha1.MQTTBridge) map[string]string {
	t.Helper()
	list := &corev1.PodList{}
	if err := server.Client.List(t.Context(), list, client.InNamespace(b.Namespace)); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for i := range list.Items {
		out[list.Items[i].Name] = list.Items[i].Annotations[corev1.PodDeletionCost]
	}
	return out
}

func TestTakeover_Reported_MarksTheActivePodAndSendsOneEvent(t *testing.T) {
	b := twoRunners(namespace(t))
	create(t, b)
	awaitStrategy(t, b, appsv1.RollingUpdateDeploymentStrategyType, 2)
	createPod(t, runnerPod(b, testPod))
	createPod(t, runnerPod(b, standbyPod))
	completeRollout(t, b)
	reportPair(t, b, testPod, standbyPod, true, nil)
	awaitCondition(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonForwarding)
	awaitIdle(t, b)
	if got := costs(t, b); got[testPod] != activeCost || got[standbyPod] != "" {
		t.Errorf("the costs of the deletion are %v", got)
	}
	wantRow(t, b, map[string]string{"Runner": testPod, "Node": "node-1", "Standby": standbyPod})
	b = awaitBridge(t, b, "the bridge", func(*v1alpha1.MQTTBridge) bool { return true })

	reportPair(t, b, standbyPod, testPod, true, &v1alpha1.TakeoverRecord{
		From: testPod, To: standbyPod, Reason: v1alpha1.TakeoverHandedOver, Time: metav1.NewMicroTime(epoch), GapMilliseconds: ptr.To[int64](12),
	})
	awaitEvents(t, b, 1)
	awaitIdle(t, b)
	if got := costs(t, b); got[testPod] != "" || got[standbyPod] != activeCost {
		t.Errorf("after the hand-over, the costs of the deletion are %v", got)
	}
	// The clock of the other node is an hour behind.
	reportPair(t, b, testPod, standbyPod, true, &v1alpha1.TakeoverRecord{
		From: standbyPod, To: testPod, Reason: "PeerEnded", Time: metav1.NewMicroTime(epoch.Add(-time.Hour)), GapMilliseconds: ptr.To[int64](1234),
	})
	want := []string{
		"Normal RunnerHandover runner pod plant-bridge-1 handed over to plant-bridge-2; no runner forwarded for 12 ms",
		"Warning RunnerTakeover runner pod plant-bridge-1 took over from plant-bridge-2, whose process has ended; no runner forwarded for 1.2 s",
	}
	if got := awaitEvents(t, b, 2); !slices.Equal(got, want) {
		t.Errorf("the events are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	awaitIdle(t, b)
	next := operatorOf("", testRunnerImage) // a restarted operator
	next.ClusterID = operator.ClusterID
	next.passUntil(t, b, "another pass", wasObserved(b))
	if got := awaitEvents(t, b, 2); len(got) != 2 {
		t.Errorf("a restarted operator sends events again: %q", got)
	}
}

// reportPair applies the report of the active one of two runners, as the runner does.
func reportPair(t *testing.T, b *v1alpha1.MQTTBridge, active, standby string, warm bool, takeover *v1alpha1.TakeoverRecord) {
	t.Helper()
	runners := []v1alpha1.RunnerStatus{
		{Pod: active, Role: v1alpha1.RunnerActive, Node: "node-1", StartTime: metav1.NewTime(epoch), Generation: b.Generation},
		{Pod: standby, Role: v1alpha1.RunnerStandby, Node: "node-2", Warm: &warm},
	}
	local, remote := localUp(), remoteOnPrimary()
	ready := v1alpha1.ReadyCondition(&runners[0], local, remote)
	r := &report{Conditions: []metav1.Condition{ready}, Runners: runners, LastTakeover: takeover, Local: local, Remote: remote}
	if err := tryStatus(t.Context(), t, b, r); err != nil {
		t.Fatalf("reporting as the runner: %v", err)
	}
}
