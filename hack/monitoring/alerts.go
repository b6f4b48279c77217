// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

// The expressions of the operator's metrics use max by (namespace, name), because the labels of
// the operator's pod change when another replica becomes active.

func bridgeAlerts() []alert {
	return []alert{
		newAlert("MQTTBridgeNotReady", critical, "5m",
			`max by (namespace, name) (mqttbridge_bridge_ready) == 0 unless max by (namespace, name) (mqttbridge_bridge_suspended) == 1`,
			ofOperator+" does not forward.",
			"The condition Ready has not been True for 5 minutes. Its reason and message give the cause and the remedy."),
		newAlert("MQTTBridgeStalled", warning, "5m",
			`max by (namespace, name) (mqttbridge_bridge_stalled) == 1`,
			ofOperator+" has a spec that the operator cannot apply.",
			"The condition Stalled has been True for 5 minutes: a user must act. The latest generation that could be applied continues to run."),
		newAlert("MQTTBridgeDegraded", warning, "1h",
			`max by (namespace, name) (mqttbridge_bridge_degraded) == 1`,
			ofOperator+" has less redundancy than its spec requires, or a problem of its buffer.",
			"The condition Degraded has been True for an hour. Its message gives the cause."),
		newAlert("MQTTBridgeOnBackup", warning, "1h",
			`max by (namespace, name, side) (mqttbridge_bridge_active_server_place) > 1`,
			ofOperator+" has used a backup of its {{ $labels.side }} side for an hour.",
			"The server in use has the place {{ $value }} in the list of the side. The primary is down, or a user has requested a backup, or failback is not permitted now."),
		newAlert("MQTTBridgeChangeNotApplied", warning, "15m",
			`max by (namespace, name) (mqttbridge_bridge_generation_lag) > 0`,
			ofOperator+" does not run its latest spec.",
			"The runner has been {{ $value }} generations behind for 15 minutes. The conditions Reconciling and Stalled give the cause."),
	}
}

func operatorAlerts() []alert {
	return []alert{
		newAlert("MQTTBridgeOperatorDown", warning, "5m",
			`absent(mqttbridge_operator_build_info)`,
			"Prometheus finds no operator for MQTT bridges.",
			"No replica of the operator has been scraped for 5 minutes. The bridges continue to forward and to fail over. Changes of bridges have no effect."),
		newAlert("MQTTBridgeOperatorNoLeader", warning, "5m",
			`max by (name) (leader_election_master_status{name=~"(.+[.])?operator[.]mqttbridge[.]io"}) == 0`,
			"No replica of the operator is active.",
			"No replica has held the Lease {{ $labels.name }} for 5 minutes. The bridges continue to forward and to fail over. Changes of bridges have no effect."),
		newAlert("MQTTBridgeReconcileErrors", warning, "15m",
			`sum by (controller) (increase(controller_runtime_reconcile_errors_total{controller="mqttbridge"}[10m])) > 5`,
			"The operator cannot reconcile bridges.",
			"{{ $value | humanize }} passes have failed in 10 minutes. The log of the operator gives the causes."),
		newAlert("MQTTBridgeRolloutStopped", warning, "15m",
			// In a large fleet, some bridges always recover while a roll-out proceeds.
			`max by (state) (mqttbridge_operator_rollout_bridges{state="recovering"}) > 0 and on () sum(max by (state) (mqttbridge_operator_rollout_bridges)) >= sum(max by (state) (mqttbridge_operator_rollout_bridges offset 10m))`,
			"A roll-out of the operator has stopped.",
			"{{ $value }} bridges have not become as healthy as before the replacement of their pods, and no bridge has for 15 minutes. The other bridges keep their pods."),
	}
}

func podAlerts() []alert {
	return []alert{
		newAlert("MQTTBridgeRunnerRestarts", warning, "",
			`sum by (namespace, pod) (increase(kube_pod_container_status_restarts_total{container="bridge-runner"}[30m])) > 2`,
			"The runner {{ $labels.namespace }}/{{ $labels.pod }} restarts again and again.",
			"The container has restarted {{ $value | humanize }} times in 30 minutes."),
		newAlert("MQTTBridgeRunnerOutOfMemory", warning, "",
			`sum by (namespace, pod) (increase(kube_pod_container_status_restarts_total{container="bridge-runner"}[30m])) > 0 and on (namespace, pod) max by (namespace, pod) (kube_pod_container_status_last_terminated_reason{container="bridge-runner", reason="OOMKilled"}) == 1`,
			"The runner {{ $labels.namespace }}/{{ $labels.pod }} was ended because it used more memory than its limit.",
			"The kernel has ended the container within the last 30 minutes. Messages of QoS 1 and 2 are not lost."),
	}
}
