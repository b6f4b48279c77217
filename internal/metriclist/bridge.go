// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package metriclist

// bridge has the metrics of each bridge that a runner runs.
var bridge = []Metric{
	{"mqttbridge_messages_forwarded_total", Counter, Bridge, []string{"direction"}, "Number of messages that the destination has acknowledged. A QoS 0 message counts when it is written to the connection."},
	{"mqttbridge_forwarded_bytes_total", Counter, Bridge, []string{"direction"}, "Payload size of the forwarded messages, in bytes."},
	{"mqttbridge_messages_dropped_total", Counter, Bridge, []string{"direction", "cause"}, "Number of messages that were not forwarded, by cause. docs/monitoring.md explains the causes."},
	{"mqttbridge_rule_messages_total", Counter, Bridge, []string{"direction", "rule", "result"}, "Number of messages that the filter of the rule matched, by result: routed (passed on to the destination), or the cause for which this rule did not forward the message."},
	{"mqttbridge_protocol_faults_total", Counter, Bridge, []string{"side", "kind"}, "Number of packets from servers of the side that violated the protocol and did not end the connection, by kind. docs/monitoring.md explains the kinds. Invalid properties are removed; messages that are dropped are also counted in mqttbridge_messages_dropped_total."},
	{"mqttbridge_blocked", Gauge, Bridge, []string{"direction"}, "State of the direction: 1 if an unforwardable message blocks all messages behind it (delivery.unforwardable.policy: Block), otherwise 0."},
	{"mqttbridge_messages_resent_total", Counter, Bridge, []string{"direction"}, "Number of messages that were sent again after a connection was lost. A message that the lost server had already accepted arrives twice."},
	{"mqttbridge_messages_redelivered_total", Counter, Bridge, []string{"direction"}, "Number of messages that the source sent again while the runner held them. They are forwarded only once."},
	{"mqttbridge_held_messages", Gauge, Bridge, []string{"direction"}, "Number of messages in memory: received, or read from the disk, and not acknowledged by the destination."},
	{"mqttbridge_held_bytes", Gauge, Bridge, []string{"direction"}, "Size of the QoS 1 and 2 messages in memory that are not acknowledged to their source, in bytes."},
	{"mqttbridge_inflight_messages", Gauge, Bridge, []string{"direction"}, "Number of QoS 1 and 2 messages that were sent to the destination and are not acknowledged."},
	{"mqttbridge_forwarding_latency_seconds", Histogram, Bridge, []string{"direction"}, "Time from the arrival of a message until the destination acknowledges it, in seconds. At QoS 0, the time ends when the message is written to the connection."},
	{"mqttbridge_ignored_fields", Gauge, Bridge, nil, "Number of fields of the manifest that this version of the runner does not know and ignores."},
	{"mqttbridge_connected", Gauge, Bridge, []string{"side"}, "State of the side: 1 if a server is connected, otherwise 0."},
	{"mqttbridge_active_server", Gauge, Bridge, []string{"side", "server"}, "State of the server: 1 if it is active, otherwise 0."},
	{"mqttbridge_server_up", Gauge, Bridge, []string{"side", "server"}, "State of the server: 1 if it is active, or if its latest attempt or probe has succeeded; 0 if it was lost, or if its latest attempt or probe has failed. It is absent before the first attempt or probe."},
	{"mqttbridge_switches_total", Counter, Bridge, []string{"side", "cause"}, "Number of changes from one server of the side to another, by cause: the reason for the loss of the previous server, FailedBack, SwitchRequested or ServerRemoved."},
	{"mqttbridge_connection_failures_total", Counter, Bridge, []string{"side", "server", "reason"}, "Number of failed attempts to connect, by reason."},
	{"mqttbridge_probes_total", Counter, Bridge, []string{"side", "server", "result"}, "Number of probes of servers that are not active, by result: passed, or the reason for the failure."},
	{"mqttbridge_switch_duration_seconds", Histogram, Bridge, []string{"side"}, "Time without a server that accepts messages, in seconds: from the loss of the active server, or from the start of the drain before a switch, until a server is ready."},
	{"mqttbridge_loss_silence_seconds", Histogram, Bridge, []string{"side"}, "Time for which the lost server had not answered when the bridge detected the loss, in seconds: since its latest acknowledgement if messages were in flight, or since it last sent anything if it did not answer a ping; otherwise 0."},
	{"mqttbridge_tls_handshakes_total", Counter, Bridge, []string{"side", "server", "kind"}, "Number of successful TLS handshakes, by kind: full, or resumed if it resumed a TLS session."},
	{"mqttbridge_tls_handshake_duration_seconds", Histogram, Bridge, []string{"side", "kind"}, "Duration of successful TLS handshakes, in seconds."},
	{"mqttbridge_certificate_expiry_timestamp_seconds", Gauge, Bridge, []string{"side", "server", "kind"}, "Time at which the certificate expires, as Unix time in seconds, by kind: server (the server's own certificate), ca (the certificate of the trusted authority at the end of its chain) or client (the client certificate of the bridge). The latest successful TLS handshake sets it; it is absent before the first one."},
	{"mqttbridge_backlog_messages", Gauge, Bridge, []string{"direction"}, "Number of messages in the buffer: on disk, and QoS 0 messages in memory while the destination is down."},
	{"mqttbridge_backlog_bytes", Gauge, Bridge, []string{"direction"}, "Size of the messages in the buffer, in bytes."},
	{"mqttbridge_backlog_oldest_seconds", Gauge, Bridge, []string{"direction"}, "Time since the oldest message in the buffer arrived at the runner, in seconds. 0 if the buffer is empty."},
	{"mqttbridge_buffer_capacity_bytes", Gauge, Bridge, []string{"direction", "medium"}, "Size up to which a direction buffers messages, in bytes, by medium: memory (separately for QoS 0, and for QoS 1 and 2) or disk, which is absent without a buffer on disk."},
	{"mqttbridge_buffer_errors_total", Counter, Bridge, []string{"direction"}, "Number of failures of the buffer on disk: failed writes, failed reads and damaged files."},
}
