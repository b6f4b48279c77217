// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SideStatus is the state of one side.
type SideStatus struct {
	// clientID is the MQTT client identifier that the bridge uses with the servers of this
	// side.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	ClientID string `json:"clientID,omitempty"`

	// active is the server in use. It is absent while no server is connected.
	// +optional
	Active *ActiveServer `json:"active,omitempty"`

	// servers are all servers of the side: the primary, then the backups in their order. If a
	// change of the spec has removed the server in use, this server is the last one, until
	// another server is in use; it is left out if the side has 16 other servers.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Servers []ServerStatus `json:"servers,omitempty"`

	// switches is the number of changes from one server of the side to another since the
	// runner started, including failbacks and requested switches.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Switches *int64 `json:"switches,omitempty"`

	// lastFailover is the latest change from one server of the side to another, including
	// failbacks and requested switches.
	// +optional
	LastFailover *FailoverRecord `json:"lastFailover,omitempty"`

	// shortfalls are the features that the server in use does not provide as configured, and
	// changed credentials that cannot be used, at most one per reason. Each makes the bridge
	// Degraded. They are absent while no server is connected.
	// +optional
	// +listType=map
	// +listMapKey=reason
	// +kubebuilder:validation:MaxItems=16
	Shortfalls []Shortfall `json:"shortfalls,omitempty"`

	// requestedSwitch is the state of the switch that preferredServer of this side requests.
	// It is absent if no server is requested.
	// +optional
	RequestedSwitch *RequestedSwitch `json:"requestedSwitch,omitempty"`
}

// Shortfall is a feature that a connected server does not provide as configured.
type Shortfall struct {
	// reason is a reason of the condition Degraded, such as QoSLowered.
	// +required
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z]+([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`
	Reason string `json:"reason,omitempty"`

	// message describes the missing feature, its effect, and the remedy.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// RequestedSwitch is the state of a requested switch.
type RequestedSwitch struct {
	// server is the name of the requested server.
	// +required
	// +kubebuilder:validation:MaxLength=300
	Server string `json:"server,omitempty"`

	// generation is the metadata.generation of the manifest in which the runner found this
	// request first. It is absent if the manifest has no generation, as without Kubernetes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Generation int64 `json:"generation,omitempty"`

	// state is Pending while the switch is in progress, Done when the server is in use, or
	// Refused if the switch cannot be made; the message gives the cause.
	// +required
	State SwitchState `json:"state,omitempty"`

	// message describes the result of the request and, if necessary, the remedy.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`

	// time is when the request entered this state.
	// +required
	Time metav1.MicroTime `json:"time,omitzero"`
}

// SwitchState is the progress of a requested switch.
//
// +kubebuilder:validation:Enum=Pending;Done;Refused
type SwitchState string

// The states of a requested switch.
const (
	SwitchPending SwitchState = "Pending"
	SwitchDone    SwitchState = "Done"
	SwitchRefused SwitchState = "Refused"
)

// FailoverRecord is one change from a server to another.
type FailoverRecord struct {
	// from is the name of the previous server.
	// +required
	From string `json:"from,omitempty"`

	// to is the name of the new server.
	// +required
	To string `json:"to,omitempty"`

	// reason is why the bridge stopped using the previous server: the reason of that
	// server's failure; or FailedBack if the bridge returned to a server of higher
	// preference; or SwitchRequested if preferredServer requested the switch; or
	// ServerRemoved if a change of the spec removed the previous server.
	// +required
	Reason string `json:"reason,omitempty"`

	// time is when the new server was connected.
	// +required
	Time metav1.MicroTime `json:"time,omitzero"`

	// silentMilliseconds is the time in milliseconds for which the previous server had left
	// the bridge without an answer when the bridge detected its loss: since its latest
	// acknowledgement if messages were in flight, or since it last sent anything if it did
	// not answer a ping. It is 0 if the bridge waited for no answer. It is present only if
	// the previous server was lost.
	// +optional
	// +kubebuilder:validation:Minimum=0
	SilentMilliseconds *int64 `json:"silentMilliseconds,omitempty"`

	// durationMilliseconds is the time in milliseconds in which no server accepted
	// messages. It starts when the bridge detected the loss of the previous server or, in a
	// switch, stopped sending messages to it. It ends when the new server was ready.
	// +required
	// +kubebuilder:validation:Minimum=0
	DurationMilliseconds *int64 `json:"durationMilliseconds,omitempty"`

	// drained is the number of messages in flight that the previous server acknowledged
	// before the bridge disconnected from it. It is present only if that server was not
	// lost.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Drained *int64 `json:"drained,omitempty"`

	// resent is the number of messages in flight that the previous server did not
	// acknowledge in time, and that were sent again to the new server. It is present only
	// if the previous server was not lost.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Resent *int64 `json:"resent,omitempty"`
}
