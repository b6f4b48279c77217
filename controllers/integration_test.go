// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func awaitChild[T client.Object](t *testing.T, list client.ObjectList, b *v1alpha1.MQTTBridge, what string, wanted func(T) bool) T {
	t.Helper()
	key := client.ObjectKey{Namespace: b.Namespace, Name: childName(b.Name)}
	return apiserver.Await(t, server.Client, list, key, what, wanted)
}

func awaitDeployment(t *testing.T, b *v1alpha1.MQTTBridge, what string, wanted func(*appsv1.Deployment) bool) *appsv1.Deployment {
	t.Helper()
	return awaitChild(t, &appsv1.DeploymentList{}, b, what, func(d *appsv1.Deployment) bool { return d != nil && wanted(d) })
}

// completeRollout sets the Deployment's status as the Deployment controller does after a
// rollout.
func completeRollout(t *testing.T, b *v1alpha1.MQTTBridge) {
	t.Helper()
	d := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	d.Status = appsv1.DeploymentStatus{
		ObservedGeneration: d.Generation, Replicas: *d.Spec.Replicas,
		UpdatedReplicas: *d.Spec.Replicas, ReadyReplicas: *d.Spec.Replicas, AvailableReplicas: *d.Spec.Replicas,
	}
	if err := server.Client.Status().Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// update changes the bridge's spec.
func update(t *testing.T, b *v1alpha1.MQTTBridge, change func(*v1alpha1.MQTTBridge)) *v1alpha1.MQTTBridge {
	t.Helper()
	changed := b.DeepCopy()
	change(changed)
	if err := server.Client.Patch(t.Context(), changed, client.MergeFrom(b)); err != nil {
		t.Fatalf("changing the bridge: %v", err)
	}
	return changed
}

// awaitEvents waits until the bridge has at least n events, and returns them as "type
// reason note", in the order of their time.
func awaitEvents(t *testing.T, b *v1alpha1.MQTTBridge, n int) []string {
	t.Helper()
	var out []string
	apiserver.Eventually(t, "events", func(ctx context.Context) (bool, error) {
		list := &eventsv1.EventList{}
		if err := server.Client.List(ctx, list, client.InNamespace(b.Namespace)); err != nil {
			return false, err
		}
		slices.SortFunc(list.Items, func(a, b eventsv1.Event) int { return a.EventTime.Compare(b.EventTime.Time) })
		out = nil
		for _, e := range list.Items {
			out = append(out, e.Type+" "+e.Reason+" "+e.Note)
		}
		return len(out) >= n, nil
	})
	return out
}

func TestBridge_Created_GetsChildrenAndIsReconciling(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	b.Spec.Remote.Credentials = mqtttest.Login("login")
	create(t, b)

	d := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	if *d.Spec.Replicas != 1 || d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		t.Errorf("Deployment has %d replicas and strategy %s; want 1 and Recreate", *d.Spec.Replicas, d.Spec.Strategy.Type)
	}
	if !metav1.IsControlledBy(d, b) {
		t.Errorf("the Deployment is not controlled by the bridge")
	}
	config := awaitChild(t, &corev1.ConfigMapList{}, b, "the ConfigMap", func(c *corev1.ConfigMap) bool { return c != nil })
	got := &v1alpha1.MQTTBridge{}
	if err := yaml.UnmarshalStrict([]byte(config.Data[manifestKey]), got); err != nil {
		t.Fatalf("bridge.yaml is not a manifest: %v", err)
	}
	want := b.DeepCopy()
	want.SetDefaultClientIDs(operator.ClusterID)
	if got.Name != b.Name || got.Namespace != b.Namespace || !equality.Semantic.DeepEqual(got.Spec, want.Spec) {
		t.Errorf("bridge.yaml does not have the client identifiers and the fields that the user has set, and only these:\n%s", config.Data[manifestKey])
	}
	role := awaitChild(t, &rbacv1.RoleList{}, b, "the Role", func(r *rbacv1.Role) bool { return r != nil })
	for _, rule := range role.Rules {
		if len(rule.ResourceNames) != 1 || len(rule.Verbs) != 1 {
			t.Errorf("the runner's right is not limited to one object and one verb: %+v", rule)
		}
	}
	awaitChild(t, &rbacv1.RoleBindingList{}, b, "the RoleBinding", func(r *rbacv1.RoleBinding) bool { return r != nil })
	awaitChild(t, &corev1.ServiceAccountList{}, b, "the ServiceAccount", func(s *corev1.ServiceAccount) bool {
		return s != nil && !*s.AutomountServiceAccountToken
	})
	awaitBridge(t, b, "Reconciling, not Ready", func(got *v1alpha1.MQTTBridge) bool {
		return conditionIs(got, v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing) &&
			conditionIs(got, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRunnerNotRunning) &&
			got.Status.ObservedGeneration == got.Generation
	})
}

