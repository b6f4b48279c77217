// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// setReplicas sets the number of runners of a bridge.
func setReplicas(n int32) func(*v1alpha1.MQTTBridge) {
	return func(b *v1alpha1.MQTTBridge) { b.Spec.Replicas = &n }
}

// twoRunners returns a bridge with two runners.
func twoRunners(namespace string) *v1alpha1.MQTTBridge {
	b := newBridge(namespace, "plant")
	setReplicas(2)(b)
	return b
}

// awaitStrategy waits until the Deployment of a bridge has a strategy and a number of replicas.
func awaitStrategy(t *testing.T, b *v1alpha1.MQTTBridge, strategy appsv1.DeploymentStrategyType, replicas int32) *appsv1.Deployment {
	t.Helper()
	return awaitDeployment(t, b, "a Deployment with the strategy "+string(strategy), func(d *appsv1.Deployment) bool {
		return d.Spec.Strategy.Type == strategy && *d.Spec.Replicas == replicas
	})
}

// isMember reports whether the pods of a Deployment are members of a group.
func isMember(d *appsv1.Deployment) bool {
	return slices.ContainsFunc(d.Spec.Template.Spec.Containers[0].Args, func(arg string) bool { return strings.HasPrefix(arg, "--group=") })
}

func awaitLease(t *testing.T, b *v1alpha1.MQTTBridge, what string, wanted func(*coordinationv1.Lease) bool) *coordinationv1.Lease {
	t.Helper()
	return awaitChild(t, &coordinationv1.LeaseList{}, b, what, func(l *coordinationv1.Lease) bool { return l != nil && wanted(l) })
}

func TestTwoRunners_Created_HasLeaseBudgetAndRights(t *testing.T) {
	b := twoRunners(namespace(t))
	b.Spec.Standby = &v1alpha1.Standby{LeaseDurationSeconds: ptr.To[int32](10)}
	create(t, b)
	d := awaitStrategy(t, b, appsv1.RollingUpdateDeploymentStrategyType, 2)
	if r := d.Spec.Strategy.RollingUpdate; r.MaxSurge.IntValue() != 1 || r.MaxUnavailable.IntValue() != 0 {
		t.Errorf("the Deployment replaces %s pods with a surge of %s", r.MaxUnavailable, r.MaxSurge)
	}
	args := d.Spec.Template.Spec.Containers[0].Args
	for _, want := range []string{"--group=plant-bridge", "--group-listen=:8091", "--lease-duration=10s"} {
		if !slices.Contains(args, want) {
			t.Errorf("the runner has the arguments %q; want %s", args, want)
		}
	}
	l := awaitLease(t, b, "the Lease", func(*coordinationv1.Lease) bool { return true })
	if !metav1.IsControlledBy(l, b) || l.Labels[labelInstance] != b.Name || l.Spec.HolderIdentity != nil {
		t.Errorf("the Lease %+v must belong to the bridge, and have no holder", l)
	}
	awaitChild(t, &policyv1.PodDisruptionBudgetList{}, b, "the budget", func(p *policyv1.PodDisruptionBudget) bool {
		return p != nil && p.Spec.MaxUnavailable.IntValue() == 1 && p.Spec.Selector.MatchLabels[labelInstance] == b.Name &&
			ptr.Deref(p.Spec.UnhealthyPodEvictionPolicy, "") == policyv1.AlwaysAllow
	})
	want := []string{
		"get coordination.k8s.io/leases plant-bridge", "patch mqttbridge.io/mqttbridges/status plant",
		"update coordination.k8s.io/leases plant-bridge", "watch /configmaps plant-bridge", "watch coordination.k8s.io/leases plant-bridge",
	}
	apiserver.Eventually(t, "the rights of the runners", func(context.Context) (bool, error) {
		return slices.Equal(rightsIn(t, clientOf(t, asRunner(b.Namespace, b.Name)), b.Namespace), want), nil //nolint:contextcheck // it uses the test's context
	})
}

