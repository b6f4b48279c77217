// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
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
	for i := range f.Failback.Windows {
		w, err := window(&f.Failback.Windows[i], f.Failback.TimeZone)
		if err != nil {
			return c, err
		}
		c.Windows = append(c.Windows, w)
	}
	return c, nil
}

// window parses a window's schedule, which has the five fields of cron.
func window(w *v1alpha1.FailbackWindow, zone string) (failover.Window, error) {
	location, err := time.LoadLocation(zone)
	if err != nil {
		return failover.Window{}, fmt.Errorf("timeZone %q: %w", zone, err)
	}
	schedule, err := cron.ParseStandard(w.Schedule)
	if err != nil {
		return failover.Window{}, fmt.Errorf("schedule %q: %w", w.Schedule, err)
	}
	return failover.Window{
		Next:   func(after time.Time) time.Time { return schedule.Next(after.In(location)) },
		Length: time.Duration(w.DurationMinutes) * time.Minute,
	}, nil
}
