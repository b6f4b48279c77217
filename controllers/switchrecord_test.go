// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// activeSwitched returns the observation of a bridge whose active runner reports a number of switches, the
// latest at a time.
func activeSwitched(runner v1alpha1.RunnerStatus, count int64, at time.Time) *observation {
	o := switched(count, at)
	runner.Role, runner.Generation = v1alpha1.RunnerActive, 3
	o.bridge.Status.Runners = []v1alpha1.RunnerStatus{runner}
	o.pods[0].Name = runner.Pod
	return o
}

func TestEvents_SwitchesAfterTakeovers_AreAllAnnouncedWithoutInventedCounts(t *testing.T) {
	minute := func(n int) time.Time { return epoch.Add(time.Duration(n) * time.Minute) }
	runner := func(pod string, started, since int) v1alpha1.RunnerStatus {
		return v1alpha1.RunnerStatus{Pod: pod, StartTime: metav1.NewTime(minute(started)), Since: metav1.NewTime(minute(since))}
	}
	const (
		over = "Warning FailedOver the remote side failed over from primary to backup-1: 42 ms without a server: ConnectionClosed"
		back = "Normal FailedBack the remote side failed back from backup-1 to primary: 42 ms without a server: ConnectionClosed"
	)
	type step struct {
		o    *observation
		want []string
	}
	for name, steps := range map[string][]step{
		"the clock of the new runner is an hour behind": {
			{activeSwitched(runner("a", 0, 0), 1, minute(70)), []string{over}},
			{activeSwitched(runner("b", -50, 12), 1, minute(13)), []string{over}},
			{activeSwitched(runner("b", -50, 12), 2, minute(14)), []string{back}},
		},
		"the clock of the new runner is an hour ahead": {
			{activeSwitched(runner("a", 0, 0), 1, minute(10)), []string{over}},
			{activeSwitched(runner("b", 60, 72), 1, minute(73)), []string{over}},
			{activeSwitched(runner("b", 60, 72), 4, minute(75)), []string{back + "; no event of 2 more switches of this side since 2026-03-01T13:13:00Z"}},
		},
		"a runner is active again, and has made no switch since": {
			{activeSwitched(runner("a", 0, 0), 3, minute(10)), []string{over + "; no event of 2 more switches of this side since 2026-03-01T12:00:00Z"}},
			{activeSwitched(runner("b", 0, 11), 1, minute(12)), []string{over}},
			{activeSwitched(runner("a", 0, 20), 3, minute(10)), nil},
			{activeSwitched(runner("a", 0, 20), 4, minute(21)), []string{back}},
		},
		"a runner is active again, and the other one has made no switch": {
			{activeSwitched(runner("a", 0, 0), 1, minute(10)), []string{over}},
			{activeSwitched(runner("b", 0, 11), 0, minute(5)), nil},
			{activeSwitched(runner("a", 0, 20), 3, minute(21)), []string{over + "; no event of 1 more switch of this side since 2026-03-01T12:10:00Z"}},
		},
		"a standby was active before, and switches": {
			{activeSwitched(runner("a", 0, 0), 1, minute(10)), []string{over}},
			{activeSwitched(runner("b", 0, 11), 9, minute(12)), []string{over}},
		},
		"the pod of a single runner is replaced": {
			{activeSwitched(runner("a", 60, 60), 1, minute(70)), []string{over}},
			{activeSwitched(runner("b", 5, 5), 3, minute(15)), []string{over + "; no event of 2 more switches of this side since 2026-03-01T12:05:00Z"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var sent announced
			for i, s := range steps {
				var due []event
				sent, due, _ = announce(s.o, sent, minute(i))
				if got := notes(due); !slices.Equal(got, s.want) {
					t.Errorf("step %d: the events are %q, want %q", i, got, s.want)
				}
			}
		})
	}
}

func TestEvents_RecordWithoutAPod_IsOfTheReportingPod(t *testing.T) {
	sent := announced{RemoteSwitch: metav1.NewMicroTime(epoch.Add(time.Minute))}
	if _, due, _ := announce(switched(1, epoch.Add(time.Minute)), sent, epoch); len(due) > 0 {
		t.Errorf("the record of an earlier version is ignored: %q", notes(due))
	}
}