func TestDeployment_RestrictedPodSecurity_AdmitsThePod(t *testing.T) {
	ns := namespace(t)
	if err := server.Client.Patch(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}},
		client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`))); err != nil {
		t.Fatal(err)
	}
	b := newBridge(ns, "plant")
	b.Spec.Remote.Credentials = mqtttest.Login("login")
	create(t, b)
	d := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	pod := &corev1.Pod{ObjectMeta: d.Spec.Template.ObjectMeta, Spec: d.Spec.Template.Spec}
	pod.Namespace, pod.Name = ns, "as-the-template-says"
	apiserver.Eventually(t, "a pod of the template is admitted", func(ctx context.Context) (bool, error) {
		err := server.Client.Create(ctx, pod)
		if err != nil && strings.Contains(err.Error(), "error looking up service account") {
			return false, nil
		}
		return err == nil, err
	})
}

func TestReport_Changed_UpdatesConditionsWithin100Milliseconds(t *testing.T) {
	b, pod := forwardingBridge(t)
	const limit, attempts = 100 * time.Millisecond, 50 // the machine may be busy
	best := time.Hour
	for i := 0; i < attempts && best > limit; i++ {
		remote, status, reason := remoteOnBackup(), metav1.ConditionTrue, v1alpha1.ReasonActiveOnBackup
		if i%2 == 1 {
			remote, status, reason = remoteOnPrimary(), metav1.ConditionFalse, v1alpha1.ReasonActiveOnPrimary
		}
		start := time.Now()
		applyReport(t, b, pod.Name, localUp(), remote)
		awaitCondition(t, b, v1alpha1.ConditionDegraded, status, reason)
		best = min(best, time.Since(start))
	}
	t.Logf("from a report to its conditions in %s", best)
	if best > limit {
		t.Errorf("the fastest of %d reports took %s to become conditions", attempts, best)
	}
}

func TestReady_SideWithoutServer_IsNeverTrue(t *testing.T) {
	b, pod := forwardingBridge(t)
	down := remoteOnPrimary()
	down.Active = nil
	for i := range 10 {
		remote, status, reason := down, metav1.ConditionFalse, v1alpha1.ReasonNotConnected
		if i%2 == 1 {
			remote, status, reason = remoteOnPrimary(), metav1.ConditionTrue, v1alpha1.ReasonForwarding
		}
		applyReport(t, b, pod.Name, localUp(), remote)
		awaitBridge(t, b, "Ready is "+string(status), func(got *v1alpha1.MQTTBridge) bool {
			if got.Status.Remote.ActiveServer() == nil && conditionIs(got, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonForwarding) {
				t.Errorf("version %s is Ready without a remote server", got.ResourceVersion)
			}
			return conditionIs(got, v1alpha1.ConditionReady, status, reason)
		})
	}
}

func TestEvents_Failover_AreSentOnceWithServersCauseAndDuration(t *testing.T) {
	b, pod := forwardingBridge(t)
	applyReport(t, b, pod.Name, localUp(), withFailover(remoteOnBackup(), "primary", "backup-1", epoch.Add(time.Minute)))
	got := awaitCondition(t, b, v1alpha1.ConditionDegraded, metav1.ConditionTrue, v1alpha1.ReasonActiveOnBackup)
	message := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionRemoteConnected).Message
	want := "connected to backup-1 (mqtt://b:1883); primary (mqtt://a:1883) failed: AuthenticationFailed: the user name or password is wrong"
	if message != want {
		t.Errorf("RemoteConnected says %q; want %q", message, want)
	}
	applyReport(t, b, pod.Name, localUp(), remoteDown())
	awaitCondition(t, b, v1alpha1.ConditionRemoteConnected, metav1.ConditionFalse, v1alpha1.ReasonAuthenticationFailed)
	applyReport(t, b, pod.Name, localUp(), withFailover(remoteOnPrimary(), "backup-1", "primary", epoch.Add(2*time.Minute)))
	awaitCondition(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonForwarding)

	events := awaitEvents(t, b, 4)
	for i, want := range []string{
		"Warning FailedOver the remote side failed over from primary to backup-1: 42 ms without a server: ConnectionClosed",
		"Warning AllServersDown every server of the remote side is down: primary (mqtt://a:1883) failed",
		"Normal FailedBack the remote side failed back from backup-1 to primary: 42 ms without a server: ConnectionClosed",
		"Normal Recovered the remote side is connected again after ",
	} {
		if !slices.ContainsFunc(events, func(e string) bool { return strings.HasPrefix(e, want) }) {
			t.Errorf("event %d, %q, is missing", i, want)
		}
	}
	if len(events) != 4 {
		t.Errorf("%d events; want 4:\n%s", len(events), strings.Join(events, "\n"))
	}
}

func TestReport_PodGone_IsClearedAndReadyIsFalse(t *testing.T) {
	b, pod := forwardingBridge(t)
	if err := server.Client.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	got := awaitBridge(t, b, "no report", func(got *v1alpha1.MQTTBridge) bool {
		if got.Status.Remote == nil && !conditionIs(got, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRunnerNotRunning) {
			t.Error("the report was cleared while Ready was not yet False")
		}
		return len(got.Status.Runners) == 0 && got.Status.Local == nil && got.Status.Remote == nil
	})
	for _, conditionType := range []string{v1alpha1.ConditionLocalConnected, v1alpha1.ConditionRemoteConnected} {
		if !conditionIs(got, conditionType, metav1.ConditionFalse, v1alpha1.ReasonRunnerNotRunning) {
			t.Errorf("%s is %+v", conditionType, meta.FindStatusCondition(got.Status.Conditions, conditionType))
		}
	}
}

func TestReport_NodeLost_IsKeptAndReadyIsUnknown(t *testing.T) {
	b, pod := forwardingBridge(t)
	pod.Status.Conditions[0].Status = corev1.ConditionFalse // As the node controller does when the node is lost.
	pod.Status.Conditions[0].LastTransitionTime = metav1.Now()
	updatePodStatus(t, pod)
	got := awaitCondition(t, b, v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonNodeLost)
	if got.Status.ActiveRunner() == nil || got.Status.Remote == nil {
		t.Error("the report of a pod that exists was cleared")
	}
}

// awaitIdle waits until the operator's cache contains its own writes and a pass writes
// nothing more. It returns the operator's writes in the namespace.
func awaitIdle(t *testing.T, b *v1alpha1.MQTTBridge) []string {
	t.Helper()
	for range 10 {
		before := operatorIO.writesIn(b.Namespace)
		apiserver.Eventually(t, "the cache is up to date and no pass is under way", func(ctx context.Context) (bool, error) {
			current, err := cacheIsCurrent(ctx, b)
			return current && controllerIdle(t), err
		})
		if _, err := operator.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(b)}); err != nil {
			t.Fatal(err)
		}
		if after := operatorIO.writesIn(b.Namespace); len(after) == len(before) {
			return after
		}
	}
	t.Fatalf("the operator keeps writing; it wrote:\n%s", strings.Join(operatorIO.writesIn(b.Namespace), "\n"))
	return nil
}

// controllerIdle reports whether no pass runs or is queued.
func controllerIdle(t *testing.T) bool {
	t.Helper()
	return sumOfMetrics(t, "workqueue_depth", "controller_runtime_active_workers") == 0
}

// sumOfMetrics returns the sum of the counters and gauges of the operator with these names.
func sumOfMetrics(t *testing.T, names ...string) float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if !slices.Contains(names, family.GetName()) {
			continue
		}
		for _, m := range family.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

// cacheIsCurrent reports whether the operator's cache has the latest version of the bridge
// and of its children.
func cacheIsCurrent(ctx context.Context, b *v1alpha1.MQTTBridge) (bool, error) {
	objects := map[client.Object]string{&v1alpha1.MQTTBridge{}: b.Name}
	for _, kind := range childKinds {
		obj, _ := kind.object.DeepCopyObject().(client.Object)
		objects[obj] = childName(b.Name)
	}
	for obj, name := range objects {
		key := client.ObjectKey{Namespace: b.Namespace, Name: name}
		cached, _ := obj.DeepCopyObject().(client.Object)
		err, cachedErr := server.Client.Get(ctx, key, obj), operator.Client.Get(ctx, key, cached)
		if apierrors.IsNotFound(err) && apierrors.IsNotFound(cachedErr) {
			continue // not every bridge has every child
		}
		if err != nil || cachedErr != nil {
			return false, errors.Join(client.IgnoreNotFound(err), client.IgnoreNotFound(cachedErr))
		}
		if obj.GetResourceVersion() != cached.GetResourceVersion() {
			return false, nil
		}
	}
	return true, nil
}

func TestReconcile_SteadyState_WritesNothing(t *testing.T) {
	b, pod := forwardingBridge(t)
	before := awaitIdle(t, b)

	// Changes of the bridge, of its pod and of its Deployment that do not affect the
	// conditions.
	for _, obj := range []client.Object{b, pod, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: childName(b.Name)}}} {
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"example.com/touched":"yes"}}}`))
		if err := server.Client.Patch(t.Context(), obj, patch); err != nil {
			t.Fatal(err)
		}
	}
	applyReport(t, b, pod.Name, localUp(), remoteOnPrimary()) // The same report again.
	after := awaitIdle(t, b)
	if len(after) != len(before) {
		t.Errorf("a steady state wrote:\n%s", strings.Join(after[len(before):], "\n"))
	}
}

