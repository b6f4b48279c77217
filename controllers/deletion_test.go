// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// withDeletion sets the deletion policy of a bridge, with the shortest timeout.
func withDeletion(b *v1alpha1.MQTTBridge, policy v1alpha1.DeletionPolicy) {
	b.Spec.DeletionPolicy, b.Spec.DeletionTimeoutSeconds = &policy, ptr.To[int32](10)
}

func setDeletion(t *testing.T, b *v1alpha1.MQTTBridge, policy v1alpha1.DeletionPolicy) *v1alpha1.MQTTBridge {
	t.Helper()
	return update(t, b, func(b *v1alpha1.MQTTBridge) { withDeletion(b, policy) })
}

func awaitFinalizer(t *testing.T, b *v1alpha1.MQTTBridge, wanted bool) {
	t.Helper()
	awaitBridge(t, b, "the finalizer", func(got *v1alpha1.MQTTBridge) bool { return hasFinalizer(got) == wanted })
}

// beginDeletion deletes a bridge that has the finalizer.
func beginDeletion(t *testing.T, b *v1alpha1.MQTTBridge) *v1alpha1.MQTTBridge {
	t.Helper()
	awaitFinalizer(t, b, true)
	if err := server.Client.Delete(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return awaitBridge(t, b, "being deleted", func(got *v1alpha1.MQTTBridge) bool { return !got.DeletionTimestamp.IsZero() })
}

func awaitGone(t *testing.T, b *v1alpha1.MQTTBridge) {
	t.Helper()
	awaitBridge(t, b, "gone", func(got *v1alpha1.MQTTBridge) bool { return got == nil })
}

// awaitManifest waits until the manifest of the runner is as wanted.
func awaitManifest(t *testing.T, b *v1alpha1.MQTTBridge, what string, wanted func(*v1alpha1.MQTTBridge) bool) {
	t.Helper()
	awaitChild(t, &corev1.ConfigMapList{}, b, what, func(c *corev1.ConfigMap) bool {
		got := &v1alpha1.MQTTBridge{}
		return c != nil && yaml.UnmarshalStrict([]byte(c.Data[manifestKey]), got) == nil && wanted(got)
	})
}

func isDeletedBy(policy v1alpha1.DeletionPolicy) func(*v1alpha1.MQTTBridge) bool {
	return func(m *v1alpha1.MQTTBridge) bool { return !m.DeletionTimestamp.IsZero() && deletionPolicy(m) == policy }
}

// reportDeletion reports the progress of a deletion with the rights of the bridge's runner.
func reportDeletion(t *testing.T, b *v1alpha1.MQTTBridge, pod string, d *v1alpha1.DeletionStatus) {
	t.Helper()
	runner := v1alpha1.RunnerStatus{Pod: pod, Role: v1alpha1.RunnerActive, StartTime: metav1.NewTime(epoch), Generation: b.Generation}
	ready := v1alpha1.DeletingCondition(b.Generation, d)
	closed := side(serverStatus("local", localURL, v1alpha1.ServerStandby))
	r := &report{Conditions: []metav1.Condition{ready}, Runners: []v1alpha1.RunnerStatus{runner}, Local: closed, Remote: closed, Deletion: d}
	apiserver.Eventually(t, "the report of the runner", func(ctx context.Context) (bool, error) {
		err := tryStatus(ctx, t, b, r)
		if apierrors.IsForbidden(err) { // the operator has just created the runner's Role
			return false, nil
		}
		return true, err
	})
}

func remainingSession() v1alpha1.RemainingSession {
	return v1alpha1.RemainingSession{
		Side: "local", Server: "local", ClientID: "plant",
		LastError: &v1alpha1.ServerError{Reason: v1alpha1.ReasonConnectionRefused, Message: "nothing listens there"},
	}
}

const remainingText = `local server local: the session of client identifier "plant" (ConnectionRefused: nothing listens there)`

// wantEvent fails the test if the bridge has no event that begins and ends as given.
func wantEvent(t *testing.T, b *v1alpha1.MQTTBridge, prefix, suffix string) {
	t.Helper()
	events := awaitEvents(t, b, 1)
	if !slices.ContainsFunc(events, func(e string) bool { return strings.HasPrefix(e, prefix) && strings.HasSuffix(e, suffix) }) {
		t.Errorf("no event %s ... %s in %q", prefix, suffix, events)
	}
}

func TestFinalizer_FollowsPolicy(t *testing.T) {
	ns := namespace(t)
	other := newBridge(ns, "other")
	withDeletion(other, v1alpha1.DeletionDrain)
	other.Spec.ClassName = "other"
	create(t, other)
	b := newBridge(ns, "plant")
	create(t, b)
	awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	awaitFinalizer(t, b, false)
	for _, policy := range []v1alpha1.DeletionPolicy{v1alpha1.DeletionEndSessions, v1alpha1.DeletionKeep, v1alpha1.DeletionDrain} {
		b = setDeletion(t, b, policy)
		awaitFinalizer(t, b, policy != v1alpha1.DeletionKeep)
	}
	awaitFinalizer(t, other, false)
}

func TestDeletion_RunnerCompletes_ReportsProgressAndRemovesFinalizer(t *testing.T) {
	b, pod := forwardingBridge(t)
	before := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	b = setDeletion(t, b, v1alpha1.DeletionEndSessions)
	awaitManifest(t, b, "no deletion", func(m *v1alpha1.MQTTBridge) bool {
		return m.Generation == b.Generation && m.DeletionTimestamp.IsZero() && m.Spec.DeletionPolicy == nil
	})
	b = beginDeletion(t, b)
	awaitManifest(t, b, "the deletion", isDeletedBy(v1alpha1.DeletionEndSessions))
	awaitBridge(t, b, "waiting for the runner", func(got *v1alpha1.MQTTBridge) bool {
		c := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReady)
		return c.Status == metav1.ConditionFalse && c.Reason == v1alpha1.ReasonDeleting && strings.Contains(c.Message, "has not reported any progress")
	})
	reportDeletion(t, b, pod.Name, &v1alpha1.DeletionStatus{State: v1alpha1.DeletionEndingSessions, Sessions: []v1alpha1.RemainingSession{remainingSession()}})
	awaitBridge(t, b, "the remaining session", func(got *v1alpha1.MQTTBridge) bool {
		c := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReady)
		return conditionIs(got, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonDeleting) && strings.HasSuffix(c.Message, remainingText) &&
			conditionIs(got, v1alpha1.ConditionLocalConnected, metav1.ConditionFalse, v1alpha1.ReasonDeleting)
	})
	after := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	if after.Generation != before.Generation {
		t.Error("the deletion changes the Deployment, which replaces the pod")
	}
	reportDeletion(t, b, pod.Name, &v1alpha1.DeletionStatus{State: v1alpha1.DeletionComplete})
	awaitGone(t, b)
	wantEvent(t, b, "Normal SessionsEnded ", "")
}