// The Lease of another program can have the name of a bridge's children. A tenant chooses the name of the
// bridge, and can run pods with its ServiceAccount.
func TestTwoRunners_LeaseOfAnotherProgram_RunnersGetNoRightToIt(t *testing.T) {
	ns := namespace(t)
	create(t, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: childName("plant")},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: ptr.To("another program")},
	})
	b := twoRunners(ns)
	create(t, b)
	got := awaitCondition(t, b, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonApplyFailed)
	if message := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled).Message; !strings.Contains(message, "Lease plant-bridge exists and does not belong to this bridge") {
		t.Errorf("Stalled says %q", message)
	}
	if rights := rightsIn(t, clientOf(t, asRunner(ns, "plant")), ns); len(rights) > 0 {
		t.Errorf("the runners may %q", rights)
	}
}

func TestTwoRunners_LeaseRenewed_StartsNoPassAndIsKept(t *testing.T) {
	b := twoRunners(namespace(t))
	create(t, b)
	awaitStrategy(t, b, appsv1.RollingUpdateDeploymentStrategyType, 2)
	awaitLease(t, b, "the Lease", func(*coordinationv1.Lease) bool { return true })
	awaitIdle(t, b)
	member := clientOf(t, asRunner(b.Namespace, b.Name))
	before := len(operatorIO.writesIn(b.Namespace))
	passes := passesSoFar(t)
	for i := range 5 {
		l := &coordinationv1.Lease{}
		if err := member.Get(t.Context(), client.ObjectKey{Namespace: b.Namespace, Name: childName(b.Name)}, l); err != nil {
			t.Fatal(err)
		}
		l.Spec.HolderIdentity, l.Spec.LeaseTransitions = ptr.To("member-1"), ptr.To(int32(i))
		l.Annotations = map[string]string{"mqttbridge.io/member-1": "{}"}
		if err := member.Update(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	merge(t, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: childName(b.Name)}}, `{"metadata":{"labels":{"app.kubernetes.io/name":"other"}}}`)
	l := awaitLease(t, b, "the label of the Lease", func(l *coordinationv1.Lease) bool { return l.Labels[labelName] == runnerName })
	if ptr.Deref(l.Spec.HolderIdentity, "") != "member-1" || *l.Spec.LeaseTransitions != 4 || l.Annotations["mqttbridge.io/member-1"] == "" {
		t.Errorf("the operator has changed the part of the members: %+v", l)
	}
	awaitIdle(t, b)
	if writes := operatorIO.writesIn(b.Namespace)[before:]; len(writes) != 1 {
		t.Errorf("the operator wrote %q; want only the label", writes)
	}
	if n := passesSoFar(t) - passes; n > 3 {
		t.Errorf("5 renewals and a change of a label started %d passes", n)
	}
}

func TestTwoRunners_LeaseAndBudgetDeletedOrChanged_AreRestored(t *testing.T) {
	b := twoRunners(namespace(t))
	create(t, b)
	awaitStrategy(t, b, appsv1.RollingUpdateDeploymentStrategyType, 2)
	first := awaitLease(t, b, "the Lease", func(*coordinationv1.Lease) bool { return true })
	if err := server.Client.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	awaitLease(t, b, "another Lease", func(l *coordinationv1.Lease) bool { return l.UID != first.UID })
	awaitChild(t, &policyv1.PodDisruptionBudgetList{}, b, "the budget", func(p *policyv1.PodDisruptionBudget) bool { return p != nil })
	merge(t, &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: childName(b.Name)}}, `{"spec":{"maxUnavailable":2}}`)
	awaitChild(t, &policyv1.PodDisruptionBudgetList{}, b, "the budget of the operator", func(p *policyv1.PodDisruptionBudget) bool {
		return p != nil && p.Spec.MaxUnavailable.IntValue() == 1
	})
}