func TestReconcile_NewReport_WritesStatusOnce(t *testing.T) {
	b, pod := forwardingBridge(t)
	before := awaitIdle(t, b)
	lowered := remoteOnPrimary()
	lowered.Shortfalls = []v1alpha1.Shortfall{{Reason: v1alpha1.ReasonQoSLowered, Message: "QoS 0 instead of 1"}}
	applyReport(t, b, pod.Name, localUp(), lowered)
	awaitCondition(t, b, v1alpha1.ConditionDegraded, metav1.ConditionTrue, v1alpha1.ReasonQoSLowered)
	after := awaitIdle(t, b)[len(before):]
	if len(after) != 1 || !strings.HasSuffix(after[0], "/mqttbridges/plant/status") {
		t.Errorf("one report caused these writes:\n%s", strings.Join(after, "\n"))
	}
}

func TestChildren_ChangedByUser_RestoreOperatorFieldsOnly(t *testing.T) {
	b, _ := forwardingBridge(t)
	awaitIdle(t, b)
	ours := metav1.ObjectMeta{Namespace: b.Namespace, Name: childName(b.Name)}

	if err := server.Client.SubResource("scale").Patch(t.Context(), &appsv1.Deployment{ObjectMeta: ours},
		client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"replicas":3}}`)), client.FieldOwner("kubectl")); err != nil {
		t.Fatal(err)
	}
	awaitDeployment(t, b, "one replica again", func(d *appsv1.Deployment) bool { return *d.Spec.Replicas == 1 })

	merge(t, &appsv1.Deployment{ObjectMeta: ours}, `{"metadata":{"labels":{"app.kubernetes.io/part-of":"mine","team":"plant"}},
		"spec":{"template":{"spec":{"containers":[{"name":"bridge-runner","image":"evil"}],"hostNetwork":true}}}}`)
	awaitDeployment(t, b, "our fields set back, theirs left", func(d *appsv1.Deployment) bool {
		return d.Spec.Template.Spec.Containers[0].Image == testRunnerImage &&
			d.Labels[labelPartOf] == partOfName && d.Labels["team"] == "plant"
	})

	merge(t, &corev1.ConfigMap{ObjectMeta: ours}, `{"data":{"bridge.yaml":"kind: Nonsense"}}`)
	awaitChild(t, &corev1.ConfigMapList{}, b, "the manifest set back", func(c *corev1.ConfigMap) bool {
		return strings.Contains(c.Data[manifestKey], "kind: MQTTBridge\n")
	})

	if err := server.Client.Delete(t.Context(), &rbacv1.Role{ObjectMeta: ours}); err != nil {
		t.Fatal(err)
	}
	awaitChild(t, &rbacv1.RoleList{}, b, "the Role again", func(r *rbacv1.Role) bool { return r != nil })
}

// merge patches an object as a user does with kubectl.
func merge(t *testing.T, obj client.Object, patch string) {
	t.Helper()
	if err := server.Client.Patch(t.Context(), obj,
		client.RawPatch("application/strategic-merge-patch+json", []byte(patch)), client.FieldOwner("kubectl-edit")); err != nil {
		t.Fatalf("patching %T: %v", obj, err)
	}
}

func TestChildren_NoLongerWanted_AreDeletedAndOtherObjectsKept(t *testing.T) {
	b, _ := forwardingBridge(t)
	old := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: b.Namespace, Name: "plant-of-an-older-version", Labels: childLabels(b.Name),
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(b, v1alpha1.GroupVersion.WithKind(bridgeKind))},
	}}
	stranger := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: b.Namespace, Name: "stranger", Labels: childLabels(b.Name),
	}}
	create(t, stranger)
	create(t, old)
	apiserver.Await(t, server.Client, &corev1.ConfigMapList{}, client.ObjectKeyFromObject(old), "the old child is deleted",
		func(c *corev1.ConfigMap) bool { return c == nil })
	if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(stranger), stranger); err != nil {
		t.Errorf("an object that the bridge does not control: %v", err)
	}
}

func TestChildren_NameUsedByAnotherObject_StallsWithoutOverwriting(t *testing.T) {
	ns := namespace(t)
	theirs := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: childName("plant")}, Data: map[string]string{"mine": "yes"}}
	create(t, theirs)
	b := newBridge(ns, "plant")
	create(t, b)
	got := awaitCondition(t, b, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonApplyFailed)
	if message := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled).Message; !strings.Contains(message, "ConfigMap plant-bridge exists and does not belong to this bridge") {
		t.Errorf("Stalled says %q", message)
	}
	if err := server.Client.Delete(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	awaitDeployment(t, b, "the Deployment, once the name is free", func(*appsv1.Deployment) bool { return true })
}

func TestBridge_InvalidSpec_StallsAndKeepsRunning(t *testing.T) {
	b, pod := forwardingBridge(t)
	before := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	b = update(t, b, func(b *v1alpha1.MQTTBridge) {
		b.Spec.Local.BridgeMode = ptr.To(v1alpha1.BridgeModeOff)
		b.Spec.LocalToRemote = []v1alpha1.Rule{{Filter: "a/#"}}
		b.Spec.RemoteToLocal = []v1alpha1.Rule{{Filter: "a/b/#"}}
	})
	got := awaitCondition(t, b, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonInvalidSpec)
	ready := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReady)
	if ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != b.Generation-1 || got.Status.ObservedGeneration != b.Generation {
		t.Errorf("the running bridge of pod %s is not Ready any more with its generation: %+v", pod.Name, ready)
	}
	if want := "is not in effect: InvalidSpec: the spec is not applied"; !strings.Contains(ready.Message, want) {
		t.Errorf("Ready says %q, which does not contain %q", ready.Message, want)
	}
	if events := awaitEvents(t, b, 1); len(events) != 1 || !strings.HasPrefix(events[0], "Warning InvalidSpec the spec is not applied") {
		t.Errorf("events: %q", events)
	}
	after := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	if after.Generation != before.Generation {
		t.Error("an invalid spec changed the Deployment")
	}
	b = update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.RemoteToLocal = nil })
	awaitBridge(t, b, "no longer stalled", func(got *v1alpha1.MQTTBridge) bool {
		return meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled) == nil
	})
}

func TestReferences_OfEveryKind_AreMountedByTheAPIServer(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	withReferences(b)
	create(t, b)
	d := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	if got := mountedKeys(t, &d.Spec.Template.Spec); !slices.Equal(got, wantKeys) {
		t.Errorf("mounted keys are %q; want %q", got, wantKeys)
	}
}

func TestChildren_RefusedByQuota_StallAndAreRetried(t *testing.T) {
	ns := namespace(t)
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "no-deployments"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/deployments.apps": resource.MustParse("0")}},
	}
	create(t, quota)
	quota.Status = corev1.ResourceQuotaStatus{Hard: quota.Spec.Hard, Used: corev1.ResourceList{"count/deployments.apps": resource.MustParse("0")}}
	if err := server.Client.Status().Update(t.Context(), quota); err != nil {
		t.Fatal(err) // The quota controller does this.
	}
	b := newBridge(ns, "plant")
	create(t, b)
	got := awaitCondition(t, b, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonApplyFailed)
	message := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled).Message
	if !strings.Contains(message, "exceeded quota: no-deployments") || !strings.Contains(message, "Deployment plant-bridge") {
		t.Errorf("Stalled says %q", message)
	}
	if err := server.Client.Delete(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	awaitDeployment(t, b, "the Deployment, by a retry", func(*appsv1.Deployment) bool { return true })
}

func TestBridge_ContainerDoesNotStart_StallsWithTheKubeletsMessage(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	create(t, b)
	completeRollout(t, b)
	pod := runnerPod(b, "plant-bridge-1")
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
		Name:  runnerName,
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: `Back-off pulling image "nowhere/nothing"`}},
	}}}
	createPod(t, pod)
	got := awaitCondition(t, b, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonPodFailing)
	message := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled).Message
	if want := `container bridge-runner of runner pod plant-bridge-1: ImagePullBackOff: Back-off pulling image "nowhere/nothing"; `; !strings.HasPrefix(message, want) {
		t.Errorf("Stalled says %q; want %q", message, want)
	}
}

func TestBridge_Deleted_IsLeftToTheGarbageCollector(t *testing.T) {
	b, _ := forwardingBridge(t)
	before := awaitIdle(t, b)
	if err := server.Client.Delete(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	// No finalizer delays the deletion.
	awaitBridge(t, b, "the bridge is gone", func(got *v1alpha1.MQTTBridge) bool { return got == nil })
	if _, err := operator.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(b)}); err != nil {
		t.Error(err)
	}
	if after := operatorIO.writesIn(b.Namespace); len(after) != len(before) {
		t.Errorf("the deletion caused these writes:\n%s", strings.Join(after[len(before):], "\n"))
	}
}

func TestReconcile_EveryFieldSet_StopsWriting(t *testing.T) {
	b := everything(t)
	b.Namespace, b.UID = namespace(t), ""
	b.Spec.ClassName = "" // the class of the tests' operator
	create(t, b)
	awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	awaitIdle(t, b) // Fails if the operator keeps writing.
}