func TestDeletion_SuspendedBridge_GetsPodForTheWork(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	withDeletion(b, v1alpha1.DeletionDrain)
	b.Spec.Suspend = ptr.To(true)
	create(t, b)
	awaitReplicas(t, b, 0)
	b = beginDeletion(t, b)
	awaitReplicas(t, b, 1)
	awaitManifest(t, b, "the deletion", isDeletedBy(v1alpha1.DeletionDrain))
	pod := runnerPod(b, "plant-bridge-1")
	createPod(t, pod)
	reportDeletion(t, b, pod.Name, &v1alpha1.DeletionStatus{State: v1alpha1.DeletionComplete})
	awaitGone(t, b)
}

func TestDeletion_Timeout_EndsWithEventThatNamesWhatRemains(t *testing.T) {
	for name, tc := range map[string]struct {
		reported *v1alpha1.DeletionStatus
		invalid  bool
		suffix   string
	}{
		"runner that never starts":  {suffix: `local server local: the session of client identifier "plant"`},
		"default client identifier": {},
		"invalid spec":              {suffix: `remote server b: the session of client identifier "cloud"`, invalid: true},
		"server down and backlog": {
			reported: &v1alpha1.DeletionStatus{State: v1alpha1.DeletionDraining, Messages: ptr.To[int64](7), Sessions: []v1alpha1.RemainingSession{remainingSession()}},
			suffix:   "7 undelivered messages; " + remainingText,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(namespace(t), "plant")
			b.Spec.Local.ClientID, b.Spec.Remote.ClientID = "plant", "cloud"
			withDeletion(b, v1alpha1.DeletionDrain)
			if tc.invalid {
				makeInvalid(b)
			}
			if tc.suffix == "" {
				b.Spec.Local.ClientID = ""
				named := b.DeepCopy()
				named.SetDefaultClientIDs(operator.ClusterID)
				tc.suffix = fmt.Sprintf("the session of client identifier %q", named.Spec.Local.ClientID)
			}
			create(t, b)
			b = beginDeletion(t, b)
			if tc.reported != nil {
				pod := runnerPod(b, "plant-bridge-1")
				createPod(t, pod)
				reportDeletion(t, b, pod.Name, tc.reported)
			}
			awaitGone(t, b)
			if left := untilDeletionTimeout(b, time.Now()); left > 0 {
				t.Errorf("the bridge is gone %s before the timeout", left)
			}
			wantEvent(t, b, "Warning DeletionIncomplete the bridge is deleted before", tc.suffix)
		})
	}
}

