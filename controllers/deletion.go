// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// deletionRetry is the longest time after which a failed pass over a bridge that is being
// deleted is repeated.
const deletionRetry = 5 * time.Second

func deletionPolicy(b *v1alpha1.MQTTBridge) v1alpha1.DeletionPolicy {
	return ptr.Deref(b.Spec.DeletionPolicy, v1alpha1.DeletionKeep)
}

func needsFinalizer(b *v1alpha1.MQTTBridge) bool {
	return deletionPolicy(b) != v1alpha1.DeletionKeep
}

func hasFinalizer(b *v1alpha1.MQTTBridge) bool {
	return controllerutil.ContainsFinalizer(b, v1alpha1.DeletionFinalizer)
}

// setFinalizer adds or removes the operator's finalizer. The API server refuses the write with
// a conflict if the bridge has changed since it was read.
func (r *Reconciler) setFinalizer(ctx context.Context, b *v1alpha1.MQTTBridge, wanted bool) error {
	changed := b.DeepCopy()
	if wanted {
		controllerutil.AddFinalizer(changed, v1alpha1.DeletionFinalizer)
	} else {
		controllerutil.RemoveFinalizer(changed, v1alpha1.DeletionFinalizer)
	}
	patch := client.MergeFromWithOptions(b, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, changed, patch, client.FieldOwner(FieldOwner)); err != nil {
		return fmt.Errorf("setting the finalizer: %w", err)
	}
	return nil
}

// finalize makes one pass over a bridge that is being deleted. The runner does the work of the
// deletion policy: the manifest says that the bridge is being deleted, and a suspended bridge
// gets a pod again. finalize removes the finalizer when the runner reports that the work is
// done, when it cannot be done, or at the timeout. Then Kubernetes deletes the children.
func (r *Reconciler) finalize(ctx context.Context, b *v1alpha1.MQTTBridge) (ctrl.Result, error) {
	if !hasFinalizer(b) { // another finalizer may delay the deletion
		r.forget(client.ObjectKeyFromObject(b))
		return ctrl.Result{}, nil
	}
	b.SetDefaultClientIDs(r.ClusterID) // of the copy: events name them
	left := untilDeletionTimeout(b, r.Now())
	switch {
	case !needsFinalizer(b):
		return ctrl.Result{}, r.endDeletion(ctx, b, nil)
	case b.Status.Deletion != nil && b.Status.Deletion.State == v1alpha1.DeletionComplete:
		return ctrl.Result{}, r.endDeletion(ctx, b, sessionsEnded())
	case left <= 0:
		return ctrl.Result{}, r.endDeletion(ctx, b, deletionIncomplete(b, fmt.Sprintf(msgDeletionTimeout, deletionTimeout(b).Seconds())))
	}
	running := b.DeepCopy()
	running.Spec.Suspend = nil
	result, err := r.pass(ctx, running, nil)
	if err == nil {
		result.RequeueAfter = earliest(result.RequeueAfter, left)
		return result, nil
	}
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		o, observeErr := r.observe(ctx, b)
		if observeErr == nil && !slices.ContainsFunc(o.pods, podAlive) {
			return ctrl.Result{}, r.endDeletion(ctx, b, deletionIncomplete(b, msgNamespaceTerminating))
		}
	}
	// Not returned, because the retries of returned errors become too rare for the timeout.
	log.FromContext(ctx).Error(err, "the deletion of the bridge cannot continue; the operator tries again")
	return ctrl.Result{RequeueAfter: min(left, deletionRetry)}, nil
}

// endDeletion creates an event, if there is one, and removes the finalizer. The event comes first:
// no other place names the sessions that remain when the bridge is gone.
func (r *Reconciler) endDeletion(ctx context.Context, b *v1alpha1.MQTTBridge, e *event) error {
	if e != nil {
		log.FromContext(ctx).Info("the deletion of the bridge ends", "reason", e.reason, "message", e.note)
		err := r.Client.Create(ctx, eventOfDeletion(b, e, r.Now()))
		if err != nil && !apierrors.IsAlreadyExists(err) {
			log.FromContext(ctx).Error(err, "the event about the end of the deletion cannot be created; the bridge is deleted without it")
		}
	}
	return ignoreStale(ctx, r.setFinalizer(ctx, b, false))
}

// eventOfDeletion returns the object of an event about the end of a deletion. The recorder is not
// used for it: it sends events in the background, so that an operator that is killed when it has
// removed the finalizer would lose the event. The name is the same for each attempt with the same
// reason, so that an operator that continues the deletion does not create a second event.
func eventOfDeletion(b *v1alpha1.MQTTBridge, e *event, now time.Time) *eventsv1.Event {
	return &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: b.Namespace, Name: fmt.Sprintf("%s.%s.%s", b.Name, b.UID, strings.ToLower(e.reason))},
		EventTime:           metav1.NewMicroTime(now),
		ReportingController: FieldOwner,
		ReportingInstance:   FieldOwner,
		Type:                e.eventType,
		Reason:              e.reason,
		Action:              e.action,
		Note:                e.note,
		Regarding:           regarding(b, e.part),
	}
}

func deletionTimeout(b *v1alpha1.MQTTBridge) time.Duration {
	return time.Duration(ptr.Deref(b.Spec.DeletionTimeoutSeconds, v1alpha1.DefaultDeletionTimeoutSeconds)) * time.Second
}

// untilDeletionTimeout returns the time that is left for the work of the deletion policy.
func untilDeletionTimeout(b *v1alpha1.MQTTBridge, now time.Time) time.Duration {
	return b.DeletionTimestamp.Add(deletionTimeout(b)).Sub(now)
}

func sessionsEnded() *event {
	return &event{eventType: corev1.EventTypeNormal, reason: v1alpha1.EventSessionsEnded, action: actionEndSessions, note: msgSessionsEnded}
}

// deletionIncomplete returns the event for a deletion that ends before its work is done. It
// names what remains: as the runner has reported it, or all that the bridge may leave.
func deletionIncomplete(b *v1alpha1.MQTTBridge, why string) *event {
	d := b.Status.Deletion
	if d == nil {
		d = &v1alpha1.DeletionStatus{Sessions: manifest.RemainingSessions(&b.WithDefaults().Spec)}
	}
	return &event{eventType: corev1.EventTypeWarning, reason: v1alpha1.EventDeletionIncomplete, action: actionEndSessions, note: note(msgDeletionIncomplete, why, d.Remains())}
}

// deleting returns the condition Ready of a bridge that is being deleted.
func deleting(o *observation, now time.Time) metav1.Condition {
	c := metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse,
		Reason: v1alpha1.ReasonDeleting, ObservedGeneration: o.runningGeneration(),
	}
	pod := o.reportingPod()
	switch {
	case pod == nil:
		c.Message = fmt.Sprintf(msgDeleting, noReportMessage(o, now))
	case nodeLost(pod):
		c.Message = fmt.Sprintf(msgDeleting, fmt.Sprintf(msgNodeLost, pod.Name))
	case reporterTrouble(o) != "":
		c.Message = fmt.Sprintf(msgDeleting, reporterTrouble(o))
	case o.bridge.Status.Deletion == nil:
		c.Message = fmt.Sprintf(msgDeleting, fmt.Sprintf(msgDeletionNotBegun, pod.Name))
	default:
		return v1alpha1.DeletingCondition(o.runningGeneration(), o.bridge.Status.Deletion)
	}
	return c
}
