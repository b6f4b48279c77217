// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// switchRecord is the part of the record of sent events about the switches of a side: the time of the
// announced switch, the runner's count of switches at that time, and the pod of the runner.
type switchRecord struct {
	sent    *metav1.MicroTime
	counted **int64
	pod     *string
}

// before returns a time before the switches of the runner that need an event, and the runner's count of
// switches at that time, which is nil if it is not known.
//
// The time and the count of another pod are not compared: its clock may differ, and each runner counts
// its own switches. After a change of the active runner, only switches since then are announced. The count of a
// runner that was a standby may include switches that it made when it was active earlier.
func (r switchRecord) before(runner *v1alpha1.RunnerStatus) (since metav1.MicroTime, counted *int64) {
	if *r.pod == "" || *r.pod == runner.Pod {
		return *r.sent, *r.counted
	}
	return metav1.NewMicroTime(runner.Since.Add(-time.Microsecond)), nil // since has no fractions of a second
}
