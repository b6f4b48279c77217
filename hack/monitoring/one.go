// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

// selected selects the series of the runners of one bridge, without the closing brace.
const selected = `{namespace="$namespace", bridge="$bridge"`

// of returns a metric of the selected bridge. matchers are further ones, each after a comma.
func of(metric, matchers string) string { return metric + selected + matchers + "}" }

// rate returns the rate of a counter of the selected bridge, summed by labels.
func rate(by, metric string) string {
	return "sum by (" + by + ") (rate(" + of(metric, "") + "[$__rate_interval]))"
}

// latest returns a gauge of the selected bridge. Of two runners, the standby has 0.
func latest(by, metric string) string { return "max by (" + by + ") (" + of(metric, "") + ")" }

// one returns the dashboard of one bridge.
func one() dashboard {
	d := newDashboard("mqttbridge-bridge", "MQTT bridges: one bridge",
		"The connections, messages and buffers of one bridge.",
		values("namespace", "Namespace", "mqttbridge_connected", false),
		values("bridge", "Bridge", `mqttbridge_connected{namespace="$namespace"}`, false))
	l := &layout{}
	l.row("State")
	oneState(l)
	l.row("Messages")
	oneMessages(l)
	l.row("Buffers")
	oneBuffers(l)
	l.row("Connections")
	oneConnections(l)
	l.row("Runners")
	oneRunners(l)
	d.Panels = l.panels
	return d
}

func oneState(l *layout) {
	const operator = `{namespace="$namespace", name="$bridge"})`
	l.states("Ready", "The condition Ready, as the operator reports it.", bad("False"), good("True"),
		query{"max by (name) (mqttbridge_bridge_ready" + operator, "Ready"})
	l.states("Other conditions", "As the operator reports them.", neutral("False"), bad("True"),
		query{"max by (name) (mqttbridge_bridge_degraded" + operator, "Degraded"},
		query{"max by (name) (mqttbridge_bridge_stalled" + operator, "Stalled"},
		query{"max by (name) (mqttbridge_bridge_suspended" + operator, "Suspended"})
	l.states("Sides", "", bad("not connected"), good("connected"), query{latest("side", "mqttbridge_connected"), "{{side}}"})
	l.states("Servers in use", "", neutral("no"), good("in use"), query{latest("side, server", "mqttbridge_active_server"), "{{side}} {{server}}"})
	l.states("Servers", "A server is up if its latest attempt or probe has succeeded.", bad("down"), good("up"),
		query{"min by (side, server) (" + of("mqttbridge_server_up", "") + ")", "{{side}} {{server}}"})
	l.states("Blocked directions", "An unforwardable message blocks all messages behind it.", good("no"), bad("blocked"),
		query{latest("direction", "mqttbridge_blocked"), "{{direction}}"})
}

func oneMessages(l *layout) {
	l.graph("Forwarded messages", "", unitMessages, query{rate("direction", "mqttbridge_messages_forwarded_total"), "{{direction}}"})
	l.graph("Forwarded payload", "", unitBytesPerS, query{rate("direction", "mqttbridge_forwarded_bytes_total"), "{{direction}}"})
	l.graph("Latency", "Time from the arrival of a message until the destination acknowledges it.", unitSeconds,
		query{quantile("0.5", "mqttbridge_forwarding_latency_seconds", selected+"}", "direction"), "half, {{direction}}"},
		query{quantile("0.99", "mqttbridge_forwarding_latency_seconds", selected+"}", "direction"), "99 %, {{direction}}"})
	l.graph("Dropped messages", "The documentation explains the causes.", unitMessages, query{rate("direction, cause", "mqttbridge_messages_dropped_total") + " > 0", "{{direction}} {{cause}}"})
	l.graph("Messages that were sent again", "After the loss of a connection, by the bridge or by the source.", unitMessages,
		query{rate("direction", "mqttbridge_messages_resent_total"), "by the bridge, {{direction}}"},
		query{rate("direction", "mqttbridge_messages_redelivered_total"), "by the source, {{direction}}"})
	l.graph("Messages of each rule", "", unitMessages, query{rate("direction, rule, result", "mqttbridge_rule_messages_total") + " > 0", "{{direction}} {{rule}} {{result}}"})
	l.graph("Messages in memory", "", unitNone,
		query{latest("direction", "mqttbridge_held_messages"), "not acknowledged, {{direction}}"},
		query{latest("direction", "mqttbridge_inflight_messages"), "in flight, {{direction}}"})
}

