// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

// fleet returns the dashboard of all bridges.
func fleet() dashboard {
	d := newDashboard("mqttbridge-fleet", "MQTT bridges: fleet",
		"All bridges of the selected namespaces, and the operator.",
		values("namespace", "Namespace", "mqttbridge_bridge_ready", true))
	l := &layout{}
	l.row("Bridges")
	fleetNumbers(l)
	fleetTables(l)
	l.row("Messages")
	fleetMessages(l)
	l.row("Operator")
	fleetOperator(l)
	d.Panels = l.panels
	return d
}

// count returns the query of the number of bridges that a condition holds for, 0 if there is none.
func count(condition string) string { return "count(" + condition + ") or vector(0)" }

func fleetNumbers(l *layout) {
	const by, in = "max by (namespace, name) (", `{namespace=~"$namespace"})`
	l.number("Bridges", "",
		count(by+"mqttbridge_bridge_ready"+in), 0)
	l.number("Not ready", "Bridges that do not forward and are not suspended.",
		count(by+"mqttbridge_bridge_ready"+in+" == 0 unless "+by+"mqttbridge_bridge_suspended"+in+" == 1"), 1)
	l.number("Stalled", "Bridges whose spec the operator cannot apply.",
		count(by+"mqttbridge_bridge_stalled"+in+" == 1"), 1)
	l.number("Degraded", "Bridges with less redundancy than their spec requires, or with a problem of the buffer.",
		count(by+"mqttbridge_bridge_degraded"+in+" == 1"), 1)
	l.number("On a backup", "Bridges with a side that uses a backup.",
		count("max by (namespace, name) (mqttbridge_bridge_active_server_place"+in+" > 1"), 1)
	l.number("Suspended", "",
		count(by+"mqttbridge_bridge_suspended"+in+" == 1"), 0)
}

func fleetTables(l *layout) {
	l.table("Bridges that do not forward", "The generations that the runner does not run yet. kubectl describe shows the cause.", unitNone, "generations behind",
		`max by (namespace, name) (mqttbridge_bridge_generation_lag{namespace=~"$namespace"}) and on (namespace, name) mqttbridge_bridge_ready == 0 unless on (namespace, name) mqttbridge_bridge_suspended == 1`,
		"namespace", "name")
	l.table("Places of the servers in use", "1 is the primary, 2 the first backup; 0 if no server is connected.", unitNone, "place",
		`max by (namespace, name, side) (mqttbridge_bridge_active_server_place{namespace=~"$namespace"}) != 1`,
		"namespace", "name", "side")
	l.table("Servers that are down", "", unitNone, "up",
		`min by (namespace, bridge, side, server) (mqttbridge_server_up{namespace=~"$namespace"}) == 0`,
		"namespace", "bridge", "side", "server")
	l.table("Certificates that expire first", "", unitSeconds, "expires in",
		`bottomk(10, min by (namespace, bridge, side, server, kind) (mqttbridge_certificate_expiry_timestamp_seconds{namespace=~"$namespace"}) - time())`,
		"namespace", "bridge", "side", "server", "kind")
}

func fleetMessages(l *layout) {
	const in = `{namespace=~"$namespace"}`
	l.graph("Forwarded messages", "", unitMessages, query{`sum by (direction) (rate(mqttbridge_messages_forwarded_total` + in + `[$__rate_interval]))`, "{{direction}}"})
	l.graph("Forwarded messages of the busiest bridges", "", unitMessages,
		query{`topk(10, sum by (namespace, bridge) (rate(mqttbridge_messages_forwarded_total` + in + `[$__rate_interval])))`, "{{namespace}}/{{bridge}}"})
	l.graph("Forwarded payload", "", unitBytesPerS, query{`sum by (direction) (rate(mqttbridge_forwarded_bytes_total` + in + `[$__rate_interval]))`, "{{direction}}"})
	l.graph("Latency", "Time from the arrival of a message until the destination acknowledges it.", unitSeconds,
		query{quantile("0.5", "mqttbridge_forwarding_latency_seconds", in), "half"}, query{quantile("0.99", "mqttbridge_forwarding_latency_seconds", in), "99 %"})
	l.graph("Dropped messages", "", unitMessages,
		query{`sum by (namespace, bridge, cause) (rate(mqttbridge_messages_dropped_total` + in + `[$__rate_interval])) > 0`, "{{namespace}}/{{bridge}} {{cause}}"})
	l.graph("Largest backlogs", "", unitBytes,
		query{`topk(10, sum by (namespace, bridge, direction) (mqttbridge_backlog_bytes` + in + `))`, "{{namespace}}/{{bridge}} {{direction}}"})
	l.graph("Switches", "Changes from one server to another, per hour.", unitNone,
		query{`sum by (namespace, bridge, side) (increase(mqttbridge_switches_total` + in + `[1h])) > 0`, "{{namespace}}/{{bridge}} {{side}}"})
	l.graph("Failed attempts to connect", "", unitNone,
		query{`topk(10, sum by (namespace, bridge, side, reason) (rate(mqttbridge_connection_failures_total` + in + `[$__rate_interval]))) > 0`, "{{namespace}}/{{bridge}} {{side}} {{reason}}"})
}

func fleetOperator(l *layout) {
	l.graph("Passes", "Passes of the operator over bridges, by result.", unitNone,
		query{`sum by (result) (rate(controller_runtime_reconcile_total{controller="mqttbridge"}[$__rate_interval])) > 0`, "{{result}}"})
	l.graph("Duration of a pass", "", unitSeconds,
		query{quantile("0.99", "controller_runtime_reconcile_time_seconds", `{controller="mqttbridge"}`), "99 %"})
	l.graph("Bridges that wait for a pass", "", unitNone, query{`sum by (controller) (workqueue_depth{controller="mqttbridge"})`, "{{controller}}"})
	l.graph("Roll-out", "Bridges in a roll-out of a new version.", unitNone, query{`max by (state) (mqttbridge_operator_rollout_bridges)`, "{{state}}"})
	l.graph("Memory of the operator", "", unitBytes, query{`process_resident_memory_bytes and on (namespace, pod) mqttbridge_operator_build_info`, "{{pod}}"})
	l.graph("Requests of the operator to the API server", "", unitNone,
		query{`sum by (method, code) (rate(rest_client_requests_total[$__rate_interval]) and on (namespace, pod) mqttbridge_operator_build_info) > 0`, "{{method}} {{code}}"})
	l.table("Versions of the operator", "", unitNone, "replicas", `count by (version, revision) (mqttbridge_operator_build_info)`, "version", "revision")
	l.table("Versions of the runners", "", unitNone, "runners", `count by (version, revision) (mqttbridge_build_info{namespace=~"$namespace"})`, "version", "revision")
}