func TestDeletion_PolicyChangedToKeep_EndsAtOnce(t *testing.T) {
	b, _ := forwardingBridge(t)
	b = beginDeletion(t, setDeletion(t, b, v1alpha1.DeletionDrain))
	setDeletion(t, b, v1alpha1.DeletionKeep)
	awaitGone(t, b)
	if left := untilDeletionTimeout(b, time.Now()); left <= 0 {
		t.Error("the deletion has waited for the timeout")
	}
}

// The namespace controller deletes the children and the pods at the same time as the bridge, and
// the API server refuses new objects.
func TestDeletion_OfNamespace_DoesNotWaitForTheTimeout(t *testing.T) {
	b, pod := forwardingBridge(t)
	b = update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.DeletionPolicy = ptr.To(v1alpha1.DeletionDrain) })
	awaitFinalizer(t, b, true)
	if err := server.Client.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: b.Namespace}}); err != nil {
		t.Fatal(err)
	}
	key := metav1.ObjectMeta{Namespace: b.Namespace, Name: childName(b.Name)}
	for _, child := range []client.Object{&corev1.ConfigMap{ObjectMeta: key}, &rbacv1.Role{ObjectMeta: key}, pod} {
		if err := server.Client.Delete(t.Context(), child); err != nil {
			t.Fatal(err)
		}
	}
	b = beginDeletion(t, b)
	awaitGone(t, b)
	if left := untilDeletionTimeout(b, time.Now()); left <= 0 {
		t.Error("the deletion has waited for the timeout")
	}
}

func TestManifest_BridgeBeingDeleted_HasDeletionAndTheSamePod(t *testing.T) {
	b := newBridge("default", "plant")
	before := builtDeployment(t, b)
	withDeletion(b, v1alpha1.DeletionDrain)
	b.DeletionTimestamp = ptr.To(metav1.Now())
	if after := builtDeployment(t, b); !maps.Equal(before.Annotations, after.Annotations) {
		t.Errorf("the deletion changes the hashes of the Deployment from %v to %v, so that the pod is replaced", before.Annotations, after.Annotations)
	}
	rendered, err := runnerManifest(b, "a-template-hash")
	if err != nil {
		t.Fatal(err)
	}
	assertRunnerAccepts(t, b, rendered)
	if !strings.Contains(rendered, "deletionTimestamp: ") || !strings.Contains(rendered, "deletionPolicy: Drain") {
		t.Errorf("the manifest does not say that the bridge is being deleted:\n%s", rendered)
	}
}

func TestDeletion_FinalizerRefused_BridgeRunsAndIsStalled(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	permitOnly(t, b, "mqttbridge.io", "mqttbridges", "object.metadata.?finalizers.orValue([]).size() == 0", "no finalizers here")
	trial := b.DeepCopy()
	trial.Finalizers = []string{v1alpha1.DeletionFinalizer}
	apiserver.Eventually(t, "the policy takes effect", func(ctx context.Context) (bool, error) {
		err := server.Client.Create(ctx, trial.DeepCopy(), client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "no finalizers here"), nil
	})
	withDeletion(b, v1alpha1.DeletionEndSessions)
	create(t, b)
	awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	got := awaitCondition(t, b, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonApplyFailed)
	if message := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled).Message; !strings.Contains(message, "setting the finalizer") || !strings.Contains(message, "no finalizers here") {
		t.Errorf("Stalled says %q", message)
	}
}
