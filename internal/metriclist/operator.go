// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package metriclist

// operator has the metrics of the operator.
var operator = []Metric{
	{"mqttbridge_bridge_ready", Gauge, Reconciled, []string{"namespace", "name"}, "State of the condition Ready of the bridge: 1 if it is True, otherwise 0."},
	{"mqttbridge_bridge_degraded", Gauge, Reconciled, []string{"namespace", "name"}, "State of the condition Degraded of the bridge: 1 if it is True, otherwise 0."},
	{"mqttbridge_bridge_stalled", Gauge, Reconciled, []string{"namespace", "name"}, "State of the condition Stalled of the bridge: 1 if it is True, otherwise 0."},
	{"mqttbridge_bridge_suspended", Gauge, Reconciled, []string{"namespace", "name"}, "State of the condition Suspended of the bridge: 1 if it is True, otherwise 0."},
	{"mqttbridge_bridge_active_server_place", Gauge, Reconciled, []string{"namespace", "name", "side"}, "Place of the server in use in the list of the side: 1 is the primary, 2 the first backup; 0 if no server is connected."},
	{"mqttbridge_bridge_generation_lag", Gauge, Reconciled, []string{"namespace", "name"}, "Number of generations of the spec that the runner does not run yet: metadata.generation of the bridge, less the generation of the runner. 0 while the bridge is suspended."},

	{"mqttbridge_operator_rollout_bridges", Gauge, Operator, []string{"state"}, "Number of bridges in a roll-out of a new version of the operator, or of a new default image of the runners: " +
		"waiting for the replacement of their pods, scheduled for the next update window, or recovering, that is, not yet as healthy as before the replacement."},
	{"mqttbridge_operator_build_info", Gauge, Operator, []string{"version", "revision", "goversion"}, "The value is 1. The labels are the version and the revision of the operator, and the version of Go."},
}
