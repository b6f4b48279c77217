// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/internal/count"
)

// DeletionFinalizer is the finalizer of bridges whose deletionPolicy is not Keep.
const DeletionFinalizer = "mqttbridge.io/deletion"

// DeletionPolicy is the treatment of sessions and messages when a bridge is deleted.
//
// +kubebuilder:validation:Enum=Keep;EndSessions;Drain
type DeletionPolicy string

// The deletion policies.
const (
	DeletionKeep        DeletionPolicy = "Keep"
	DeletionEndSessions DeletionPolicy = "EndSessions"
	DeletionDrain       DeletionPolicy = "Drain"
)

// DeletionStatus is the progress of the deletion of a bridge.
type DeletionStatus struct {
	// state is Draining while messages are being delivered, EndingSessions while sessions are
	// being ended, or Complete when nothing is left to do.
	// +required
	State DeletionState `json:"state,omitempty"`

	// messages is the number of messages in the runner and its buffer on disk that are not
	// delivered. It changes at most every 5 seconds. It is absent if the runner does not know
	// the number.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Messages *int64 `json:"messages,omitempty"`

	// sessions are the sessions and retained notifications that remain on servers.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Sessions []RemainingSession `json:"sessions,omitempty"`
}

// DeletionState is the step of a deletion.
//
// +kubebuilder:validation:Enum=Draining;EndingSessions;Complete
type DeletionState string

// The steps of a deletion.
const (
	DeletionDraining       DeletionState = "Draining"
	DeletionEndingSessions DeletionState = "EndingSessions"
	DeletionComplete       DeletionState = "Complete"
)

// RemainingSession is a server on which the deletion is not complete.
type RemainingSession struct {
	// side is local or remote.
	// +required
	// +kubebuilder:validation:Enum=local;remote
	Side string `json:"side,omitempty"`

	// server is the name of the server.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=300
	Server string `json:"server,omitempty"`

	// clientID is the client identifier of the session. It is absent if the server holds no
	// session but only the retained notification.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	ClientID string `json:"clientID,omitempty"`

	// notification is the topic of the retained notification on the server. It is absent if the
	// bridge has no notifications.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Notification string `json:"notification,omitempty"`

	// lastError is why the latest attempt failed. It is absent before the first failure.
	// +optional
	LastError *ServerError `json:"lastError,omitempty"`
}

// String describes what remains on the server.
func (s *RemainingSession) String() string {
	var parts []string
	if s.ClientID != "" {
		parts = append(parts, fmt.Sprintf("the session of client identifier %q", s.ClientID))
	}
	if s.Notification != "" {
		parts = append(parts, fmt.Sprintf("the retained notification %q", s.Notification))
	}
	text := fmt.Sprintf("%s server %s: %s", s.Side, s.Server, strings.Join(parts, " and "))
	if s.LastError != nil {
		text += fmt.Sprintf(" (%s: %s)", s.LastError.Reason, s.LastError.Message)
	}
	return text
}

// Remains names the messages and the sessions that remain, or is empty if nothing remains.
func (d *DeletionStatus) Remains() string {
	var parts []string
	if d.Messages != nil && *d.Messages > 0 {
		parts = append(parts, count.Of(*d.Messages, "undelivered message"))
	}
	for i := range d.Sessions {
		parts = append(parts, d.Sessions[i].String())
	}
	return strings.Join(parts, "; ")
}

// DeletingCondition returns the Ready condition of a bridge that is being deleted, without its
// times. The runner reports it together with the progress d.
func DeletingCondition(generation int64, d *DeletionStatus) metav1.Condition {
	c := metav1.Condition{Type: ConditionReady, Status: metav1.ConditionFalse, Reason: ReasonDeleting, ObservedGeneration: generation}
	remains := d.Remains()
	switch d.State {
	case DeletionComplete:
		c.Message = "the bridge is being deleted; its sessions have ended"
	case DeletionDraining:
		c.Message = "the bridge is being deleted; it delivers the remaining messages, and then ends its sessions"
	default:
		c.Message = "the bridge is being deleted; it ends its sessions"
	}
	if remains != "" {
		c.Message += "; these remain: " + remains
	}
	return c
}