func oneBuffers(l *layout) {
	l.graph("Backlog", "", unitNone, query{latest("direction", "mqttbridge_backlog_messages"), "{{direction}}"})
	l.graph("Age of the oldest message", "", unitSeconds, query{latest("direction", "mqttbridge_backlog_oldest_seconds"), "{{direction}}"})
	l.graph("Use of the buffer on disk", "", unitPercent,
		query{latest("direction", "mqttbridge_backlog_bytes") + " / max by (direction) (" + of("mqttbridge_buffer_capacity_bytes", `, medium="disk"`) + ")", "{{direction}}"})
	l.graph("Use of the buffer in memory", "", unitPercent,
		query{latest("direction", "mqttbridge_held_bytes") + " / max by (direction) (" + of("mqttbridge_buffer_capacity_bytes", `, medium="memory"`) + ")", "{{direction}}"})
	l.graph("Errors of the buffer on disk", "", unitNone, query{rate("direction", "mqttbridge_buffer_errors_total"), "{{direction}}"})
}

func oneConnections(l *layout) {
	l.graph("Switches", "Changes from one server to another, per hour.", unitNone,
		query{"sum by (side, cause) (increase(" + of("mqttbridge_switches_total", "") + "[1h])) > 0", "{{side}} {{cause}}"})
	l.graph("Duration of switches", "Time without a server that accepts messages; the largest tenth of the last hour.", unitSeconds,
		query{`histogram_quantile(0.9, sum by (side, le) (increase(` + of("mqttbridge_switch_duration_seconds_bucket", "") + `[1h])))`, "switch, {{side}}"},
		query{`histogram_quantile(0.9, sum by (side, le) (increase(` + of("mqttbridge_loss_silence_seconds_bucket", "") + `[1h])))`, "silence before the loss, {{side}}"})
	l.graph("Failed attempts to connect", "", unitNone, query{rate("side, server, reason", "mqttbridge_connection_failures_total") + " > 0", "{{side}} {{server}} {{reason}}"})
	l.graph("Probes", "Of servers that are not in use.", unitNone, query{rate("side, server, result", "mqttbridge_probes_total") + " > 0", "{{side}} {{server}} {{result}}"})
	l.graph("TLS handshakes", "", unitNone, query{rate("side, server, kind", "mqttbridge_tls_handshakes_total") + " > 0", "{{side}} {{server}} {{kind}}"})
	l.graph("Duration of TLS handshakes", "", unitSeconds,
		query{`histogram_quantile(0.9, sum by (side, kind, le) (increase(` + of("mqttbridge_tls_handshake_duration_seconds_bucket", "") + `[1h])))`, "{{side}} {{kind}}"})
	l.table("Certificates", "", unitSeconds, "expires in",
		"min by (side, server, kind) ("+of("mqttbridge_certificate_expiry_timestamp_seconds", "")+") - time()", "side", "server", "kind")
	l.graph("Violations of the protocol", "", unitNone, query{rate("side, kind", "mqttbridge_protocol_faults_total") + " > 0", "{{side}} {{kind}}"})
}

func oneRunners(l *layout) {
	const build = ` and on (namespace, pod) mqttbridge_build_info`
	l.graph("Processors", "Number of processors that each runner uses.", unitProcessors,
		query{"rate(" + of("process_cpu_seconds_total", "") + "[$__rate_interval])" + build, "{{pod}}"})
	l.graph("Memory", "", unitBytes, query{of("process_resident_memory_bytes", "") + build, "{{pod}}"})
	l.states("Roles of two runners", "", neutral("standby"), good("active"), query{of("mqttbridge_member_active", ""), "{{pod}}"})
	l.states("Readiness of two runners", "", bad("no"), good("yes"),
		query{of("mqttbridge_member_warm", ""), "{{pod}} can start at once"},
		query{of("mqttbridge_member_peer_connected", ""), "{{pod}} is connected to the other"})
	l.graph("Takeovers", "Per hour, without the start of a runner.", unitNone,
		query{"sum by (pod, cause) (increase(" + of("mqttbridge_member_activations_total", `, cause!="Started"`) + "[1h])) > 0", "{{pod}} {{cause}}"})
	l.graph("Interruption by takeovers", "Mean time without an active runner, since the start of each runner.", unitSeconds,
		query{"sum by (pod, cause) (" + of("mqttbridge_member_gap_seconds_sum", "") + ") / sum by (pod, cause) (" + of("mqttbridge_member_gap_seconds_count", "") + ")", "{{pod}} {{cause}}"})
	l.graph("Spans", "OpenTelemetry spans of the runners, with spec.tracing.", unitMessages,
		query{"sum by (pod) (rate(" + of("mqttbridge_spans_exported_total", "") + "[$__rate_interval]))", "{{pod}} exported"},
		query{"sum by (pod, cause) (rate(" + of("mqttbridge_spans_dropped_total", "") + "[$__rate_interval])) > 0", "{{pod}} dropped, {{cause}}"})
	l.table("Versions", "The number of settings that each runner ignores, because its version does not know them.", unitNone, "ignored fields",
		"max by (pod, version, revision) ("+of("mqttbridge_ignored_fields", "")+" * on (namespace, pod) group_left (version, revision) mqttbridge_build_info)",
		"pod", "version", "revision")
}