// The Deployment controller of the test keeps the status as it is until the test changes it.
func TestReplicas_OneToTwo_RecreatesUntilOnlyMembersRun(t *testing.T) {
	b, old := forwardingBridge(t)
	b = update(t, b, setReplicas(2))
	awaitDeployment(t, b, "the template for two runners", isMember)
	never := func(why string) {
		t.Helper()
		awaitIdle(t, b)
		if d := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true }); d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType || *d.Spec.Replicas != 1 {
			t.Fatalf("the Deployment starts members beside a runner without a group: %s", why)
		}
	}
	never("it has not been observed yet")
	setDeploymentStatus(t, b, appsv1.DeploymentStatus{Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1})
	never("the old pod runs")
	merge(t, old, `{"metadata":{"finalizers":["example.com/ends"]}}`) // as long as its container drains
	if err := server.Client.Delete(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	completeRollout(t, b) // a status of an earlier roll-out
	never("the old pod ends")
	merge(t, old, `{"metadata":{"$deleteFromPrimitiveList/finalizers":["example.com/ends"]}}`)
	awaitStrategy(t, b, appsv1.RollingUpdateDeploymentStrategyType, 2)
}

func TestReplicas_TwoToOne_RecreatesAndPrunes(t *testing.T) {
	b := twoRunners(namespace(t))
	create(t, b)
	awaitStrategy(t, b, appsv1.RollingUpdateDeploymentStrategyType, 2)
	completeRollout(t, b)
	b = update(t, b, setReplicas(1))
	if d := awaitStrategy(t, b, appsv1.RecreateDeploymentStrategyType, 1); isMember(d) || d.Spec.Strategy.RollingUpdate != nil {
		t.Errorf("the Deployment is still for two runners: %+v", d.Spec)
	}
	awaitChild(t, &coordinationv1.LeaseList{}, b, "no Lease", func(l *coordinationv1.Lease) bool { return l == nil })
	awaitChild(t, &policyv1.PodDisruptionBudgetList{}, b, "no budget", func(p *policyv1.PodDisruptionBudget) bool { return p == nil })
	awaitChild(t, &rbacv1.RoleList{}, b, "the rights of one runner", func(r *rbacv1.Role) bool { return r != nil && len(r.Rules) == 2 })
}

func TestReplicas_ChangedWithARefusedSpec_StayAsTheTemplate(t *testing.T) {
	for name, tt := range map[string]struct{ from, to int32 }{"one to two": {1, 2}, "two to one": {2, 1}} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(namespace(t), "plant")
			setReplicas(tt.from)(b)
			create(t, b)
			awaitReplicas(t, b, tt.from)
			b = update(t, b, func(b *v1alpha1.MQTTBridge) { makeInvalid(b); b.Spec.Replicas, b.Spec.Suspend = &tt.to, ptr.To(true) })
			awaitReplicas(t, b, 0)
			b = update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Suspend = nil })
			awaitReplicas(t, b, tt.from)
			awaitIdle(t, b)
			d := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
			if *d.Spec.Replicas != tt.from || isMember(d) != (tt.from == 2) {
				t.Error("the refused spec has changed the template")
			}
		})
	}
}

func TestCauseOf_OtherNumberOfRunners_IsTheUsersChange(t *testing.T) {
	one := map[string]string{annotationTemplateHash: "a"} // also of an operator that knows no hash of the spec
	two := map[string]string{annotationTemplateHash: "b", annotationPodSpecHash: "s", annotationRunners: "2"}
	if got := causeOf(one, two); got != causeUser {
		t.Errorf("one to two: %d", got)
	}
	if got := causeOf(two, one); got != causeUser {
		t.Errorf("two to one: %d", got)
	}
}

func TestAvailable_RollingTwoRunners_WhenAllAreNewAndReady(t *testing.T) {
	for name, tt := range map[string]struct {
		replicas int32
		status   appsv1.DeploymentStatus
		want     bool
	}{
		"one":                              {1, appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1}, true},
		"one that is not ready":            {1, appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1}, false},
		"two":                              {2, appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2}, true},
		"two old ones":                     {2, appsv1.DeploymentStatus{Replicas: 2, AvailableReplicas: 2}, false},
		"two old ones and one not ready":   {2, appsv1.DeploymentStatus{Replicas: 3, UpdatedReplicas: 1, AvailableReplicas: 2}, false},
		"an old one and two not ready yet": {2, appsv1.DeploymentStatus{Replicas: 3, UpdatedReplicas: 2, AvailableReplicas: 2}, false},
		"two, one of them not ready":       {2, appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 1}, false},
	} {
		d := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: &tt.replicas}, Status: tt.status}
		if got := available(d); got != tt.want {
			t.Errorf("%s: %t, want %t", name, got, tt.want)
		}
	}
}

