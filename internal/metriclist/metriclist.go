// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metriclist is the list of all metrics of the project. The runner and the operator
// declare their metrics from it, and the tables of the documentation are made of it. The queries
// of rules and dashboards are checked against it, so that none of them names a metric or a label
// that does not exist. The values are the task of the programs.
package metriclist

import (
	"fmt"
	"slices"
)

// Type is the type of a metric, as Prometheus writes it.
type Type string

// Types of metrics.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// A Set is a group of metrics that a program serves together.
type Set string

// Sets of the runner.
const (
	// Bridge has the metrics of each bridge that a runner runs.
	Bridge Set = "bridge"
	// Runner has the metrics of each process of the runner.
	Runner Set = "runner"
	// Host has the metrics of a process with many bridges.
	Host Set = "host"
	// Member has the metrics of a runner that is one of two.
	Member Set = "member"
)

// Sets of the operator.
const (
	// Reconciled has the metrics of each bridge that the operator reconciles.
	Reconciled Set = "reconciled"
	// Operator has the metrics of the operator itself.
	Operator Set = "operator"
)

// A Metric is a metric of the project.
type Metric struct {
	Name   string
	Type   Type
	Set    Set
	Labels []string
	Help   string
}

// HostLabels are the labels that a process with many bridges adds to the metrics of the set
// [Bridge]. In a cluster, Prometheus adds labels with these names to the series of each pod.
var HostLabels = []string{"namespace", "bridge"}

// All returns all metrics, in the order of the documentation.
func All() []Metric { return slices.Concat(bridge, process, operator) }

// Of returns the metrics of a set, in the order of the documentation.
func Of(set Set) []Metric {
	return slices.DeleteFunc(All(), func(m Metric) bool { return m.Set != set })
}

var byName = index(All())

func index(all []Metric) map[string]Metric {
	out := make(map[string]Metric, len(all))
	for _, m := range all {
		out[m.Name] = m
	}
	return out
}

// Get returns a metric of the list. It panics if the list has no metric with this name and type,
// because then the program has a metric that is not documented.
func Get(name string, of Type) Metric {
	m, ok := byName[name]
	if !ok || m.Type != of {
		panic(fmt.Sprintf("internal/metriclist has no %s %s", of, name))
	}
	return m
}
