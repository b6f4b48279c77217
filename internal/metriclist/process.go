// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package metriclist

// process has the other metrics of a runner.
var process = []Metric{
	{"mqttbridge_build_info", Gauge, Runner, []string{"version", "revision", "goversion"}, "The value is 1. The labels are the version and the revision of the runner, and the version of Go."},

	{"mqttbridge_spans_exported_total", Counter, Runner, nil, "Number of OpenTelemetry spans that the receiver has accepted. 0 without spec.tracing."},
	{"mqttbridge_spans_dropped_total", Counter, Runner, []string{"cause"}, "Number of OpenTelemetry spans that were dropped, by cause: too_many_open (a message was not traced, because the spans of many other messages had not ended), queue_full (spans end faster than they are exported) or export_failed (the receiver cannot be reached, or has refused them)."},

	{"mqttbridge_bridges", Gauge, Host, nil, "Number of bridges that run in the process."},
	{"mqttbridge_refused_manifests", Gauge, Host, nil, "Number of files in the directory of --bridges whose present content is not applied. /status gives the reasons."},

	{"mqttbridge_member_active", Gauge, Member, nil, "State of the runner: 1 if it is the active member of its group and forwards, 0 if it is a standby."},
	{"mqttbridge_member_warm", Gauge, Member, nil, "State of the runner: 1 if its bridges can start at once, otherwise 0."},
	{"mqttbridge_member_peer_connected", Gauge, Member, nil, "State of the runner: 1 if it is connected to the other member of its group, otherwise 0."},
	{"mqttbridge_member_activations_total", Counter, Member, []string{"cause"}, "Number of times that this runner became the active member of its group, by cause."},
	{"mqttbridge_member_gap_seconds", Histogram, Member, []string{"cause"}, "Time from the end of the earlier active member until a bridge was connected on both sides, in seconds."},
}
