// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
	"github.com/mqttbridge/mqttbridge-operator/internal/window"
)

// resolveFailover returns the settings of a side's failover state machine.
func resolveFailover(f *v1alpha1.Failover) (failover.Config, error) {
	c := failover.Config{
		RetryInitial: time.Duration(*f.Retry.InitialMilliseconds) * time.Millisecond,
		RetryMax:     seconds(*f.Retry.MaxSeconds),
		Failback:     *f.Failback.Policy == v1alpha1.FailbackAutomatic,
		Stable:       seconds(*f.Failback.StableSeconds),
	}
	if *f.Probe.Policy == v1alpha1.ProbeAlways {
		c.ProbeInterval = seconds(*f.Probe.IntervalSeconds)
	}
	var err error
	c.Windows, err = window.Parse(f.Failback.Windows, f.Failback.TimeZone)
	return c, err
}
