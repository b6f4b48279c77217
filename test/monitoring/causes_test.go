// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import "time"

// situations has one situation for each alert and severity.
func situations() []situation {
	return []situation{
		{"MQTTBridgeNotReady", "critical", recorded, func(h *history, w *world) {
			w.operator = with(w.t, w.operator, 0, "mqttbridge_bridge_ready")
			h.stay(15*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeStalled", "warning", recorded, func(h *history, w *world) {
			w.operator = with(w.t, w.operator, 1, "mqttbridge_bridge_stalled")
			h.stay(15*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeDegraded", "warning", recorded, func(h *history, w *world) {
			w.operator = with(w.t, w.operator, 1, "mqttbridge_bridge_degraded")
			h.stay(2*time.Hour, w.targets()...)
		}},
		{"MQTTBridgeOnBackup", "warning", and(recorded, "side", "remote"), func(h *history, w *world) {
			w.operator = with(w.t, w.operator, 2, "mqttbridge_bridge_active_server_place", "side", "remote")
			h.stay(2*time.Hour, w.targets()...)
		}},
		{"MQTTBridgeChangeNotApplied", "warning", recorded, func(h *history, w *world) {
			w.operator = with(w.t, w.operator, 1, "mqttbridge_bridge_generation_lag")
			h.stay(30*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeNoServer", "critical", and(press, "side", "remote"), func(h *history, w *world) {
			w.runner = w.longCertificates(w.outage("4-no-server"))
			h.stay(5*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeServerDown", "warning", and(press, "side", "remote", "server", "primary"), func(h *history, w *world) {
			w.runner = w.longCertificates(w.outage("3-on-the-backup"))
			h.stay(15*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeCertificateExpiresSoon", "critical", and(press, "kind", "client"), func(h *history, w *world) {
			w.runner = w.outage("2-forwarding")
			h.stay(5*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeCertificateExpiresSoon", "warning", and(press, "kind", "ca"), func(h *history, w *world) {
			w.runner = w.outage("2-forwarding")
			h.stay(5*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeProtocolFaults", "info", and(press, "side", "remote", "kind", "topic"), func(h *history, w *world) {
			w.runner = with(w.t, w.runner, 2, "mqttbridge_protocol_faults_total", "side", "remote", "kind", "topic")
			h.stay(5*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeMessagesDropped", "warning", and(press, "direction", "localToRemote", "cause", "not_connected"), func(h *history, w *world) {
			w.runner = w.longCertificates(w.outage("4-no-server"))
			h.stay(5*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeBlocked", "critical", and(press, "direction", "localToRemote"), func(h *history, w *world) {
			w.runner = with(w.t, w.runner, 1, "mqttbridge_blocked", "direction", "localToRemote")
			h.stay(5*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeNoProgress", "warning", and(press, "direction", "localToRemote"), func(h *history, w *world) {
			w.runner = with(w.t, w.runner, 5, "mqttbridge_held_messages", "direction", "localToRemote")
			h.stay(20*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeIgnoredFields", "info", press, func(h *history, w *world) {
			w.runner = with(w.t, w.runner, 1, "mqttbridge_ignored_fields")
			h.stay(20*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeBufferAlmostFull", "critical", and(press, "direction", "localToRemote"), func(h *history, w *world) {
			w.runner = w.longCertificates(w.outage("5-backlog"))
			h.stay(5*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeBufferFullSoon", "warning", and(press, "direction", "localToRemote"), func(h *history, w *world) {
			h.grow(20*time.Minute, w, &w.runner, w.longCertificates(w.outage("5-backlog")))
		}},
		{"MQTTBridgeBacklogOld", "warning", and(press, "direction", "localToRemote"), func(h *history, w *world) {
			w.runner = with(w.t, w.runner, 4000, "mqttbridge_backlog_oldest_seconds", "direction", "localToRemote")
			h.stay(15*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeMemoryFull", "warning", and(press, "direction", "localToRemote"), func(h *history, w *world) {
			w.runner = with(w.t, w.runner, 8e6, "mqttbridge_held_bytes", "direction", "localToRemote")
			h.stay(20*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeBufferErrors", "critical", and(press, "direction", "localToRemote"), func(h *history, w *world) {
			w.runner = with(w.t, w.runner, 1, "mqttbridge_buffer_errors_total", "direction", "localToRemote")
			h.stay(5*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeNoActiveRunner", "critical", pair, func(h *history, w *world) {
			w.first = with(w.t, w.first, 0, "mqttbridge_member_active")
			h.stay(5*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeTwoActiveRunners", "critical", pair, func(h *history, w *world) {
			w.second = with(w.t, w.second, 1, "mqttbridge_member_active")
			h.stay(5*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeNoStandby", "warning", pair, func(h *history, w *world) {
			w.first, w.second = nil, w.member("2-second", "pair-bridge-2")
			h.stay(20*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeMembersNotConnected", "warning", pair, func(h *history, w *world) {
			w.first = with(w.t, w.first, 0, "mqttbridge_member_peer_connected")
			w.second = with(w.t, w.second, 0, "mqttbridge_member_peer_connected")
			h.stay(20*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeOperatorDown", "warning", nil, func(h *history, w *world) {
			w.operator = nil
			h.stay(20*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeOperatorNoLeader", "warning", map[string]string{"name": "listed.operator.mqttbridge.io"}, func(h *history, w *world) {
			w.operator = with(w.t, w.operator, 0, "leader_election_master_status")
			h.stay(15*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeReconcileErrors", "warning", map[string]string{"controller": "mqttbridge"}, func(h *history, w *world) {
			h.grow(30*time.Minute, w, &w.operator, with(w.t, w.operator, 100, "controller_runtime_reconcile_errors_total"))
		}},
		{"MQTTBridgeRolloutStopped", "warning", map[string]string{"state": "recovering"}, func(h *history, w *world) {
			w.operator = with(w.t, w.operator, 1, "mqttbridge_operator_rollout_bridges", "state", "recovering")
			h.stay(30*time.Minute, w.targets()...)
		}},
		{"MQTTBridgeRunnerRestarts", "warning", map[string]string{"namespace": "plant", "pod": "press-bridge-1"}, func(h *history, w *world) {
			h.grow(10*time.Minute, w, &w.pods, with(w.t, w.pods, 5, "kube_pod_container_status_restarts_total"))
		}},
		{"MQTTBridgeRunnerOutOfMemory", "warning", map[string]string{"namespace": "plant", "pod": "press-bridge-1"}, func(h *history, w *world) {
			w.pods = with(w.t, w.pods, 1, "kube_pod_container_status_last_terminated_reason")
			w.pods = with(w.t, w.pods, 1, "kube_pod_container_status_restarts_total")
			h.stay(5*time.Minute, w.targets()...)
		}},
	}
}
