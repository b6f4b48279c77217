// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// RunnerStatus identifies a runner and the manifest that it runs. The entry of a standby has only the
// fields that the active runner knows.
type RunnerStatus struct {
	// pod is the name of the runner's pod.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`

	// role is Active (it forwards messages, or will as soon as servers are connected) or Standby (it
	// forwards nothing, and takes over if the active runner ends).
	// +optional
	Role RunnerRole `json:"role,omitempty"`

	// since is when the runner took this role.
	// +optional
	Since metav1.Time `json:"since,omitzero"`

	// warm is true if a standby can take over at once: it is connected to the active runner, has
	// loaded the manifest and probed the servers, and reaches the servers in use. It is absent for
	// the active runner.
	// +optional
	Warm *bool `json:"warm,omitempty"`

	// term is the number of changes of the active runner before this one, as the Lease of the bridge
	// counts them. It orders the reports of two runners. It is absent for a standby, and with
	// replicas: 1.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Term *int64 `json:"term,omitempty"`

	// podTime is when the API server issued the credentials of the pod. It orders the pods
	// of a bridge if they have no term, because the clocks of nodes may differ.
	// +optional
	PodTime metav1.Time `json:"podTime,omitzero"`

	// node is the name of the node on which the pod runs.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`

	// image is the image of the runner's container as the pod's spec names it, which an
	// admission webhook may have chosen. The operator sets it after the pod has reported. It
	// is cut after 1,024 bytes.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Image string `json:"image,omitempty"`

	// version is the version of the runner program: the version of its module, and the
	// revision of its source.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Version string `json:"version,omitempty"`

	// generation is metadata.generation of the manifest that the runner runs. If it is less
	// than metadata.generation of the bridge, the latest change of the spec is not in effect.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Generation int64 `json:"generation,omitempty"`

	// refused is the manifest that the runner cannot apply. The runner continues with the
	// manifest of the generation above. It is absent if there is none.
	// +optional
	Refused *RefusedManifest `json:"refused,omitempty"`

	// startTime is when the runner started. The counts in local and remote start at this
	// time.
	// +optional
	StartTime metav1.Time `json:"startTime,omitzero"`

	// stopTime is when the runner began to stop. It then accepts no more messages, and
	// waits until the destinations have acknowledged the messages that it holds. It is
	// absent while the runner runs.
	// +optional
	StopTime metav1.Time `json:"stopTime,omitzero"`

	// reportTime is when the runner last reported a change.
	// +optional
	ReportTime metav1.Time `json:"reportTime,omitzero"`
}

// RunnerRole is the role of a runner.
//
// +kubebuilder:validation:Enum=Active;Standby
type RunnerRole string

// The roles of a runner.
const (
	RunnerActive  RunnerRole = "Active"
	RunnerStandby RunnerRole = "Standby"
)

// TakeoverRecord is one change of the active runner.
type TakeoverRecord struct {
	// from is the pod of the previous active runner. It is absent if it is not known.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	From string `json:"from,omitempty"`

	// to is the pod of the new active runner. It is the same pod if its process has started again.
	// +required
	// +kubebuilder:validation:MaxLength=253
	To string `json:"to,omitempty"`

	// reason is HandedOver (the previous runner has drained its sessions and has made the new one
	// active), PeerEnded (its process has ended), LeaseExpired (it has not renewed the Lease) or
	// LeaseReleased (the Lease had no holder).
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// time is when both sides were connected again.
	// +required
	Time metav1.MicroTime `json:"time,omitzero"`

	// gapMilliseconds is the time in milliseconds in which no runner forwarded messages. It starts
	// with the last sign of life of the previous runner, or the end of its sessions. It ends when both
	// sides were connected.
	// +required
	// +kubebuilder:validation:Minimum=0
	GapMilliseconds *int64 `json:"gapMilliseconds,omitempty"`
}

// The reasons of a TakeoverRecord.
const (
	TakeoverHandedOver    = "HandedOver"
	TakeoverPeerEnded     = "PeerEnded"
	TakeoverLeaseExpired  = "LeaseExpired"
	TakeoverLeaseReleased = "LeaseReleased"
)

// RefusedManifest is a manifest that a runner cannot apply.
type RefusedManifest struct {
	// generation is metadata.generation of the manifest.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Generation int64 `json:"generation,omitempty"`

	// message is why the runner cannot apply the manifest and, if necessary, the remedy.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}
