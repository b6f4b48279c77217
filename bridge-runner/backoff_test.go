// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

func TestNotificationBackoff_ServerEndsSessionsAtNotifications_DelaysThemLongerEachTime(t *testing.T) {
	var b notificationBackoff
	now := time.Unix(0, 0)
	byServer := session.Ending{ByServer: true}
	for i, step := range []struct {
		how        session.Ending
		unanswered bool
		want       time.Duration // 0: no delay
	}{
		{byServer, true, 0},
		{byServer, false, 0},          // the notification was answered
		{session.Ending{}, true, 0},   // the network was lost
		{byServer, true, 0},           // the second in a row
		{byServer, true, firstDelay},  // the third
		{byServer, true, time.Minute}, // and again
		{byServer, true, 2 * time.Minute},
		{byServer, true, 4 * time.Minute},
		{byServer, true, 8 * time.Minute},
		{byServer, true, lastDelay},
		{byServer, true, lastDelay},
	} {
		delay, delayed := b.sessionEnded(step.how, step.unanswered, now)
		if delay != step.want || delayed != (step.want > 0) {
			t.Errorf("step %d: delay %v, delayed %v, want %v", i, delay, delayed, step.want)
		}
		if delayed && !b.until.Equal(now.Add(delay)) {
			t.Errorf("step %d: until %v", i, b.until)
		}
	}
}
