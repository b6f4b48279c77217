// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BufferStatus is the state of the buffer on disk. The metrics mqttbridge_backlog_*
// report its size.
type BufferStatus struct {
	// localToRemote is the backlog of this direction.
	// +optional
	LocalToRemote *BacklogStatus `json:"localToRemote,omitempty"`

	// remoteToLocal is the backlog of this direction.
	// +optional
	RemoteToLocal *BacklogStatus `json:"remoteToLocal,omitempty"`
}

// BacklogStatus is the state of one direction's backlog.
type BacklogStatus struct {
	// state is Empty (messages are forwarded without the disk), Buffering (no server of the
	// destination is connected, and messages are written to the disk), Draining (the
	// backlog is sent to the destination), Full (the backlog has reached its size, or the
	// disk is full) or Failed (the disk cannot be written, or a part of the backlog cannot
	// be read).
	// +required
	State BacklogState `json:"state,omitempty"`

	// since is when the backlog entered this state.
	// +required
	Since metav1.Time `json:"since,omitzero"`

	// message describes the problem and the remedy. It is present if the state is Full or
	// Failed, or if messages were lost because of damage.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// BacklogState is the state of a backlog.
//
// +kubebuilder:validation:Enum=Empty;Buffering;Draining;Full;Failed
type BacklogState string

// The states of a backlog.
const (
	// BacklogEmpty: messages are forwarded without the disk.
	BacklogEmpty BacklogState = "Empty"
	// BacklogBuffering: no server of the destination is connected; messages are written to
	// the disk.
	BacklogBuffering BacklogState = "Buffering"
	// BacklogDraining: the backlog is sent to the destination, with live messages behind
	// it.
	BacklogDraining BacklogState = "Draining"
	// BacklogFull: the backlog has reached its size, or the disk is full; whenFull applies.
	BacklogFull BacklogState = "Full"
	// BacklogFailed: the disk cannot be written, or a part of the backlog cannot be read.
	// If the disk cannot be written, the bridge continues without it: messages that the
	// destination has not acknowledged are not acknowledged to the source, which keeps
	// them. A part that cannot be read is kept, and delivered when it can be read again.
	BacklogFailed BacklogState = "Failed"
)
