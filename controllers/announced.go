// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// annotationAnnounced is the annotation of the ConfigMap that records the sent events. It
// is not in the status, because a runner may write the status.
const annotationAnnounced = "mqttbridge.io/announced-events"

// eventsFieldOwner is the field manager of annotationAnnounced. It is not FieldOwner,
// because an apply of the child would then remove the annotation.
const eventsFieldOwner = "mqttbridge-operator-events"

// announced records the events that the operator has sent, so that it sends none of them
// twice. Each time is the time of the latest announced transition of its kind.
type announced struct {
	LocalSwitch          metav1.MicroTime `json:"localSwitch,omitzero"`
	RemoteSwitch         metav1.MicroTime `json:"remoteSwitch,omitzero"`
	LocalRequest         metav1.MicroTime `json:"localRequest,omitzero"` // a refused request
	RemoteRequest        metav1.MicroTime `json:"remoteRequest,omitzero"`
	LocalToRemoteMessage metav1.MicroTime `json:"localToRemoteMessage,omitzero"` // an unforwardable message
	RemoteToLocalMessage metav1.MicroTime `json:"remoteToLocalMessage,omitzero"`

	// LocalDown and RemoteDown are when the operator announced that every server of the side
	// is down. They are absent while a server is connected.
	LocalDown  metav1.MicroTime `json:"localDown,omitzero"`
	RemoteDown metav1.MicroTime `json:"remoteDown,omitzero"`

	// LocalDownCauses and RemoteDownCauses are the causes in the latest event about such an outage.
	// They are absent in the record of an earlier version.
	LocalDownCauses  outageCauses `json:"localDownCauses,omitzero"`
	RemoteDownCauses outageCauses `json:"remoteDownCauses,omitzero"`

	// LocalStandbys and RemoteStandbys are the names of the failed standby servers that were
	// announced.
	LocalStandbys  []string `json:"localStandbys,omitempty"`
	RemoteStandbys []string `json:"remoteStandbys,omitempty"`

	// RolloutStopped is the hash of the pod template that the operator announced, because a
	// roll-out created a pod from it that does not start. It is absent while no roll-out waits
	// for this bridge.
	RolloutStopped string `json:"rolloutStopped,omitempty"`

	// Terminated is the latest announced end of a runner.
	Terminated termination `json:"terminated,omitzero"`

	// Takeover is the time of the latest announced change of the active runner, by the clock of the
	// node of the new one.
	Takeover metav1.MicroTime `json:"takeover,omitzero"`

	// LocalToRemoteBuffer and RemoteToLocalBuffer are the announced states of the buffer on
	// disk, Full or Failed. They are absent while it has neither state.
	LocalToRemoteBuffer v1alpha1.BacklogState `json:"localToRemoteBuffer,omitempty"`
	RemoteToLocalBuffer v1alpha1.BacklogState `json:"remoteToLocalBuffer,omitempty"`

	// LocalSwitches and RemoteSwitches are the runner's counts of switches at the latest
	// announced one. They are absent in the record of an earlier version.
	LocalSwitches  *int64 `json:"localSwitches,omitempty"`
	RemoteSwitches *int64 `json:"remoteSwitches,omitempty"`

	// LocalSwitchPod and RemoteSwitchPod are the pods whose runners made these switches. Their times are
	// by the clocks of these pods' nodes. They are absent in the record of an earlier version.
	LocalSwitchPod  string `json:"localSwitchPod,omitempty"`
	RemoteSwitchPod string `json:"remoteSwitchPod,omitempty"`

	// BudgetFullAt is when the budget of events is full again.
	BudgetFullAt metav1.MicroTime `json:"budgetFullAt,omitzero"`
}

// sentEvents returns the events that were sent before. An annotation that cannot be read is
// treated as absent: some events may then be sent again.
func sentEvents(ctx context.Context, o *observation) announced {
	var sent announced
	if o.manifest == nil || o.manifest.Annotations[annotationAnnounced] == "" {
		return sent
	}
	if err := json.Unmarshal([]byte(o.manifest.Annotations[annotationAnnounced]), &sent); err != nil {
		log.FromContext(ctx).Error(err, "the record of sent events is not valid and is replaced", "annotation", annotationAnnounced)
		return announced{}
	}
	return sent
}

// sendEvents records the events and then sends them. The API server refuses the record with
// a conflict if the ConfigMap has changed since it was read, for example because another
// operator has recorded the events. The events are then not sent, and the change starts
// another pass.
func (r *Reconciler) sendEvents(ctx context.Context, o *observation, before, after announced, due []event) error {
	if !equality.Semantic.DeepEqual(before, after) {
		if o.manifest == nil {
			return nil // the ConfigMap was deleted; another pass creates it
		}
		record, err := json.Marshal(after)
		if err != nil {
			return fmt.Errorf("encoding the record of sent events: %w", err)
		}
		change := corev1ac.ConfigMap(o.manifest.Name, o.manifest.Namespace).
			WithUID(o.manifest.UID).
			WithResourceVersion(o.manifest.ResourceVersion).
			WithAnnotations(map[string]string{annotationAnnounced: string(record)})
		if err := r.Client.Apply(ctx, change, client.FieldOwner(eventsFieldOwner), client.ForceOwnership); err != nil {
			return fmt.Errorf("recording sent events: %w", err)
		}
	}
	r.send(o.bridge, due)
	return nil
}

// send sends events about a bridge.
//
// If two events differ only in their notes, the recorder sends the first one, and later its
// count: the second note would be lost. Each event therefore names the part of the bridge, or
// the other object, that it is about.
func (r *Reconciler) send(b *v1alpha1.MQTTBridge, due []event) {
	for _, e := range due {
		object := regarding(b, e.part)
		r.Recorder.Eventf(&object, e.related, e.eventType, e.reason, e.action, "%s", e.note)
	}
}

// regarding returns a reference to a part of a bridge, or to all of it if the part is empty.
func regarding(b *v1alpha1.MQTTBridge, part string) corev1.ObjectReference {
	return corev1.ObjectReference{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: bridgeKind,
		Namespace: b.Namespace, Name: b.Name, UID: b.UID, ResourceVersion: b.ResourceVersion,
		FieldPath: part,
	}
}
