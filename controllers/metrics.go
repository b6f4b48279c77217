// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// rolloutBridges is the number of bridges that take part in a roll-out, by state.
var rolloutBridges = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Namespace: "mqttbridge_operator",
	Name:      "rollout_bridges",
	Help: "Number of bridges in a roll-out of a new version of the operator, or of a new default image of the runners: " +
		"waiting for the replacement of their pods, scheduled for the next update window, or recovering, that is, not yet as healthy as before the replacement.",
}, []string{"state"})

func init() { metrics.Registry.MustRegister(rolloutBridges) }

// resetMetrics sets the metrics to the values at the start of an operator.
func resetMetrics() {
	for _, state := range []rolloutState{rolloutWaiting, rolloutScheduled, rolloutRecovering} {
		rolloutBridges.WithLabelValues(string(state)).Set(0)
	}
}
