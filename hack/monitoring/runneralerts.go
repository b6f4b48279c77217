// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

// The expressions of the runners' metrics combine the runners of a bridge, because the standby of
// two runners is connected to no server, and holds no messages.

func connectionAlerts() []alert {
	return []alert{
		newAlert("MQTTBridgeNoServer", critical, "2m",
			`max by (namespace, bridge, side) (mqttbridge_connected) == 0`,
			"No {{ $labels.side }} server is in use by "+ofRunner+".",
			"The {{ $labels.side }} side has had no connected server for 2 minutes, so that no messages pass. The bridge tries all servers of its list."),
		newAlert("MQTTBridgeServerDown", warning, "10m",
			`min by (namespace, bridge, side, server) (mqttbridge_server_up) == 0`,
			"The {{ $labels.side }} server {{ $labels.server }} of "+ofRunner+" is down.",
			"All attempts and probes have failed for 10 minutes. No failover to this server is possible."),
		newAlert("MQTTBridgeCertificateExpiresSoon", critical, "",
			`min by (namespace, bridge, side, server, kind) (mqttbridge_certificate_expiry_timestamp_seconds) - time() < 2 * 86400`,
			"A certificate of "+ofRunner+" expires in {{ $value | humanizeDuration }}.",
			"The certificate of the kind {{ $labels.kind }} for the {{ $labels.side }} server {{ $labels.server }} expires within 2 days. Then the bridge cannot connect to this server."),
		newAlert("MQTTBridgeCertificateExpiresSoon", warning, "",
			`min by (namespace, bridge, side, server, kind) (mqttbridge_certificate_expiry_timestamp_seconds) - time() < 14 * 86400 >= 2 * 86400`,
			"A certificate of "+ofRunner+" expires in {{ $value | humanizeDuration }}.",
			"The certificate of the kind {{ $labels.kind }} for the {{ $labels.side }} server {{ $labels.server }} expires within 14 days. Then the bridge cannot connect to this server."),
		newAlert("MQTTBridgeProtocolFaults", info, "",
			`sum by (namespace, bridge, side, kind) (increase(mqttbridge_protocol_faults_total[10m])) > 0`,
			"A {{ $labels.side }} server of "+ofRunner+" violates the MQTT protocol.",
			"{{ $value | humanize }} packets of the kind {{ $labels.kind }} in 10 minutes. The log of the runner has an example."),
	}
}

func messageAlerts() []alert {
	return []alert{
		newAlert("MQTTBridgeMessagesDropped", warning, "",
			`sum by (namespace, bridge, direction, cause) (increase(mqttbridge_messages_dropped_total{cause!="excluded"}[10m])) > 0`,
			"Messages of "+ofRunner+" are dropped ({{ $labels.cause }}).",
			"{{ $value | humanize }} messages of the direction {{ $labels.direction }} were dropped in 10 minutes with the cause {{ $labels.cause }}."),
		newAlert("MQTTBridgeBlocked", critical, "1m",
			`max by (namespace, bridge, direction) (mqttbridge_blocked) == 1`,
			"An unforwardable message blocks a direction of "+ofRunner+".",
			"No server accepts the oldest message of the direction {{ $labels.direction }}, and all messages behind it wait (delivery.unforwardable.policy: Block)."),
		newAlert("MQTTBridgeNoProgress", warning, "10m",
			`sum by (namespace, bridge, direction) (mqttbridge_held_messages) > 0 and sum by (namespace, bridge, direction) (rate(mqttbridge_messages_forwarded_total[5m])) == 0`,
			"Messages of "+ofRunner+" wait, and none is forwarded.",
			"{{ $value }} messages of the direction {{ $labels.direction }} are in memory, and for 10 minutes the destination has acknowledged none."),
		newAlert("MQTTBridgeIgnoredFields", info, "15m",
			`max by (namespace, bridge) (mqttbridge_ignored_fields) > 0`,
			"A runner ignores settings of "+ofRunner+".",
			"The version of the runner does not know {{ $value }} fields of the manifest. The log of the runner names them."),
	}
}

