// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MQTTBridgeStatus is the state that the operator and the active runner last observed. The active
// runner owns runners without their images, lastTakeover, local, remote, buffer, unforwardable and
// deletion. It writes them only on transitions, together with the condition Ready that follows from
// them. The operator owns the other fields.
type MQTTBridgeStatus struct {
	// conditions are the conditions of the bridge: Ready, LocalConnected, RemoteConnected
	// and Degraded; and Reconciling, Stalled, Suspended and UpdateScheduled, which are present
	// only when True. Ready is absent while Suspended is True. observedGeneration of a condition that
	// describes the runner is the generation that the runner runs.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that the operator last
	// acted on. Reconciling or Stalled is present until a runner runs this generation, which
	// runners[].generation shows. It is -1 before the operator has seen the bridge.
	// +optional
	// +kubebuilder:validation:Minimum=-1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// runners are the runners of the bridge, as the active one reports them: the active one itself,
	// and its standby if there is one. An entry without a role is a remainder, which the operator
	// removes. The API server refuses the report of a runner if the status holds the report of a
	// runner that became active later.
	// +optional
	// +listType=map
	// +listMapKey=pod
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:XValidation:rule="!self.exists(r, has(r.role) && r.role == 'Active' && oldSelf.exists(o, has(o.role) && o.role == 'Active' && o.pod != r.pod && (has(o.term) && has(r.term) ? o.term > r.term : has(o.podTime) && has(r.podTime) && o.podTime > r.podTime)))",reason=FieldValueForbidden,message="the status holds the report of a later pod, or of a runner that became active later, which the report of this pod does not replace; no action is necessary: this pod is not active any more"
	Runners []RunnerStatus `json:"runners,omitempty"`

	// lastTakeover is the latest change of the active runner. It is absent if there was none since
	// the active runner started, and after a change until the bridge forwards again.
	// +optional
	LastTakeover *TakeoverRecord `json:"lastTakeover,omitempty"`

	// local is the state of the local side.
	// +optional
	Local *SideStatus `json:"local,omitempty"`

	// remote is the state of the remote side.
	// +optional
	Remote *SideStatus `json:"remote,omitempty"`

	// buffer is the state of the buffer on disk. It is absent if there is no buffer on
	// disk.
	// +optional
	Buffer *BufferStatus `json:"buffer,omitempty"`

	// unforwardable holds the latest message of each direction that no server accepts. It
	// changes at most once a minute. It is removed 10 minutes after the last such message,
	// or, if a message blocks its direction, when the message no longer does.
	// +optional
	Unforwardable *UnforwardableStatus `json:"unforwardable,omitempty"`

	// deletion is the progress of the deletion of the bridge. It is absent while the bridge is
	// not being deleted, and with deletionPolicy: Keep.
	// +optional
	Deletion *DeletionStatus `json:"deletion,omitempty"`
}

// ActiveRunner returns the runner that reported the state of the sides, or nil if there is none.
func (s *MQTTBridgeStatus) ActiveRunner() *RunnerStatus {
	for i := range s.Runners {
		if s.Runners[i].Role == RunnerActive {
			return &s.Runners[i]
		}
	}
	return nil
}
