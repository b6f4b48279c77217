// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "slices"

// A ruleGroup is a group of alerts that Prometheus evaluates together.
type ruleGroup struct {
	Name  string  `json:"name"`
	Rules []alert `json:"rules"`
}

// An alert is an alerting rule in the format of Prometheus.
type alert struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// Severities. Documentation: docs/monitoring.md.
const (
	critical = "critical"
	warning  = "warning"
	info     = "info"
)

// runbooks is the address of the runbooks.
const runbooks = "https://github.com/mqttbridge/mqttbridge-operator/blob/main/docs/runbooks/"

// newAlert returns an alert. long is the time for which the condition must hold, empty for none.
// summary and description are templates of Prometheus.
func newAlert(name, severity, long, expr, summary, description string) alert {
	return alert{
		Alert: name, Expr: expr, For: long,
		Labels:      map[string]string{"severity": severity},
		Annotations: map[string]string{"summary": summary, "description": description, "runbook_url": runbooks + name + ".md"},
	}
}

// ruleGroups returns all groups.
func ruleGroups() []ruleGroup {
	return []ruleGroup{
		{"mqttbridge.bridges", bridgeAlerts()},
		{"mqttbridge.runners", slices.Concat(connectionAlerts(), messageAlerts(), bufferAlerts())},
		{"mqttbridge.two-runners", pairAlerts()},
		{"mqttbridge.operator", operatorAlerts()},
		{"mqttbridge.pods", podAlerts()},
	}
}

// The names of a bridge in the series of the operator and of the runners.
const (
	ofOperator = "The bridge {{ $labels.namespace }}/{{ $labels.name }}"
	ofRunner   = "the bridge {{ $labels.namespace }}/{{ $labels.bridge }}"
)