func bufferAlerts() []alert {
	const (
		backlog = `max by (namespace, bridge, direction) (mqttbridge_backlog_bytes)`
		disk    = `max by (namespace, bridge, direction) (mqttbridge_buffer_capacity_bytes{medium="disk"})`
	)
	return []alert{
		newAlert("MQTTBridgeBufferAlmostFull", critical, "1m",
			backlog+` / `+disk+` > 0.8`,
			"The buffer on disk of "+ofRunner+" is almost full.",
			"The backlog of the direction {{ $labels.direction }} uses {{ $value | humanizePercentage }} of the buffer. When it is full, buffer.disk.whenFull decides: messages wait at the source, or are dropped."),
		newAlert("MQTTBridgeBufferFullSoon", warning, "10m",
			`max by (namespace, bridge, direction) (predict_linear(mqttbridge_backlog_bytes[30m], 4 * 3600)) > `+disk+` and `+backlog+` > 0`,
			"The buffer on disk of "+ofRunner+" will be full within 4 hours.",
			"The backlog of the direction {{ $labels.direction }} has grown for 10 minutes so fast that the buffer will be full within 4 hours."),
		newAlert("MQTTBridgeBacklogOld", warning, "5m",
			`max by (namespace, bridge, direction) (mqttbridge_backlog_oldest_seconds) > 3600`,
			"Messages of "+ofRunner+" have waited for {{ $value | humanizeDuration }}.",
			"The backlog of the direction {{ $labels.direction }} does not drain: the destination is down, or slower than the source."),
		newAlert("MQTTBridgeMemoryFull", warning, "10m",
			`max by (namespace, bridge, direction) (mqttbridge_held_bytes) / max by (namespace, bridge, direction) (mqttbridge_buffer_capacity_bytes{medium="memory"}) > 0.9`,
			"The memory buffer of "+ofRunner+" is full.",
			"Messages of the direction {{ $labels.direction }} have used {{ $value | humanizePercentage }} of the buffer in memory for 10 minutes. New messages of QoS 1 and 2 wait at the source."),
		newAlert("MQTTBridgeBufferErrors", critical, "",
			`sum by (namespace, bridge, direction) (increase(mqttbridge_buffer_errors_total[10m])) > 0`,
			"The buffer on disk of "+ofRunner+" fails.",
			"{{ $value | humanize }} reads or writes of the direction {{ $labels.direction }} have failed in 10 minutes. The bridge continues as without a disk."),
	}
}

func pairAlerts() []alert {
	return []alert{
		newAlert("MQTTBridgeNoActiveRunner", critical, "1m",
			`sum by (namespace, bridge) (mqttbridge_member_active) == 0`,
			"No runner of "+ofRunner+" is active.",
			"All runners of the bridge have been standbys for a minute, so that no messages pass."),
		newAlert("MQTTBridgeTwoActiveRunners", critical, "1m",
			`sum by (namespace, bridge) (mqttbridge_member_active) > 1`,
			"{{ $value }} runners of "+ofRunner+" are active.",
			"Several runners have been active for a minute. Each server permits only one of them, so that they end each other's sessions."),
		newAlert("MQTTBridgeNoStandby", warning, "10m",
			`count by (namespace, bridge) (mqttbridge_member_active) unless count by (namespace, bridge) (mqttbridge_member_warm == 1 and mqttbridge_member_active == 0)`,
			"No standby of "+ofRunner+" is ready.",
			"For 10 minutes no second runner could have taken over at once. If the active runner ends, the bridge is interrupted until a new one has started."),
		newAlert("MQTTBridgeMembersNotConnected", warning, "10m",
			`max by (namespace, bridge) (mqttbridge_member_peer_connected) == 0 and count by (namespace, bridge) (mqttbridge_member_active) > 1`,
			"The runners of "+ofRunner+" are not connected to each other.",
			"Both runners have run for 10 minutes without a connection to each other. A takeover then takes longer, and the standby cannot resume all sessions."),
	}
}
