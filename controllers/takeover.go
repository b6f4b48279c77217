// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// takeoverCauses are the causes of a takeover in messages, by their reason.
var takeoverCauses = map[string]string{
	v1alpha1.TakeoverPeerEnded:     msgPeerEnded,
	v1alpha1.TakeoverLeaseExpired:  msgLeaseExpired,
	v1alpha1.TakeoverLeaseReleased: msgLeaseReleased,
}

// announceTakeover returns an event for the latest change of the active runner if it is not the
// announced one. The API server refuses earlier reports, so that any other change is a later one;
// their times are not compared, because the clocks of nodes differ.
func announceTakeover(t *v1alpha1.TakeoverRecord, sent *metav1.MicroTime) []event {
	if t == nil || t.Time.Equal(sent) {
		return nil
	}
	*sent = t.Time
	e := event{
		eventType: corev1.EventTypeWarning, reason: v1alpha1.EventRunnerTakeover, action: actionReportTakeover,
		part: fmt.Sprintf("status.runners{%s}", t.To),
	}
	message := msgTookOver
	if t.Reason == v1alpha1.TakeoverHandedOver {
		e.eventType, e.reason, message = corev1.EventTypeNormal, v1alpha1.EventRunnerHandover, msgHandedOver
	}
	e.note = note(message, t.To, cmp.Or(t.From, "an unknown runner"), duration(ptr.Deref(t.GapMilliseconds, 0)), cmp.Or(takeoverCauses[t.Reason], t.Reason))
	return []event{e}
}

// activeCost is the cost of the deletion of the active runner's pod. The cost of other pods is 0: a
// ReplicaSet deletes the pods with the lowest cost first.
const activeCost = "100"

// markActive sets the cost of the deletion of the pods of two runners, so that a roll-out ends the
// standby before the active runner: its pod hands over once, to a runner of the new template.
//
// It applies the annotation by pods/status, because the right to patch pods would include the right
// to change their images. If the API server refuses the annotation, everything else works: a roll-out
// may then end the active runner first, and the bridge hands over twice. The refusal is logged once.
func (r *Reconciler) markActive(ctx context.Context, o *observation) error {
	active := o.reportingPod()
	if !o.bridge.Spec.HasStandby() || active == nil {
		return nil
	}
	bridge := client.ObjectKeyFromObject(o.bridge)
	for i := range o.pods {
		p := &o.pods[i]
		marked := p.Annotations[corev1.PodDeletionCost] == activeCost
		if marked == (p == active) || !p.DeletionTimestamp.IsZero() {
			continue
		}
		err := r.mark(ctx, p, p == active)
		switch {
		case err == nil, apierrors.IsNotFound(err), apierrors.IsConflict(err), ofOtherUID(err): // the pod has been replaced
			continue
		case !refused(err):
			return fmt.Errorf("marking runner pod %s: %w", p.Name, err)
		case r.marks.isNew(bridge, active.Name):
			log.FromContext(ctx).Error(err, "the API server refuses the annotation about the active runner; check the right of the operator to patch pods/status, and admission policies for pods",
				"pod", p.Name, "annotation", corev1.PodDeletionCost)
		}
		return nil
	}
	r.marks.forget(bridge)
	return nil
}

// mark sets or removes the cost of the deletion of a pod.
func (r *Reconciler) mark(ctx context.Context, p *corev1.Pod, active bool) error {
	change := corev1ac.Pod(p.Name, p.Namespace).WithUID(p.UID)
	if active {
		change.WithAnnotations(map[string]string{corev1.PodDeletionCost: activeCost})
	}
	return r.Client.Status().Apply(ctx, change, client.FieldOwner(FieldOwner), client.ForceOwnership)
}

// markBook remembers the refused changes of the active runner that were logged: the pod of the active
// runner, by bridge. A bridge whose pods are marked has no entry.
type markBook struct {
	mu     sync.Mutex // guards logged
	logged map[client.ObjectKey]string
}

// isNew records a refused change, and reports whether it was not recorded before.
func (k *markBook) isNew(bridge client.ObjectKey, active string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.logged[bridge] == active {
		return false
	}
	if k.logged == nil {
		k.logged = map[client.ObjectKey]string{}
	}
	k.logged[bridge] = active
	return true
}

func (k *markBook) forget(bridge client.ObjectKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.logged, bridge)
}
