// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// PeerPort is the port on which a runner of a bridge with replicas: 2 accepts the other runner.
const PeerPort int32 = 8091

// Standby controls how the standby takes over.
type Standby struct {
	// leaseDurationSeconds is the time in seconds after which the standby takes over from an active
	// runner that does not answer, for example because its node is lost. It does not affect the
	// takeover after the end of a process, which takes milliseconds. The active runner renews its Lease three times in this
	// time: a shorter duration means more requests to the API server. A change replaces the pods,
	// the standby first. Range 3 to 60. Default 15.
	// +optional
	// +kubebuilder:validation:Minimum=3
	// +kubebuilder:validation:Maximum=60
	LeaseDurationSeconds *int32 `json:"leaseDurationSeconds,omitempty"`
}

// HasStandby reports whether two runners serve the bridge.
func (s *MQTTBridgeSpec) HasStandby() bool { return s.Replicas != nil && *s.Replicas == 2 }

// LeaseSeconds returns the duration of the Lease of a bridge with two runners.
func (s *MQTTBridgeSpec) LeaseSeconds() int32 {
	if s.Standby == nil || s.Standby.LeaseDurationSeconds == nil {
		return DefaultLeaseDurationSeconds
	}
	return *s.Standby.LeaseDurationSeconds
}
