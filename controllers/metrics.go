// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/mqttbridge/mqttbridge-operator/internal/buildinfo"
	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
)

// rolloutBridges is the number of bridges that take part in a roll-out, by state.
var rolloutBridges = newRolloutBridges()

func newRolloutBridges() *prometheus.GaugeVec {
	m := metriclist.Get("mqttbridge_operator_rollout_bridges", metriclist.Gauge)
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: m.Name, Help: m.Help}, m.Labels)
}

// buildInfo identifies the operator.
var buildInfo = newBuildInfo()

func newBuildInfo() prometheus.Collector {
	m := metriclist.Get("mqttbridge_operator_build_info", metriclist.Gauge)
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: m.Name, Help: m.Help, ConstLabels: buildinfo.Labels()}, func() float64 { return 1 })
}

func init() { metrics.Registry.MustRegister(rolloutBridges, buildInfo) }

// resetMetrics sets the metrics to the values at the start of an operator.
func resetMetrics() {
	for _, state := range []rolloutState{rolloutWaiting, rolloutScheduled, rolloutRecovering} {
		rolloutBridges.WithLabelValues(string(state)).Set(0)
	}
}
