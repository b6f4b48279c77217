// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"log/slog"
	"slices"

	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// direction is the part of a direction's metrics that outlives a meter.
type direction struct {
	rules         []string // the names of the rules of the latest meter
	unforwardable *unforwardableReporter
}

// directionNamed returns the direction with this name.
func (m *Metrics) directionNamed(name string, log *slog.Logger) *direction {
	d := m.directions[name]
	if d == nil {
		d = &direction{unforwardable: m.state.watchUnforwardable(name, log)}
		m.directions[name] = d
	}
	return d
}

func ruleNames(rules []manifest.Rule) []string {
	names := make([]string, len(rules))
	for i := range rules {
		names[i] = rules[i].Name
	}
	return names
}

// removeSeries removes the series of the rules with these names that the direction does not have
// any more.
func (m *Metrics) removeSeries(name string, rules []string) {
	for _, rule := range rules {
		if !slices.Contains(m.directions[name].rules, rule) {
			m.matched.remove(name, rule)
		}
	}
}

// Replaced removes the series that the pipe has created with this meter since the next meter was
// made.
func (m *meter) Replaced() { m.removeSeries() }
