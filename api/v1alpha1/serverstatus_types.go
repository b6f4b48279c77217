// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ActiveServer is the server in use.
type ActiveServer struct {
	// name is the name of the server.
	// +required
	Name string `json:"name,omitempty"`

	// url is the URL of the server, with its query masked.
	// +required
	URL string `json:"url,omitempty"`

	// role is Primary or Backup.
	// +required
	Role ServerRole `json:"role,omitempty"`

	// place is the server's place in the side's list: 1 is the primary, 2 the first backup
	// and so on. A server that a change of the spec has removed comes after the others.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16
	Place int32 `json:"place,omitempty"`

	// since is when the server was connected.
	// +required
	Since metav1.Time `json:"since,omitzero"`
}

// ServerRole is the role of a server in its list.
//
// +kubebuilder:validation:Enum=Primary;Backup
type ServerRole string

// The roles of a server.
const (
	RolePrimary ServerRole = "Primary"
	RoleBackup  ServerRole = "Backup"
)

// ServerStatus is the state of one server.
type ServerStatus struct {
	// name is the name of the server.
	// +required
	Name string `json:"name,omitempty"`

	// url is the URL of the server, with its query masked.
	// +required
	URL string `json:"url,omitempty"`

	// state is Active (in use), Standby (not in use, and not known to have failed) or
	// Failed (lost, or its latest attempt or probe has failed).
	// +required
	State ServerState `json:"state,omitempty"`

	// since is when the server entered this state.
	// +required
	Since metav1.Time `json:"since,omitzero"`

	// lastError is the latest failure of the server. It is absent if the server has not
	// failed, or has been connected or has passed a probe since its latest failure.
	// +optional
	LastError *ServerError `json:"lastError,omitempty"`
}

// ServerState is the state of a server.
//
// +kubebuilder:validation:Enum=Active;Standby;Failed
type ServerState string

// The states of a server.
const (
	// ServerActive is the server in use.
	ServerActive ServerState = "Active"
	// ServerStandby is a server that is not in use, and that has passed its latest probe or
	// is not known to have failed.
	ServerStandby ServerState = "Standby"
	// ServerFailed is a server that was lost, or whose latest attempt or probe failed.
	ServerFailed ServerState = "Failed"
)

// ServerError is why a server failed.
type ServerError struct {
	// reason is the cause of the failure in CamelCase, such as AuthenticationFailed.
	// docs/troubleshooting.md explains all of them.
	// +required
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z]+([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`
	Reason string `json:"reason,omitempty"`

	// message describes the failure and the remedy.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}
