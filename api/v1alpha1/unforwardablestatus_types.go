// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// UnforwardableStatus holds the latest message of each direction that no server accepts.
type UnforwardableStatus struct {
	// localToRemote is the latest such message of this direction.
	// +optional
	LocalToRemote *UnforwardableMessage `json:"localToRemote,omitempty"`

	// remoteToLocal is the latest such message of this direction.
	// +optional
	RemoteToLocal *UnforwardableMessage `json:"remoteToLocal,omitempty"`
}

// UnforwardableMessage is a message that no server accepts.
type UnforwardableMessage struct {
	// topic is the topic of the message on its destination. It is cut after 256 bytes, and
	// characters that cannot be printed are escaped.
	// +required
	// +kubebuilder:validation:MaxLength=256
	Topic string `json:"topic,omitempty"`

	// bytes is the size of the payload in bytes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Bytes *int64 `json:"bytes,omitempty"`

	// reason is Refused (the server refuses the message by a reason code), TooLarge (the
	// message exceeds the server's maximum packet size) or EndsSession (the server ends the
	// session when it receives the message).
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// message describes the server's answer, the treatment of the message, and the remedy.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// time is when the runner found that the message is unforwardable.
	// +required
	Time metav1.MicroTime `json:"time,omitzero"`

	// blocking is true while the message blocks all later messages of its direction
	// (delivery.unforwardable.policy: Block).
	// +optional
	Blocking *bool `json:"blocking,omitempty"`
}