func TestDeployment_TwoRunners_SpreadUnlessTheUserPlacesThem(t *testing.T) {
	for name, tt := range map[string]struct {
		runner *v1alpha1.Runner
		want   int
	}{
		"default":  {nil, 1},
		"affinity": {&v1alpha1.Runner{Affinity: &corev1.Affinity{}}, 0},
		"constraints": {&v1alpha1.Runner{TopologySpreadConstraints: []corev1.TopologySpreadConstraint{
			{TopologyKey: corev1.LabelTopologyZone, MaxSkew: 1, WhenUnsatisfiable: corev1.DoNotSchedule},
			{TopologyKey: corev1.LabelHostname, MaxSkew: 1, WhenUnsatisfiable: corev1.DoNotSchedule},
		}}, 2},
	} {
		b := twoRunners("default")
		b.Spec.Runner = tt.runner
		if got := builtDeployment(t, b).Spec.Template.Spec.TopologySpreadConstraints; len(got) != tt.want {
			t.Errorf("%s: %d constraints, want %d", name, len(got), tt.want)
		}
	}
}

func TestPodSpecHash_LeaseDuration_CountsOnlyWithTwoRunners(t *testing.T) {
	hash := func(change func(*v1alpha1.MQTTBridge)) string {
		b := newBridge("default", "plant")
		change(b)
		out, err := podSpecHash(b)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	two := func(seconds *int32) func(*v1alpha1.MQTTBridge) {
		return func(b *v1alpha1.MQTTBridge) {
			setReplicas(2)(b)
			b.Spec.Standby = &v1alpha1.Standby{LeaseDurationSeconds: seconds}
		}
	}
	if hash(func(*v1alpha1.MQTTBridge) {}) != hash(setReplicas(1)) {
		t.Error("replicas: 1 differs from the default")
	}
	if hash(setReplicas(2)) != hash(two(ptr.To[int32](15))) {
		t.Error("the default of leaseDurationSeconds differs from its value")
	}
	if hash(setReplicas(2)) == hash(setReplicas(1)) || hash(setReplicas(2)) == hash(two(ptr.To[int32](10))) {
		t.Error("a change of the number of runners, or of the duration, keeps the hash")
	}
}

func TestHandOver_AnnotationChanged_ReachesTheConfigMapWithoutAGeneration(t *testing.T) {
	b := twoRunners(namespace(t))
	create(t, b)
	awaitConfig := func(what string, wanted func(string) bool) {
		t.Helper()
		awaitChild(t, &corev1.ConfigMapList{}, b, what, func(c *corev1.ConfigMap) bool { return c != nil && wanted(c.Data[manifestKey]) })
	}
	awaitConfig("a manifest without a request", func(m string) bool { return m != "" && !strings.Contains(m, manifest.AnnotationHandOver) })
	awaitIdle(t, b)
	for _, request := range []string{"first", "second"} {
		b = update(t, b, func(b *v1alpha1.MQTTBridge) { b.Annotations = map[string]string{manifest.AnnotationHandOver: request} })
		awaitConfig("the request "+request, func(m string) bool { return strings.Contains(m, manifest.AnnotationHandOver+": "+request) })
	}
	if b.Generation != 1 {
		t.Errorf("the annotation has changed the generation to %d", b.Generation)
	}
	one := newBridge("default", "plant")
	rendered, err := runnerManifest(withHandOver(one, "now"), "")
	if err != nil || strings.Contains(rendered, manifest.AnnotationHandOver) {
		t.Errorf("a bridge with one runner passes the request (%v):\n%s", err, rendered)
	}
}

// setDeploymentStatus sets the status of a Deployment whose latest generation the Deployment
// controller has observed.
func setDeploymentStatus(t *testing.T, b *v1alpha1.MQTTBridge, status appsv1.DeploymentStatus) {
	t.Helper()
	d := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	status.ObservedGeneration = d.Generation
	d.Status = status
	if err := server.Client.Status().Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// passesSoFar returns the number of passes that the operator has ended.
func passesSoFar(t *testing.T) int {
	t.Helper()
	return int(sumOfMetrics(t, "controller_runtime_reconcile_total"))
}
