// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"flag"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// diskOutage is the duration of the outage of all servers with a buffer on disk. 0 is the duration
// of the other tests; the documented guarantee is for 10m.
var diskOutage = flag.Duration("disk-outage", 0, "duration of the outage of all servers in the test with a buffer on disk; 0 is the duration of the other outage tests")

// flatMemory is the largest growth of a runner's memory, in bytes, between the beginning of an
// outage and its end. It does not depend on the duration.
const flatMemory = 8 << 20

func TestBacklogOnDisk_LongOutageAndKill_LosesNothingWithFlatMemory(t *testing.T) {
	t.Parallel()
	length := *diskOutage
	if length == 0 {
		length = outage()
	}
	l := newDiskLine(t)
	l.connect()
	l.stream(1, 1000)
	l.stopServers()
	began := time.Now()
	waitBacklog(t, l.runner, 3000)
	memory := func(when string) int64 {
		n := l.runner.ResidentBytes()
		t.Logf("%s %s: %d messages on the disk, %.1f MB of memory, %s of CPU", time.Since(began).Round(time.Second), when, backlog(l.runner), float64(n)/1e6, l.runner.CPU())
		return n
	}
	early := memory("after the beginning")
	sleepUntil(began.Add(length / 2))
	middle := memory("later, before the kill")
	l.runner.Kill()
	l.runner.Start()
	waitBacklog(t, l.runner, 500*int(length/2/time.Second)) // the whole backlog is still on the disk
	sleepUntil(began.Add(length))
	late := memory("later, before the servers are back")
	depth := backlog(l.runner)
	l.backup.Start()
	l.primary.Start()
	drain := time.Now()
	mqtttest.Eventually(t, length+drainTimeout, "the backlog is delivered", func() error {
		return l.collector.WaitCount(depth, time.Second)
	})
	t.Logf("the backlog of %d messages was delivered within %s", depth, time.Since(drain).Round(time.Millisecond))
	drained := memory("later, when all is delivered")
	l.finish()
	for when, n := range map[string]int64{"before the kill": middle, "before the servers were back": late, "when all was delivered": drained} {
		if n > early+flatMemory {
			t.Errorf("the runner had %.1f MB %s, and %.1f MB at the beginning of the outage", float64(n)/1e6, when, float64(early)/1e6)
		}
	}
}

// sleepUntil sleeps until a time, because the duration of the outage is part of the test.
func sleepUntil(at time.Time) { time.Sleep(time.Until(at)) }
